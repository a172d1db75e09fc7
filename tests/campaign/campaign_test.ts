import { print } from "../../scripts/progress.ts";
import { Campaign } from "./support/campaign.ts";

const MINUTES = Number(Deno.env.get("VIRTX_TEST_CAMPAIGN_MINUTES") ?? 10);
/** Another one each time, unless one is to be repeated. */
const SEED = Number(Deno.env.get("VIRTX_TEST_SEED") ?? Math.floor(Math.random() * 1e6));

Deno.test("whatever all hosts, other tools and failures do to the same VMs and disks, nothing is lost", async () => {
  print(`  seed ${SEED}\n`);
  await using campaign = await Campaign.up({ seed: SEED, ms: MINUTES * 60_000 });
  await campaign.run();
  print(JSON.stringify(campaign.tally, undefined, 2) + "\n");
});
