import assert from "node:assert/strict";
import {
  ARRIVAL_MS,
  ARRIVE_BY_HEADER,
  moment,
  MOMENT_HEADER,
  PeerClocks,
  requireInTime,
} from "../../../lib/api/arrival.ts";
import { Transport } from "../../../lib/api/transport.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { ApiCluster } from "../../support/api_cluster.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const HOST = "http://192.0.2.1:8080";

/** An answer of a host that has this clock. */
function answer(clock: string, ms: number): Headers {
  return new Headers({ [MOMENT_HEADER]: `${clock}:${ms}` });
}

Deno.test("what has been on its way for too long is refused, what tells no moment of this clock is not", () => {
  const by = (text: string) => new Headers({ [ARRIVE_BY_HEADER]: text });
  requireInTime(by(moment(5_000)), 5_000);
  assert.throws(() => requireInTime(by(moment(5_000)), 5_001), { kind: "unavailable", retryAfterS: 1 });
  for (const text of ["?", "", "0123abcd:5", `${moment(1)} or so`, "-1"]) requireInTime(by(text), 5_001);
  requireInTime(new Headers(), 5_001);
});

Deno.test("another host's clock is estimated by the answer that took the least time, until that is old", () => {
  let now = 1_000;
  const clocks = new PeerClocks(() => now);
  const left = () => Number(clocks.arriveBy(HOST).split(":")[1]);
  assert.equal(clocks.knows(HOST), false);
  assert.equal(clocks.arriveBy(HOST), "?");
  clocks.learn(HOST, new Headers());
  assert.equal(clocks.knows(HOST), true, "it tells none");
  assert.equal(clocks.arriveBy(HOST), "?");
  clocks.learn(HOST, answer("aaaaaaaa", 50_000));
  assert.equal(left(), 50_000 + ARRIVAL_MS);
  now += 100;
  clocks.learn(HOST, answer("aaaaaaaa", 50_000)); // on its way for longer
  assert.equal(left(), 50_100 + ARRIVAL_MS);
  clocks.learn(HOST, answer("aaaaaaaa", 50_110));
  assert.equal(left(), 50_110 + ARRIVAL_MS);
  now += 601_000;
  assert.equal(clocks.knows(HOST), false);
  clocks.learn(HOST, answer("aaaaaaaa", 651_000)); // its clock is slower than ours
  assert.equal(left(), 651_000 + ARRIVAL_MS);
  clocks.learn(HOST, answer("bbbbbbbb", 3)); // it was started again
  assert.equal(clocks.arriveBy(HOST), `bbbbbbbb:${3 + ARRIVAL_MS}`);
});

Deno.test("a change that arrives after its time is not carried out, and its sender is told", async () => {
  /** Believes to send what it sends so much earlier. */
  let heldMs = 0;
  const clocks = new class extends PeerClocks {
    override arriveBy(origin: string): string {
      return super.arriveBy(origin).replace(/\d+$/, (ms) => String(Number(ms) - heldMs));
    }
  }();
  using transport = new Transport({ clocks });
  await using cluster = await ApiCluster.start(2, { transport });
  const [a, b] = [cluster.host(0), cluster.host(1)];
  const created = await a.send("POST", "/vms", { vmdef: SMALL_VMDEF, host: b.uuid });
  const vm: string = await created.json();
  assert.equal((await a.send("POST", `/vms/${vm}/runstate/boot`)).status, 204);
  heldMs = ARRIVAL_MS + 100; // as by a network that was cut
  const late = await a.send("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 });
  assert.equal(late.status, 503);
  assert.equal(late.headers.get("retry-after"), "1");
  assert.match((await late.json()).detail, /on its way for more than 10 s, and nothing was done/);
  assert.equal(b.inventory.vm(vm)?.runstate, Runstate.running);
  assert.equal((await a.send("GET", `/vms/${vm}`)).status, 200, "a read may be late");
  heldMs = 0;
  assert.equal((await a.send("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 })).status, 204);
});
