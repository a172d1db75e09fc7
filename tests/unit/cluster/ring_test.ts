import assert from "node:assert/strict";
import { watchedBy, WATCHERS } from "../../../lib/cluster/ring.ts";
import { numberedUuid } from "../../support/vm_info.ts";

/** How many hosts watch each of so many, if those whose numbers are refused do not. */
function watchers(count: number, watches: (number: number) => boolean = () => true): readonly number[] {
  const hosts = Array.from({ length: count }, (_, at) => ({ uuid: numberedUuid(at), watches: watches(at) }));
  const times = new Map(hosts.map(({ uuid }) => [uuid, 0]));
  for (const { uuid, watches } of hosts) {
    if (!watches) continue;
    for (const watched of watchedBy(uuid, hosts)) times.set(watched, (times.get(watched) ?? 0) + 1);
  }
  return [...times.values()];
}

Deno.test("each host is watched by three others, or by all where there are fewer, and watches as many", () => {
  for (const count of [1, 2, 3, 4, 5, 100, 1000]) {
    const wanted = Math.min(WATCHERS, count - 1);
    assert.ok(watchers(count).every((times) => times === wanted), `of ${count} hosts`);
  }
});

Deno.test("hosts that do not watch are watched by those that do", () => {
  const times = watchers(100, (number) => number % 2 === 0);
  assert.ok(times.every((times) => times === WATCHERS), times.join());
  assert.deepEqual(watchers(3, (number) => number === 0), [0, 1, 1]);
});

Deno.test("one host that watches among many that do not asks only so many", () => {
  assert.equal(watchers(1000, (number) => number === 0).reduce((a, b) => a + b), 24);
});

Deno.test("neighbours by number are no neighbours in the ring", () => {
  const hosts = Array.from({ length: 100 }, (_, at) => ({ uuid: numberedUuid(at), watches: true }));
  const watched = watchedBy(numberedUuid(50), hosts);
  assert.ok(!watched.every((uuid) => [51, 52, 53].some((number) => numberedUuid(number) === uuid)));
});
