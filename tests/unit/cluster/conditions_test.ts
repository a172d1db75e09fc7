import assert from "node:assert/strict";
import { decodeRecord, encodeHostInfo } from "../../../lib/cluster/records.ts";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import type { HostPart } from "../../../lib/model/host_condition.ts";
import { ClusterSim, type SimHost } from "../../support/cluster_sim.ts";
import { numberedUuid } from "../../support/vm_info.ts";

/** Everybody sees what a host is without, and that it is over, within this time. */
const SEEN_MS = 20_000;

/** What a host shows another one to be without. */
function partsOf(observer: SimHost, subject: SimHost): readonly HostPart[] {
  return observer.inventory.host(subject.uuid)?.conditions?.map(({ part }) => part) ?? [];
}

/** How long it takes until all of these show a host to be without that, in milliseconds; undefined: nothing. */
async function untilSeen(
  sim: ClusterSim,
  subject: SimHost,
  part: HostPart | undefined,
  observers = sim.hosts.filter((host) => host.running && host !== subject),
): Promise<number> {
  const isSeen = () => observers.every((host) => partsOf(host, subject).join() === (part ?? ""));
  const ms = await sim.time.until(isSeen, SEEN_MS, 500);
  const odd = observers.filter((host) => partsOf(host, subject).join() !== (part ?? ""));
  assert.notEqual(ms, undefined, `${odd.length} do not see ${subject.name} without ${part}: ${odd[0]?.name}`);
  return ms ?? Infinity;
}

/** Whoever shows anybody to be without anything. */
function condemned(sim: ClusterSim): readonly string[] {
  return sim.hosts.filter((host) => host.running).flatMap((observer) =>
    sim.hosts.flatMap((subject) =>
      partsOf(observer, subject).map((part) => `${observer.name}: ${subject.name} ${part}`)
    )
  );
}

async function assertNobodyIsCondemned(sim: ClusterSim, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    await sim.time.pass(1_000);
    assert.deepEqual(condemned(sim), []);
  }
}

function hostOf(sim: ClusterSim, at: number): SimHost {
  const host = sim.hosts[at];
  assert.ok(host);
  return host;
}

/** Has a host say what one of an earlier version says, and say nothing of what it may find. */
function makeOld({ agent }: SimHost): void {
  const { setTags, userEvent } = agent;
  agent.setTags = (tags, remove) => setTags.call(agent, { ...tags, virtxd: "1" }, remove);
  agent.userEvent = (name, payload) => {
    const record = decodeRecord(name, payload);
    const old = record?.kind === "host" ? encodeHostInfo(record.host, record.origin) : payload;
    return userEvent.call(agent, name, old ?? payload);
  };
}

Deno.test("that virtxd on one of 120 hosts is away is seen by all within 20 s, and that it is back", async () => {
  using sim = new ClusterSim({ hosts: 120, vmsPerHost: 3, wire: true, seed: 21 });
  await sim.start();
  await sim.time.pass(10_000);
  for (const at of [0, 64]) {
    const subject = hostOf(sim, at);
    subject.stop();
    await untilSeen(sim, subject, "virtxd");
    for (const { inventory, health } of sim.hosts.filter((host) => host.running)) {
      assert.equal(inventory.host(subject.uuid)?.cstate, HostState.active);
      for (const vm of inventory.vmsOf(subject.uuid)) {
        assert.deepEqual([vm.runstate, vm.lastrunstate], [Runstate.none, Runstate.running]);
      }
      const [fault] = health.conditions;
      assert.equal(fault?.reason, `host ${subject.name} is not in order: virtxd on it does not answer`);
      assert.equal(fault?.blocking, false);
    }
    await sim.time.pass(60_000);
    subject.start();
    await untilSeen(sim, subject, undefined);
    assert.notEqual(await sim.time.until(() => sim.agrees(), SEEN_MS), undefined, sim.disagreement());
    for (const { health } of sim.hosts) assert.deepEqual(health.conditions, []);
  }
});

Deno.test("it is seen where there are two hosts or three, by a single one too", async () => {
  for (const hosts of [2, 3]) {
    using sim = new ClusterSim({ hosts, vmsPerHost: 2, seed: hosts });
    await sim.start();
    for (const subject of sim.hosts.slice(1)) {
      subject.stop();
      await untilSeen(sim, subject, "virtxd");
    }
    for (const subject of sim.hosts.slice(1)) subject.start();
    for (const subject of sim.hosts.slice(1)) await untilSeen(sim, subject, undefined);
  }
});

Deno.test("a third of sixty hosts at once is seen by the others, whoever watched them", async () => {
  using sim = new ClusterSim({ hosts: 60, vmsPerHost: 1, seed: 5 });
  await sim.start();
  const lost = sim.hosts.filter((_, at) => at % 3 === 0);
  for (const host of lost) host.stop();
  const left = sim.hosts.filter((host) => host.running);
  const isSeen = () =>
    lost.every((host) => left.every((observer) => partsOf(observer, host).join() === "virtxd"));
  // Some lose all of their watchers at the same time: whoever takes over has to find that out first.
  assert.notEqual(await sim.time.until(isSeen, 3 * SEEN_MS, 500), undefined);
  for (const host of lost) host.start();
  assert.notEqual(await sim.time.until(() => sim.agrees(), 60_000, 500), undefined, sim.disagreement());
});

Deno.test("a link between two hosts that is broken condemns nobody, neither does a bad network", async () => {
  using sim = new ClusterSim({ hosts: 12, vmsPerHost: 1, seed: 6 });
  await sim.start();
  for (const other of sim.hosts.slice(1)) {
    const broken = [0, other.number];
    sim.network.up = (from, to) => from === to || !(broken.includes(from) && broken.includes(to));
    await assertNobodyIsCondemned(sim, 30_000);
  }
  sim.network.up = () => true;
  sim.network.loss = 0.3;
  await assertNobodyIsCondemned(sim, 600_000);
});

Deno.test("a host that says of all others that they do not answer condemns nobody", async () => {
  using sim = new ClusterSim({ hosts: 12, vmsPerHost: 1, seed: 7, wire: true });
  const liar = hostOf(sim, 0);
  const { userEvent } = liar.agent;
  let lies = 0;
  for (let at = 1; at < sim.hosts.length; at += 4) {
    const unanswered = sim.hosts.slice(at, at + 4).map(({ uuid }) => uuid);
    liar.agent.userEvent = (name, payload) => {
      const record = decodeRecord(name, payload);
      const lie = record?.kind === "host" && record.origin
        ? encodeHostInfo(record.host, record.origin, { faults: [], unanswered })
        : undefined;
      if (lie) lies++;
      return userEvent.call(liar.agent, name, lie ?? payload);
    };
    if (at === 1) await sim.start();
    else liar.restart();
    await assertNobodyIsCondemned(sim, 180_000);
    const [accused] = sim.hosts.filter(({ uuid }) => uuid === unanswered[0]);
    assert.match(
      accused?.health.conditions[0]?.reason ?? "",
      /does not answer virt1: can they reach its port/,
    );
  }
  assert.ok(lies >= 6, `${lies} lies`);
});

Deno.test("what a host says it is without is seen by all, and its VMs are unknown while libvirt is away", async () => {
  using sim = new ClusterSim({ hosts: 30, vmsPerHost: 2, seed: 8, wire: true });
  await sim.start();
  const subject = hostOf(sim, 3);
  for (const part of ["libvirt", "storage"] as const) {
    subject.cluster?.tellFaults([part]);
    await untilSeen(sim, subject, part, sim.hosts);
    const states = sim.hosts.flatMap(({ inventory }) => [...inventory.vmsOf(subject.uuid)]);
    assert.equal(states.length, 60);
    for (const { runstate, lastrunstate } of states) {
      assert.equal(runstate, part === "libvirt" ? Runstate.none : Runstate.running);
      assert.equal(lastrunstate, Runstate.running);
    }
    subject.cluster?.tellFaults([]);
    await untilSeen(sim, subject, undefined, sim.hosts);
    assert.ok(sim.agrees(), sim.disagreement());
  }
});

Deno.test("it is known to a host that starts later, and to those to whom Serf did not bring it", async () => {
  using sim = new ClusterSim({ hosts: 6, vmsPerHost: 1, seed: 9, wire: true });
  await sim.start();
  const [subject, late, deaf] = [hostOf(sim, 0), hostOf(sim, 1), hostOf(sim, 2)];
  late.stop();
  deaf.agent.reading = false;
  subject.cluster?.tellFaults(["storage"]);
  await sim.time.pass(30_000);
  late.start();
  assert.notEqual(await sim.time.until(() => partsOf(late, subject).join() === "storage", 30_000), undefined);
  assert.notEqual(await sim.time.until(() => partsOf(deaf, subject).join() === "storage", 60_000), undefined);
});

Deno.test("a host without its Serf agent has failed to the others, and says itself why it is out of date", async () => {
  using sim = new ClusterSim({ hosts: 3, vmsPerHost: 1, seed: 10 });
  await sim.start();
  const subject = hostOf(sim, 1);
  subject.agent.running = false;
  await untilSeen(sim, subject, "serf");
  assert.equal(hostOf(sim, 0).inventory.host(subject.uuid)?.cstate, HostState.failed);
  assert.deepEqual(partsOf(subject, subject), ["serf"]);
  assert.match(subject.health.conditions[0]?.reason ?? "", /Serf's agent on this host is away/);
  subject.agent.running = true;
  assert.notEqual(await sim.time.until(() => sim.agrees(), 60_000), undefined, sim.disagreement());
  assert.deepEqual(subject.health.conditions, []);
});

Deno.test("hosts of an earlier version are not condemned for saying nothing, and are missed when they are away", async () => {
  using sim = new ClusterSim({ hosts: 8, vmsPerHost: 1, seed: 11, wire: true });
  const old = sim.hosts.slice(3);
  for (const host of old) makeOld(host);
  await sim.start();
  await assertNobodyIsCondemned(sim, 120_000);
  const [subject] = old;
  assert.ok(subject);
  subject.stop();
  await untilSeen(sim, subject, "virtxd", sim.hosts.slice(0, 3));
  subject.start();
  await untilSeen(sim, subject, undefined, sim.hosts.slice(0, 3));
});

Deno.test("of a host of the prototype it is seen whether it answers", async () => {
  using sim = new ClusterSim({ hosts: 4, vmsPerHost: 1, seed: 12 });
  const uuid = numberedUuid(4711);
  sim.prototypes.add(uuid);
  const agent = sim.serf.join("proto", { uuid });
  await sim.start();
  const hi = hostOf(sim, 0).inventory.host(hostOf(sim, 0).uuid);
  assert.ok(hi);
  await sim.time.pass(60_000);
  const parts = () =>
    sim.hosts.map(({ cluster }) => cluster?.conditionsOf(uuid).map(({ part }) => part).join());
  assert.deepEqual(parts(), ["", "", "", ""]);
  sim.prototypes.delete(uuid);
  const isSeen = () => parts().every((part) => part === "virtxd");
  assert.notEqual(await sim.time.until(isSeen, SEEN_MS), undefined);
  sim.prototypes.add(uuid);
  assert.notEqual(await sim.time.until(() => parts().every((part) => part === ""), SEEN_MS), undefined);
  assert.ok(agent.running);
});

Deno.test("a host asks at most three others every five seconds, however many there are", async () => {
  for (const [hosts, perMinute] of [[3, 24], [100, 36]] as const) {
    using sim = new ClusterSim({ hosts, vmsPerHost: 1, seed: 13 });
    await sim.start();
    await sim.time.pass(10_000);
    const before = sim.http.probes;
    await sim.time.pass(60_000);
    const each = (sim.http.probes - before) / hosts;
    assert.ok(Math.abs(each - perMinute) < 2, `${each} a minute of ${hosts} hosts`);
  }
});
