import assert from "node:assert/strict";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { decodeRecord, encodeHostInfo, encodeVmInfo, hostInfoOf } from "../../../lib/cluster/records.ts";
import { type LogLine, recordingLogger } from "../../support/api_fixture.ts";
import { ClusterSim, type SimHost } from "../../support/cluster_sim.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

/** After the last change, and with all members known to be alive, all inventories are equal within this time. */
const REPAIR_MS = 15_000;
const HOUR_MS = 3_600_000;

/** Waits until all hosts show what all have, and says what is wrong if that takes too long. */
async function assertAgreement(sim: ClusterSim, limitMs = REPAIR_MS): Promise<number> {
  const ms = await sim.time.until(() => sim.agrees(), limitMs);
  assert.equal(sim.disagreement(), undefined);
  const [first, ...others] = sim.hosts.filter((host) => host.running).map((host) => sim.shownBy(host));
  for (const other of others) assert.equal(other, first);
  return ms ?? Infinity;
}

/** What hosts come to show of VMs that is not true any more: a state that is neither unknown nor what it is. */
function lies(sim: ClusterSim, observers: readonly SimHost[]): readonly string[] {
  const told: string[] = [];
  for (const { name, inventory } of observers) {
    inventory.watch({
      vm: (uuid, shown) => {
        const owner = sim.hosts.find((host) => host.uuid === shown?.host);
        const truth = owner?.vms.get(uuid)?.runstate;
        if (!shown || shown.runstate === Runstate.none || shown.runstate === truth) return;
        told.push(`${name}: VM ${shown.name} is ${shown.runstate}, but is ${truth}`);
      },
    });
  }
  return told;
}

/** So many changes of VMs on random hosts, spread over a time. */
async function churn(sim: ClusterSim, hosts: readonly SimHost[], changes: number, ms: number): Promise<void> {
  for (let change = 0; change < changes; change++) {
    const host = hosts[Math.floor(sim.random() * hosts.length)];
    const dice = sim.random();
    if (dice < 0.1) host?.put();
    else if (dice < 0.2) host?.remove([...host.vms.keys()].at(-1) ?? "");
    else host?.changeSomething();
    await sim.time.pass(ms / changes * 2 * sim.random());
  }
}

Deno.test("hosts that start together know each other's VMs in a few seconds", async () => {
  using sim = new ClusterSim({ hosts: 20, vmsPerHost: 50, wire: true });
  await sim.start();
  await assertAgreement(sim);
});

Deno.test("a change is known everywhere within two seconds, and hardly anybody has to ask", async () => {
  using sim = new ClusterSim({ hosts: 20, vmsPerHost: 10 });
  await sim.start();
  const before = sim.http.states;
  for (let change = 0; change < 10; change++) {
    sim.hosts[change]?.changeSomething();
    const ms = await sim.time.until(() => sim.agrees(), 2000, 10);
    assert.notEqual(ms, undefined, sim.disagreement());
    await sim.time.pass(1000);
  }
  const pulls = sim.http.states - before;
  assert.ok(pulls <= 10, `${pulls} pulls by 19 hosts`); // notes that were compared while the news was on its way
});

Deno.test("nothing is repeated while nothing changes: less than an event in two seconds", async () => {
  using sim = new ClusterSim({ hosts: 20, vmsPerHost: 50 });
  await sim.start();
  await sim.time.pass(60_000);
  const before = { events: sim.serf.traffic.events, ...sim.http };
  await sim.time.pass(600_000);
  assert.ok(sim.serf.traffic.events - before.events <= 20 * 12, `${sim.serf.traffic.events - before.events}`);
  assert.equal(sim.http.vms, before.vms);
});

Deno.test("with 30 % loss all inventories are equal soon after the last change", async () => {
  using sim = new ClusterSim({ hosts: 20, vmsPerHost: 50, seed: 3 });
  await sim.start();
  sim.network.loss = 0.3;
  await churn(sim, sim.hosts, 300, 60_000);
  await assertAgreement(sim);
});

Deno.test("if Serf carries nothing at all, comparing notes does", async () => {
  using sim = new ClusterSim({ hosts: 20, vmsPerHost: 20, seed: 4 });
  await sim.start();
  const silence = sim.hosts.map(({ agent }) => {
    const say = agent.userEvent;
    agent.userEvent = () => Promise.resolve();
    return () => agent.userEvent = say;
  });
  await churn(sim, sim.hosts, 50, 10_000);
  await assertAgreement(sim, 60_000);
  for (const end of silence) end();
});

Deno.test("the halves of a partition show each other as failed and unknown, and agree after it heals", async () => {
  using sim = new ClusterSim({ hosts: 12, vmsPerHost: 20, seed: 5 });
  await sim.start();
  const [left, right] = [sim.hosts.slice(0, 8), sim.hosts.slice(8)];
  sim.partition(left, right);
  await sim.time.pass(20_000);
  for (const [here, there] of [[left, right], [right, left]] as const) {
    for (const observer of here) {
      for (const subject of there) {
        assert.equal(observer.inventory.host(subject.uuid)?.cstate, HostState.failed);
        for (const vm of observer.inventory.vmsOf(subject.uuid)) {
          assert.equal(vm.runstate, Runstate.none);
          assert.equal(vm.cstate, HostState.failed);
          assert.equal(vm.lastrunstate, subject.vms.get(vm.uuid)?.runstate);
        }
      }
    }
    assert.ok(sim.agrees(here));
  }
  await churn(sim, sim.hosts, 300, 600_000);
  assert.ok(await sim.time.until(() => sim.agrees(left) && sim.agrees(right), REPAIR_MS) !== undefined);
  const told = lies(sim, sim.hosts);
  sim.heal();
  const allActive = () =>
    sim.hosts.every((observer) =>
      sim.hosts.every(({ uuid }) => observer.inventory.host(uuid)?.cstate === HostState.active)
    );
  assert.notEqual(await sim.time.until(allActive, 60_000), undefined);
  const ms = await assertAgreement(sim);
  assert.ok(ms <= 5000, `${ms} ms after Serf has met again`);
  assert.deepEqual(told, []);
});

Deno.test("of a host that lost power nobody shows what it had before, from its end until it says what is", async () => {
  using sim = new ClusterSim({ hosts: 8, vmsPerHost: 10, seed: 11, wire: true });
  await sim.start();
  await sim.time.pass(10_000);
  const [lost, ...others] = sim.hosts;
  assert.ok(lost);
  lost.stop();
  lost.agent.running = false;
  const shown = () =>
    others.flatMap((host) => Array.from(host.inventory.vmsOf(lost.uuid), (vm) => vm.runstate));
  assert.notEqual(
    await sim.time.until(() => shown().every((state) => state === Runstate.none), 60_000),
    undefined,
  );
  const told = lies(sim, others);
  for (const vm of lost.vms.values()) lost.vms.set(vm.uuid, { ...vm, runstate: Runstate.poweroff });
  lost.agent.running = true; // the daemon takes its time
  const isBack = () => others.every((host) => host.inventory.host(lost.uuid)?.cstate === HostState.active);
  assert.notEqual(await sim.time.until(isBack, 60_000), undefined);
  await sim.time.pass(10_000);
  assert.ok(shown().every((state) => state === Runstate.none));
  lost.start();
  await assertAgreement(sim);
  assert.ok(shown().every((state) => state === Runstate.poweroff));
  assert.deepEqual(told, []);
});

Deno.test("where packets go one way only between two hosts, the others help out", async () => {
  using sim = new ClusterSim({ hosts: 6, vmsPerHost: 20, seed: 6 });
  await sim.start();
  const [a, b] = sim.hosts;
  assert.ok(a && b);
  sim.blockOneWay(a, b);
  await churn(sim, [a, b], 60, 20_000);
  await assertAgreement(sim);
});

Deno.test("daemons that restart again and again, with and without their epoch, are believed", async () => {
  using sim = new ClusterSim({ hosts: 10, vmsPerHost: 20, seed: 7 });
  await sim.start();
  for (let restart = 0; restart < 40; restart++) {
    const host = sim.hosts[restart % 10];
    assert.ok(host);
    if (restart % 3 === 0) {
      host.forgetEpoch();
      host.skewMs -= 5 * 60_000; // and the clock goes back
    }
    host.stop();
    host.changeSomething();
    await sim.time.pass(500 * sim.random());
    host.start();
    host.changeSomething();
    await sim.time.pass(500 * sim.random());
  }
  await assertAgreement(sim);
});

Deno.test("an hour of clock skew changes nothing", async () => {
  using sim = new ClusterSim({ hosts: 6, vmsPerHost: 20, seed: 8 });
  for (const [number, host] of sim.hosts.entries()) host.skewMs = [-1, 0, 1][number % 3] as number * HOUR_MS;
  await sim.start();
  await churn(sim, sim.hosts, 100, 30_000);
  await assertAgreement(sim);
  for (const { uuid } of sim.hosts) {
    for (const observer of sim.hosts) {
      const seen = observer.inventory.seen(uuid) ?? 0;
      assert.ok(Math.abs(seen - observer.clock()) < 120_000, "seen is on the observer's clock");
    }
  }
});

Deno.test("whatever the clocks, a VM that has migrated is shown where it runs", async () => {
  for (const skewMs of [-HOUR_MS, HOUR_MS]) {
    using sim = new ClusterSim({ hosts: 3, vmsPerHost: 5 });
    const [source, target, observer] = sim.hosts;
    assert.ok(source && target && observer);
    source.skewMs = skewMs;
    await sim.start();
    const [vm] = source.vms.values();
    assert.ok(vm);
    const shown = async () => {
      await sim.time.pass(3000);
      const hosts = sim.hosts.map(({ inventory }) => inventory.vm(vm.uuid)?.host);
      assert.deepEqual(new Set(hosts).size, 1);
      return hosts[0];
    };
    target.put({ ...vm, host: target.uuid, runstate: Runstate.startup, ts: target.clock() });
    assert.equal(await shown(), source.uuid, "it runs at the source");
    source.put({ uuid: vm.uuid, runstate: Runstate.migrating });
    target.put({ uuid: vm.uuid, runstate: Runstate.running });
    assert.equal(await shown(), target.uuid, "it runs at the target");
    source.put({ uuid: vm.uuid, runstate: Runstate.poweroff });
    assert.equal(await shown(), target.uuid);
    source.remove(vm.uuid);
    assert.equal(await shown(), target.uuid);
    target.remove(vm.uuid);
    assert.equal(await shown(), undefined);
  }
});

Deno.test("a host that comes back with an old state does not take its former VMs from who runs them now", async () => {
  using sim = new ClusterSim({ hosts: 5, vmsPerHost: 10, seed: 9 });
  await sim.start();
  const [old, other] = sim.hosts;
  assert.ok(old && other);
  const [vm] = old.vms.values();
  assert.ok(vm);
  old.stop();
  old.agent.running = false;
  await sim.time.pass(20_000);
  other.put({ ...vm, host: other.uuid, runstate: Runstate.running, ts: other.clock() });
  await sim.time.pass(5000);
  for (const { inventory } of [other, ...sim.hosts.slice(2)]) {
    assert.equal(inventory.vm(vm.uuid)?.host, other.uuid);
  }
  old.agent.running = true;
  old.forgetEpoch();
  old.skewMs = HOUR_MS;
  for (const { uuid } of [...old.vms.values()]) old.put({ uuid, runstate: Runstate.poweroff });
  old.start();
  await assertAgreement(sim, 60_000);
  for (const { inventory } of sim.hosts) assert.equal(inventory.vm(vm.uuid)?.host, other.uuid);
  other.remove(vm.uuid);
  await sim.time.pass(5000);
  for (const { inventory } of sim.hosts) assert.equal(inventory.vm(vm.uuid)?.host, old.uuid);
});

Deno.test("what was missed while the daemon or its agent was stopped is made good", async () => {
  using sim = new ClusterSim({ hosts: 6, vmsPerHost: 20, seed: 10 });
  await sim.start();
  const [stopped, cut] = sim.hosts;
  assert.ok(stopped && cut);
  stopped.agent.reading = false;
  cut.agent.running = false;
  await sim.time.pass(15_000);
  assert.notEqual(cut.cluster?.staleSince, undefined);
  await churn(sim, sim.hosts, 700, 60_000); // more than the agent keeps
  stopped.agent.reading = true;
  cut.agent.running = true;
  await assertAgreement(sim, 90_000);
  assert.equal(cut.cluster?.staleSince, undefined);
});

Deno.test("a storm of changes on one host is pulled rather than said, and nobody else has to wait", async () => {
  using sim = new ClusterSim({ hosts: 20, vmsPerHost: 400, seed: 11 });
  await sim.start();
  await sim.time.pass(5000);
  const [storm, calm] = sim.hosts;
  assert.ok(storm && calm);
  const before = sim.serf.traffic.events;
  for (const { uuid } of [...storm.vms.values()]) storm.put({ uuid, runstate: Runstate.paused });
  calm.changeSomething();
  const ms = await assertAgreement(sim);
  assert.ok(ms < 5000, `${ms} ms`);
  assert.ok(sim.serf.traffic.events - before < 20, `${sim.serf.traffic.events - before} events`);
});

Deno.test("a host of the prototype is understood, and told everything again and again", async () => {
  using sim = new ClusterSim({ hosts: 3, vmsPerHost: 5, seed: 12 });
  const uuid = numberedUuid(77);
  const prototype = sim.serf.join("proto", { uuid });
  await sim.start();
  const heard = new Map<string, number>();
  const listening = (async () => {
    for await (const event of prototype.events) {
      if (event.kind !== "user") continue;
      const record = decodeRecord(event.name, event.payload);
      if (record?.kind === "vm" && record.vm.host !== uuid) {
        heard.set(record.vm.uuid, (heard.get(record.vm.uuid) ?? 0) + 1);
      }
    }
  })();
  const say = async () => {
    const host = encodeHostInfo(hostInfoOf(hostEntry({ uuid, ts: sim.time.now() })));
    const vm = encodeVmInfo(vmInfo({ uuid: numberedUuid(770), host: uuid, name: "old", ts: sim.time.now() }));
    assert.ok(host && vm);
    await prototype.userEvent("HI", host);
    await prototype.userEvent("VI", vm);
    await sim.time.pass(15_000);
  };
  for (let cycle = 0; cycle < 5; cycle++) await say();
  for (const { inventory, cluster } of sim.hosts) {
    assert.equal(inventory.host(uuid)?.cstate, HostState.active);
    assert.equal(inventory.vm(numberedUuid(770))?.name, "old");
    assert.equal(cluster?.member(uuid)?.peer.prototype, true);
  }
  assert.equal(heard.size, 15);
  assert.ok([...heard.values()].every((times) => times >= 3 && times <= 5));
  prototype.running = false;
  await sim.time.pass(15_000);
  for (const { inventory } of sim.hosts) {
    assert.equal(inventory.vm(numberedUuid(770))?.runstate, Runstate.none);
  }
  prototype.reconnect();
  await listening;
});

Deno.test("a host whose UUID is taken does not join, and one that is cloned later is not believed", async () => {
  using sim = new ClusterSim({ hosts: 4, vmsPerHost: 5, seed: 13 });
  const [original] = sim.hosts;
  const clone = sim.hosts.pop();
  assert.ok(original && clone);
  await sim.start();
  await sim.time.pass(5000);
  await assert.rejects(
    clone.startAs(original.uuid),
    (error: unknown) =>
      error instanceof VirtxError && error.kind === "unavailable" && error.message.includes("virt1"),
  );
  clone.stop();
  await clone.agent.setTags({ uuid: original.uuid, virtxd: "1" });
  await sim.time.pass(10_000);
  for (const { cluster } of sim.hosts) assert.equal(cluster?.member(original.uuid)?.peer.name, "virt1");
  assert.ok(sim.agrees());
});

Deno.test("that a host runs another version now is news to those who list the hosts", async () => {
  using sim = new ClusterSim({ hosts: 2, vmsPerHost: 0 });
  await sim.start();
  const [one, two] = sim.hosts;
  assert.ok(one && two);
  await sim.time.pass(5000);
  let before = 0;
  await two.agent.setTags({ virtxd: "1" });
  await sim.time.until(
    () => {
      if (one.cluster?.member(two.uuid)?.peer.earlier) return true;
      before = one.inventory.hostTable.version;
      return false;
    },
    10_000,
    10,
  );
  assert.ok(one.inventory.hostTable.version > before);
});

Deno.test("a host alone keeps its inventory and answers for it", async () => {
  using sim = new ClusterSim({ hosts: 1, vmsPerHost: 5 });
  const [host] = sim.hosts;
  assert.ok(host);
  host.agent.running = false;
  await host.startAs(host.uuid, { alone: true });
  host.changeSomething();
  await sim.time.pass(60_000);
  assert.equal(host.cluster?.caughtUp, true);
  assert.equal(host.cluster?.staleSince, undefined);
  const [state] = host.cluster?.states([{ uuid: host.uuid, since: undefined }]) ?? [];
  assert.equal(state?.vms.length, 5);
  assert.equal(state?.seq, 1);
  const vector = host.cluster?.vector("");
  assert.equal(host.cluster?.vector(vector?.digest ?? ""), undefined);
});

Deno.test("a host that is reaped stays as failed with its VMs until it is dismissed, and then nobody brings it back", async () => {
  const lines: LogLine[] = [];
  using sim = new ClusterSim({ hosts: 4, vmsPerHost: 5, seed: 14, log: recordingLogger(lines) });
  await sim.start();
  const gone = sim.hosts.pop();
  assert.ok(gone);
  gone.stop();
  gone.agent.running = false;
  await sim.time.pass(20_000);
  const [first] = sim.hosts;
  sim.serf.announce(gone.agent, undefined, 0);
  await sim.time.pass(60_000);
  for (const { inventory } of sim.hosts) {
    assert.equal(inventory.host(gone.uuid)?.cstate, HostState.failed);
    assert.deepEqual([...inventory.vmsOf(gone.uuid)].map(({ runstate }) => runstate), Array(5).fill(0));
  }
  assert.equal(first?.cluster?.hasTold(gone.uuid), false);
  const told = lines.filter(({ message, fields }) =>
    message === "a host has changed" && fields["host"] === gone.uuid
  )
    .map(({ fields }) => `${fields["name"]} ${fields["before"]} ${fields["after"]}`);
  for (const change of ["active failed", "failed undefined"]) {
    assert.equal(told.filter((line) => line === `${gone.name} ${change}`).length, 3, told.join());
  }
  for (const { cluster } of sim.hosts) cluster?.dismiss(gone.uuid);
  assert.ok(sim.agrees());
  for (const { inventory } of sim.hosts) assert.equal([...inventory.vms()].length, 15);
});

Deno.test("a host that has failed is dismissed although others tell of it, until it is there again", async () => {
  using sim = new ClusterSim({ hosts: 4, vmsPerHost: 5, seed: 16 });
  await sim.start();
  const [first, second, , away] = sim.hosts;
  assert.ok(first?.cluster && second && away);
  first.cluster.dismiss(away.uuid); // not while it is active
  assert.equal([...first.inventory.vms()].length, 20);
  away.stop();
  away.agent.running = false;
  await sim.time.pass(20_000);
  first.cluster.dismiss(away.uuid);
  await sim.time.pass(60_000);
  assert.equal(first.inventory.host(away.uuid), undefined);
  assert.deepEqual([[...first.inventory.vms()].length, [...second.inventory.vms()].length], [15, 20]);
  away.agent.running = true;
  away.start();
  await sim.time.pass(60_000);
  assert.equal(first.inventory.host(away.uuid)?.cstate, HostState.active);
  assert.equal([...first.inventory.vms()].length, 20);
});

Deno.test("a host that has forgotten a later life of its own learns of it from those who only heard of it", async () => {
  using sim = new ClusterSim({ hosts: 2, vmsPerHost: 3, seed: 15 });
  await sim.start();
  const [forgetful, other] = sim.hosts;
  assert.ok(forgetful && other);
  forgetful.skewMs = HOUR_MS;
  forgetful.restart();
  forgetful.changeSomething();
  await sim.time.pass(250); // the word is out, but not what it means
  forgetful.stop();
  forgetful.forgetEpoch();
  forgetful.skewMs = 0;
  forgetful.start();
  await assertAgreement(sim, 30_000);
});

Deno.test("after any faults in any order all inventories are equal again", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    using sim = new ClusterSim({ hosts: 3 + seed % 6, vmsPerHost: 3 * seed, seed, wire: seed === 5 });
    await sim.start();
    for (let fault = 0; fault < 30; fault++) {
      inflict(sim);
      await churn(sim, sim.hosts, 5, 1000);
      await sim.time.pass(sim.random() * 15_000);
    }
    sim.heal();
    sim.network.loss = 0;
    for (const host of sim.hosts) {
      host.agent.reading = true;
      if (!host.agent.running) host.agent.running = true;
      if (!host.running) host.start();
    }
    await sim.time.pass(60_000); // as long as it may take Serf to meet again
    await assertAgreement(sim);
  }
});

/** Some fault, or the end of one, to some host. */
function inflict(sim: ClusterSim): void {
  const some = () => sim.hosts.filter(() => sim.random() < 0.5);
  const one = () => sim.hosts[Math.floor(sim.random() * sim.hosts.length)] as SimHost;
  const [host, other] = [one(), one()];
  const faults: (() => void)[] = [
    () => {
      const group = some();
      sim.partition(group, sim.hosts.filter((member) => !group.includes(member)));
    },
    () => host !== other && sim.blockOneWay(host, other),
    () => sim.heal(),
    () => sim.network.loss = 0.6 * sim.random(),
    () => host.running ? host.stop() : host.start(),
    () => host.running && host.restart(),
    () => {
      host.forgetEpoch();
      host.skewMs = Math.round((2 * sim.random() - 1) * HOUR_MS);
      if (host.running) host.restart();
    },
    () => host.agent.running = !host.agent.running,
    () => host.agent.reading = false,
    () => host.agent.reading = true,
  ];
  faults[Math.floor(sim.random() * faults.length)]?.();
}

Deno.test("who asks a host for what it has just done sees it at once, though no news of it arrive", async () => {
  using sim = new ClusterSim({ hosts: 3, vmsPerHost: 5, wire: true });
  await sim.start();
  const [one, two] = sim.hosts as [SimHost, SimHost];
  one.agent.userEvent = () => Promise.resolve();
  const caughtUp = async () => {
    let done = false;
    const asked = two.cluster?.catchUp(one.uuid).then(() => done = true);
    await sim.time.until(() => done, 100, 1);
    await asked;
  };
  const vm = one.put({ name: "new" });
  for (const step of [() => one.put({ uuid: vm.uuid, runstate: Runstate.running }), () => one.put()]) {
    const changed = step();
    await caughtUp();
    assert.deepEqual(two.inventory.claimsOf(one.uuid).get(changed.uuid)?.runstate, changed.runstate);
  }
  one.remove(vm.uuid);
  await caughtUp();
  assert.equal(two.inventory.vm(vm.uuid), undefined);
  await assertAgreement(sim);
});

Deno.test("a host that does not answer holds up who asks it only for a moment", async () => {
  using sim = new ClusterSim({ hosts: 3, vmsPerHost: 1 });
  await sim.start();
  const [one, two] = sim.hosts as [SimHost, SimHost];
  sim.network.up = (from, to) => from === to;
  let done = false;
  const asked = two.cluster?.catchUp(one.uuid).then(() => done = true);
  assert.ok((await sim.time.until(() => done, 10_000, 10) ?? Infinity) <= 3_000);
  await asked;
});

Deno.test("a host that starts is not ready until all that are there have told of their VMs", async () => {
  using sim = new ClusterSim({ hosts: 6, vmsPerHost: 20, seed: 21 });
  await sim.start();
  await sim.time.pass(5_000);
  const [one] = sim.hosts as [SimHost];
  one.restart();
  assert.equal(one.cluster?.caughtUp, false);
  assert.match(one.cluster?.unsure ?? "", /has not joined/);
  for (;;) {
    await sim.time.pass(10);
    const missing = sim.hosts.filter((host) => one.inventory.claimsOf(host.uuid).size < host.vms.size);
    if (one.cluster?.unsure === undefined) assert.deepEqual(missing.map(({ name }) => name), []);
    if (one.cluster?.caughtUp) break;
  }
  assert.equal(one.cluster.unsure, undefined);
  assert.ok(sim.time.now() < 20_000, `${sim.time.now()} ms`);
});

Deno.test("who does not tell of its VMs is named, and waited for ten seconds", async () => {
  using sim = new ClusterSim({ hosts: 2, vmsPerHost: 5, seed: 22 });
  await sim.start();
  const [one, two] = sim.hosts as [SimHost, SimHost];
  two.stop(); // its agent lives
  one.restart();
  const began = sim.time.now();
  await sim.time.until(() => one.cluster?.caughtUp === true, 60_000, 100);
  assert.ok(Math.abs(sim.time.now() - began - 10_000) < 1_000, `${sim.time.now() - began} ms`);
  assert.deepEqual(one.cluster?.untold, ["virt2"]);
  assert.match(one.cluster?.unsure ?? "", /the VMs of host "virt2" are not known yet/);
  two.start();
  const ms = await sim.time.until(() => one.cluster?.unsure === undefined, 30_000, 100);
  assert.notEqual(ms, undefined);
  assert.equal(one.inventory.claimsOf(two.uuid).size, 5);
});

Deno.test("while Serf is away, or a host was, what others have is not known for sure", async () => {
  using sim = new ClusterSim({ hosts: 3, vmsPerHost: 2, seed: 23 });
  await sim.start();
  await sim.time.until(() => sim.hosts.every(({ cluster }) => cluster?.unsure === undefined), 30_000);
  const [one, two, three] = sim.hosts as [SimHost, SimHost, SimHost];
  assert.equal(one.cluster?.unsure, undefined);
  sim.partition([one, two], [three]);
  await sim.time.pass(20_000);
  three.put({ name: "unheard-of" });
  sim.heal();
  await sim.time.until(() => one.inventory.host(three.uuid)?.cstate === HostState.active, 60_000, 10);
  assert.match(one.cluster?.unsure ?? "", /virt3/);
  await assertAgreement(sim, 60_000);
  await sim.time.pass(1_000);
  assert.equal(one.cluster?.unsure, undefined);
  one.agent.running = false;
  await sim.time.pass(1_000);
  assert.match(one.cluster?.unsure ?? "", /Serf is away/);
});

Deno.test("a host that knows no storage takes back what its agent has told of an earlier one", async () => {
  using sim = new ClusterSim({ hosts: 2, vmsPerHost: 0 });
  await sim.start();
  const [host, other] = sim.hosts;
  assert.ok(host?.cluster && other);
  const told = async () => (await other.cluster?.toldStorages())?.map(({ id }) => id);
  const [one, two] = [numberedUuid(1), numberedUuid(2)];
  await host.cluster.tellStorage(one);
  assert.deepEqual(await told(), [one]);
  await host.cluster.tellStorage(undefined);
  assert.deepEqual(await told(), []);
  await host.cluster.tellStorage(two);
  host.stop();
  assert.deepEqual(await told(), [two], "the agent tells it on");
  await host.startAs(host.uuid);
  assert.deepEqual(await told(), []);
});
