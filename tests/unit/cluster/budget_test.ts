import assert from "node:assert/strict";
import { Budget, clusterBytesPerSecond, PACKET_BYTES, retransmits } from "../../../lib/cluster/budget.ts";
import { VirtualTime } from "../../support/virtual_time.ts";
import { numberedUuid } from "../../support/vm_info.ts";

Deno.test("what Serf carries shrinks with the logarithm of the cluster", () => {
  assert.deepEqual([2, 9, 10, 99, 100, 999, 1000].map(retransmits), [4, 4, 8, 8, 12, 12, 16]);
  const events = (members: number) => clusterBytesPerSecond(members) / 152;
  assert.ok(events(100) > 9 && events(100) < 12, `${events(100)} events a second among 100`);
});

Deno.test("a packet full may be said at once, then as much as the rate allows", async () => {
  const time = new VirtualTime();
  const budget = new Budget({ timers: time, members: () => 100 });
  assert.equal(budget.waitMs(PACKET_BYTES), 0);
  budget.spend(PACKET_BYTES);
  const waitMs = budget.waitMs(140);
  assert.equal(waitMs, Math.ceil(140 / clusterBytesPerSecond(100) * 1000));
  await time.pass(waitMs);
  assert.equal(budget.waitMs(140), 0);
  await time.pass(1_000_000);
  assert.equal(budget.waitMs(PACKET_BYTES), 0);
  assert.ok(budget.waitMs(PACKET_BYTES + 1) > 0, "what was not used is not saved up");
});

Deno.test("those that have something to say share equally, until they have been silent for a while", async () => {
  const time = new VirtualTime();
  const budget = new Budget({ timers: time, members: () => 100 });
  const whole = clusterBytesPerSecond(100);
  assert.equal(budget.bytesPerSecond, whole);
  for (let host = 0; host < 9; host++) budget.heard(numberedUuid(host));
  assert.equal(budget.bytesPerSecond, whole / 10);
  await time.pass(8000);
  for (let host = 0; host < 3; host++) budget.heard(numberedUuid(host));
  assert.equal(budget.bytesPerSecond, whole / 10);
  await time.pass(3000);
  assert.equal(budget.bytesPerSecond, whole / 4);
});
