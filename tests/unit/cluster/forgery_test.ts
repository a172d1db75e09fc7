import assert from "node:assert/strict";
import { EpochFile } from "../../../lib/cluster/epoch.ts";
import { encodeHostInfo, encodeVmEvent, hostInfoOf, RECORD_NAMES } from "../../../lib/cluster/records.ts";
import type { Stamp } from "../../../lib/cluster/stamp.ts";
import { inBackground } from "../../../lib/model/background.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { ClusterSim, type SimHost } from "../../support/cluster_sim.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { hostEntry, numberedUuid } from "../../support/vm_info.ts";

const YEAR_MS = 366 * 24 * 3_600_000;
/** A new VM is known everywhere within this time, whatever was forged before. */
const SOON_MS = 30_000;

/** A cluster in which a member of Serf that is nobody's host speaks in the name of one. */
async function withRogue(
  options: { hosts?: number; seed?: number },
  act: (
    o: { sim: ClusterSim; victim: SimHost; forge: (stamp: Partial<Stamp>, uuid?: string) => void },
  ) => Promise<void>,
): Promise<void> {
  using sim = new ClusterSim({
    hosts: options.hosts ?? 4,
    vmsPerHost: 3,
    seed: options.seed ?? 7,
    wire: true,
  });
  await sim.start();
  await sim.time.pass(20_000);
  const [victim] = sim.hosts;
  assert.ok(victim);
  const rogue = sim.serf.join("rogue");
  const forge = (stamp: Partial<Stamp>, uuid = numberedUuid(77)) => {
    const { epoch, seq, digest } = stampOf(victim);
    const payload = encodeVmEvent(
      { uuid, host: victim.uuid, runstate: Runstate.running, ts: 5 },
      { epoch, seq, digest, ...stamp },
    );
    assert.ok(payload);
    inBackground(rogue.userEvent(RECORD_NAMES.event, payload));
  };
  await act({ sim, victim, forge });
}

function stampOf(host: SimHost): Stamp {
  const own = host.cluster?.vector("")?.origins.find(({ uuid }) => uuid === host.uuid);
  assert.ok(own);
  return own;
}

/** Whatever the host does from now on is known to all others. */
async function assertHeard(sim: ClusterSim, host: SimHost): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const vm = host.put();
    const known = () => sim.hosts.every(({ inventory }) => inventory.claimsOf(host.uuid).has(vm.uuid));
    assert.notEqual(await sim.time.until(known, SOON_MS), undefined, `a new VM of ${host.name} is not known`);
  }
  assert.notEqual(await sim.time.until(() => sim.agrees(), SOON_MS), undefined, sim.disagreement());
}

Deno.test("one record of any epoch in a host's name mutes it for nobody, before nor after its restart", async () => {
  const now = Date.UTC(2026, 0, 1);
  const epochs = [
    Number.MAX_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER - 1,
    2 ** 52,
    now + 10 * YEAR_MS,
    now + YEAR_MS / 2,
    1,
  ];
  for (const epoch of epochs) {
    await withRogue({}, async ({ sim, victim, forge }) => {
      forge({ epoch, seq: 5 });
      await sim.time.pass(1000);
      await assertHeard(sim, victim);
      assert.ok(Number.isSafeInteger(stampOf(victim).epoch + 1));
      victim.restart();
      victim.put();
      await assertHeard(sim, victim);
    });
  }
});

Deno.test("records of a host's present life with sequences and digests that it never gave mute it for nobody", async () => {
  for (const seq of [Number.MAX_SAFE_INTEGER, 1_000_000, 1, 2, 60]) {
    await withRogue({}, async ({ sim, victim, forge }) => {
      const { seq: last } = stampOf(victim);
      forge({ seq: Math.min(Number.MAX_SAFE_INTEGER, last + seq), digest: "0123456789abcdef" });
      await sim.time.pass(1000);
      await assertHeard(sim, victim);
    });
  }
});

Deno.test("a whole forged story that adds up is ended by what the host itself says", async () => {
  await withRogue({}, async ({ sim, victim }) => {
    const rogue = sim.serf.join("storyteller");
    const { epoch, seq, digest } = stampOf(victim);
    const host = hostInfoOf(hostEntry({ uuid: victim.uuid }));
    for (let step = 1; step <= 70; step++) { // figures do not change the digest
      inBackground(rogue.userEvent(
        RECORD_NAMES.host,
        encodeHostInfo(host, { epoch, seq: seq + step, digest }) ?? new Uint8Array(),
      ));
      await sim.time.pass(500); // lest they overtake each other
    }
    await assertHeard(sim, victim);
  });
});

Deno.test("a host that was years ahead is heard after its clock was set right, with and without its epoch", async () => {
  for (const years of [0.5, 1.5, 40]) {
    for (const forgets of [false, true]) {
      using sim = new ClusterSim({ hosts: 4, vmsPerHost: 3, seed: 8, wire: true });
      const [host] = sim.hosts;
      assert.ok(host);
      host.skewMs = Math.round(years * YEAR_MS);
      await sim.start();
      await assertHeard(sim, host);
      host.stop();
      host.skewMs = 0;
      if (forgets) host.forgetEpoch();
      host.start();
      await assertHeard(sim, host);
    }
  }
});

Deno.test("one host whose clock is of 1970 hears and is heard", async () => {
  using sim = new ClusterSim({ hosts: 3, vmsPerHost: 2, seed: 9, wire: true });
  const [host, other] = sim.hosts;
  assert.ok(host && other);
  host.skewMs = -Date.UTC(2026, 0, 1) + 1000;
  await sim.start();
  await assertHeard(sim, host);
  await assertHeard(sim, other);
  host.restart();
  await assertHeard(sim, host);
});

Deno.test("a minute of forged records of all kinds has nobody asked without end, and leaves nothing behind", async () => {
  await withRogue({ hosts: 5 }, async ({ sim, victim, forge }) => {
    const before = sim.http.states;
    const FLOOD_MS = 60_000;
    for (let ms = 0; ms < FLOOD_MS; ms += 5) {
      const { epoch, seq } = stampOf(victim);
      const kind = Math.floor(sim.random() * 6);
      const digest = Math.floor(sim.random() * 2 ** 32).toString(16).padStart(16, "0");
      if (kind === 0) forge({ epoch: Number.MAX_SAFE_INTEGER - Math.floor(sim.random() * 1e6) });
      else if (kind === 1) forge({ epoch: epoch + 1 + Math.floor(sim.random() * YEAR_MS), digest });
      else if (kind === 2) forge({ seq: seq + 1 + Math.floor(sim.random() * 100), digest });
      else if (kind === 3) forge({ seq: Number.MAX_SAFE_INTEGER - Math.floor(sim.random() * 1e6) });
      else if (kind === 4) forge({ epoch: 1 + Math.floor(sim.random() * 1e9) });
      else forge({ seq: seq + 1, digest }, numberedUuid(5000 + ms));
      await sim.time.pass(5);
    }
    const asked = sim.http.states - before;
    // Each of five hosts may ask about twice a second while everything that it hears is a lie.
    assert.ok(asked <= 5 * 2 * FLOOD_MS / 1000, `${asked} questions`);
    await assertHeard(sim, victim);
    const later = sim.http.states;
    await sim.time.pass(60_000);
    // Five hosts that may ask once in ten seconds, as what they heard last may still be open.
    assert.ok(sim.http.states - later <= 30, `${sim.http.states - later} questions when all is quiet again`);
  });
});

Deno.test("what cannot be understood is reported with its sender's name, and no longer than it lasts", async () => {
  await withRogue({}, async ({ sim, victim, forge }) => {
    const rogue = sim.serf.join("garbler");
    const record = encodeVmEvent({
      uuid: numberedUuid(1),
      host: victim.uuid,
      runstate: 99 as Runstate,
      ts: 1,
    });
    assert.ok(record);
    for (let at = 0; at < 12; at++) await rogue.userEvent(RECORD_NAMES.event, record);
    await rogue.userEvent(RECORD_NAMES.vm, new Uint8Array([1, 2, 3]));
    forge({ epoch: Number.MAX_SAFE_INTEGER });
    await sim.time.pass(10_000);
    const [, other] = sim.hosts;
    const reasons = (host: SimHost | undefined) => host?.health.conditions.map(({ reason }) => reason).join();
    assert.match(
      reasons(other) ?? "",
      /virt1 sends records that cannot be understood \(12 in the last minute\): is it/,
    );
    assert.match(reasons(other) ?? "", /somebody sends records that cannot be understood \(1 in/);
    assert.match(reasons(victim) ?? "", /a life of this host that cannot have been/);
    assert.ok(sim.hosts.every(({ health }) => health.conditions.every(({ blocking }) => !blocking)));
    await sim.time.pass(180_000);
    assert.deepEqual(sim.hosts.map(reasons), ["", "", "", ""]);
  });
});

Deno.test("a host that cannot tell the others anything says so, until it can", async () => {
  using sim = new ClusterSim({ hosts: 2, vmsPerHost: 1, seed: 4 });
  await sim.start();
  const [host] = sim.hosts;
  assert.ok(host);
  const say = host.agent.userEvent;
  host.agent.userEvent = () => Promise.reject(new VirtxError("refused", "user event exceeds limit"));
  host.put();
  await sim.time.pass(1000);
  const [condition] = host.health.conditions;
  assert.match(condition?.reason ?? "", /cannot tell the other hosts .*exceeds limit/);
  assert.equal(condition?.blocking, true);
  host.agent.userEvent = say;
  host.put();
  await sim.time.pass(1000);
  assert.deepEqual(host.health.conditions, []);
});

Deno.test("an epoch that a host kept from a forged record is not gone on after", async () => {
  await using directory = await TempDir.create();
  const path = `${directory.path}/epoch`;
  const now = Date.UTC(2026, 0, 1);
  for (const kept of [2 ** 53, 2 ** 53 - 1, 2 ** 53 - 2, now + 2 * YEAR_MS, Infinity, -5, 1.5]) {
    await Deno.writeTextFile(path, `${kept}\n`);
    assert.equal(await new EpochFile(path, () => now).next(), now);
    assert.equal(await new EpochFile(path, () => now).next(), now + 1);
  }
});
