import { Campaign } from "../campaign/support/campaign.ts";

/** One of the campaigns of tests/campaign, and shorter. */
const MS = 120_000;
const SEED = Number(Deno.env.get("VIRTX_TEST_SEED") ?? 1);

Deno.test("for two minutes, whatever all hosts, other tools and failures do, nothing is lost", async () => {
  await using campaign = await Campaign.up({ seed: SEED, ms: MS });
  await campaign.run();
});
