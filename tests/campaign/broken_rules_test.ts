import assert from "node:assert/strict";
import { print, seconds } from "../../scripts/progress.ts";
import { BROKEN_RULES, buildBroken } from "./support/broken_rules.ts";
import { Campaign, Finding } from "./support/campaign.ts";

/** In which time the checker has to see it. */
const SEEN_MS = 120_000;
const SEED = Number(Deno.env.get("VIRTX_TEST_SEED") ?? 1);

for (const rule of BROKEN_RULES) {
  Deno.test(`the campaign sees when ${rule.name}`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "virtxd-broken-" });
    try {
      const executable = await buildBroken(rule, directory);
      await using campaign = await Campaign.up({
        seed: SEED,
        ms: SEEN_MS,
        drills: [rule.drill],
        restMs: 30_000,
        daemon: { executable },
      });
      const began = performance.now();
      const finding = await campaign.run().then(() => undefined, (error) => error);
      const ms = performance.now() - began;
      assert.ok(finding instanceof Finding, `nothing was seen: ${finding}`);
      assert.match(finding.message, rule.account);
      assert.ok(ms < SEEN_MS, `it took ${seconds(ms)}`);
      print(`  seen after ${seconds(ms)}: ${rule.account.exec(finding.message)?.[0]}\n`);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
