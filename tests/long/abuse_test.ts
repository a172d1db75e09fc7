import assert from "node:assert/strict";
import { print } from "../../scripts/progress.ts";
import { percentile } from "./support/good_client.ts";
import { Soak } from "./support/soak.ts";

const MINUTES = Number(Deno.env.get("VIRTX_TEST_SOAK_MINUTES") ?? 10);
const SEED = Number(Deno.env.get("VIRTX_TEST_SEED") ?? 1);
/** A daemon that is abused by everybody at once may need so much, and no more however long it lasts. */
const PEAK_MIB = 400;

Deno.test("slow clients, half requests, empty frames, hung guests and storage, libvirtd killed and lies end no daemon", async () => {
  await using soak = await Soak.up(SEED);
  const { abuse, faults, reads, changes, peakMiB, complaints } = await soak.run(MINUTES * 60_000);
  print(
    JSON.stringify(
      {
        seed: SEED,
        abuse,
        faults,
        reads: { answered: reads.ms.length, p50: percentile(reads.ms, 50), p99: percentile(reads.ms, 99) },
        changes: {
          answered: changes.ms.length,
          p50: percentile(changes.ms, 50),
          p99: percentile(changes.ms, 99),
        },
        refusedChanges: changes.failures.length,
        peakMiB: peakMiB.map(Math.round),
      },
      undefined,
      2,
    ) + "\n",
  );
  assert.deepEqual(complaints, []);
  assert.deepEqual(reads.failures, []);
  assert.deepEqual(Object.entries(abuse).filter(([, count]) => count === 0), []);
  assert.ok(changes.ms.length > changes.failures.length, changes.failures.join("\n"));
  assert.ok(Math.max(...peakMiB) < PEAK_MIB, `${peakMiB} MiB`);
});
