import assert from "node:assert/strict";
import { HostState, MigrationState, MigrationType, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { FaultHook } from "../../../lib/model/fault.ts";
import { type Logger, silentLogger } from "../../../lib/model/log.ts";
import type { Operation } from "../../../lib/model/operation.ts";
import type { MigrationInfo, Vmdef, VmMigrateOptions } from "../../../lib/model/vm.ts";
import { type MigrationRecord, MigrationRecords } from "../../../lib/registry/migration_record.ts";
import { Registry } from "../../../lib/registry/registry.ts";
import { lastMigration } from "../../../lib/vm/migration_progress.ts";
import { until } from "../../../scripts/lab/until.ts";
import { ScriptedPeers } from "../../support/scripted_peers.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

/**
 * Migrations on libvirt's test driver, which refuses to migrate: so a migration that begins here fails, and what follows it
 * is what the other host, which is scripted, says that it has. Migrations that succeed are tests/lab's.
 */

const OTHER = numberedUuid(2000);
const THIRD = numberedUuid(3000);
const WEB: Vmdef = { ...SMALL_VMDEF, name: "web", osdisk: diskAt("/vms/ds/web/os.qcow2", { size: 8 }) };
const LIVE: VmMigrateOptions = {
  host: OTHER,
  migration_type: MigrationType.live,
  deadline: 0,
  convergence: [],
  bandwidth: 0,
  connections: 0,
};
const COLD: VmMigrateOptions = { ...LIVE, migration_type: MigrationType.cold };

/** A host with the VM "web", and another two that would take it, the third with less on it. */
class Fixture implements AsyncDisposable {
  private constructor(readonly host: VmHost, readonly peers: ScriptedPeers, readonly vm: string) {}

  static async create(
    o: { readonly off?: boolean; readonly fault?: FaultHook; readonly log?: Logger } = {},
  ): Promise<Fixture> {
    await using undo = new AsyncDisposableStack();
    const peers = new ScriptedPeers();
    const host = undo.use(await VmHost.start(o.fault, peers, o.log));
    const { inventory, monitor } = host.host;
    const arch = inventory.host(monitor.uuid)?.def.cpuarch;
    assert.ok(arch);
    const memory = {
      total: 9_000,
      used: 0,
      free: 0,
      usedos: 0,
      reservedvms: 0,
      usedvms: 0,
      availablevms: 9_000,
    };
    for (const [index, uuid] of [OTHER, THIRD].entries()) {
      const entry = hostEntry({ uuid });
      const def = { ...entry.def, name: `virt${index + 2}`, cpuarch: arch };
      inventory.putHost({ ...entry, def, resources: { ...entry.resources, memory } });
      peers.addresses.set(uuid, `192.0.2.${index + 2}`);
      peers.verdicts.set(uuid, { obstacles: [], load: 0.5 - index / 10 });
    }
    await host.vms.recover();
    const vm = await host.vms.create({ vmdef: WEB, host: "" });
    if (!o.off) await host.vms.boot(vm, { cloud_init: [] });
    undo.move();
    return new Fixture(host, peers, vm);
  }

  /** What a migration leaves that began in an earlier life, and another life that finds it. */
  async afterCrash(record: Partial<MigrationRecord> = {}): Promise<void> {
    const { host, vm } = this;
    await host.migrations.write({
      vm,
      source: host.host.monitor.uuid,
      target: OTHER,
      running: true,
      held: false,
      startedAt: 1,
      options: LIVE,
      ...record,
    });
    await host.vms.recover();
  }

  /** What another host has on shared storage of a migration of the VM from there to this one. */
  async arrivesFrom(source: string, record: Partial<MigrationRecord> = {}): Promise<void> {
    const target = this.host.host.monitor.uuid;
    const options = { ...LIVE, host: target };
    const full = {
      vm: this.vm,
      source,
      target,
      running: true,
      held: false,
      startedAt: 1,
      options,
      ...record,
    };
    await this.#recordsOf(source).write(full);
  }

  async forgetsArrival(source: string): Promise<void> {
    await this.#recordsOf(source).remove(this.vm);
  }

  #recordsOf(hostUuid: string): MigrationRecords {
    return new MigrationRecords({ tree: this.host.shared.tree, hostUuid, log: silentLogger });
  }

  async ended(): Promise<MigrationInfo> {
    return await until("the migration to be settled", async () => {
      const info = await this.host.vms.migration(this.vm);
      return await this.#isSettled() ? info : undefined;
    }, 10_000);
  }

  /** Waits for the end of a migration that may leave this host without the VM. */
  async settled(): Promise<void> {
    await until("the migration to be settled", async () => await this.#isSettled() || undefined, 10_000);
  }

  /** The record goes first; then, what is shown of the VM follows. */
  async #isSettled(): Promise<boolean> {
    return (await this.host.migrations.list()).length === 0 && this.runstate() !== Runstate.migrating;
  }

  /** Waits until the VM is shown in a run state, which comes a little after the news of its migration. */
  async shows(runstate: Runstate): Promise<void> {
    await until(`run state ${runstate}`, () => this.runstate() === runstate || undefined, 10_000);
  }

  runstate(): Runstate | undefined {
    return this.host.host.monitor.domain(this.vm)?.runstate;
  }

  /** In whose directories of the registry the VM is. */
  async registered(): Promise<string[]> {
    const hosts = [this.host.host.monitor.uuid, OTHER];
    const found = await Promise.all(hosts.map(async (hostUuid) => {
      const there = await new Registry({ tree: this.host.shared.tree, hostUuid }).read(this.vm);
      return there === undefined ? [] : [hostUuid === OTHER ? "there" : "here"];
    }));
    return found.flat();
  }

  async records(): Promise<string[]> {
    const { stats } = await this.host.vms.get(this.vm);
    return stats.oplog.items.filter(({ op }) => op === "VmMigrate").map(({ status, msg }) =>
      `${status} ${msg}`
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

function failsWith(kind: VirtxError["kind"], message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof VirtxError, String(error));
    assert.equal(error.kind, kind, error.message);
    assert.match(error.message, message);
    return true;
  };
}

Deno.test("a target that is named is refused with every reason, before anything has begun", async () => {
  await using fixture = await Fixture.create();
  const { host: { vms, host, migrations }, peers, vm } = fixture;
  const to = (uuid: string) => vms.migrate(vm, { ...LIVE, host: uuid });
  await assert.rejects(to(numberedUuid(9)), failsWith("unavailable", /"web": .* is not known/));
  await assert.rejects(to(host.monitor.uuid), failsWith("conflict", /is there already/));
  peers.verdicts.set(OTHER, {
    obstacles: [{ code: "cpu", message: "lacks avx" }, { code: "bridge", message: "no bridge br7" }],
    load: 0,
  });
  await assert.rejects(to(OTHER), (error) => {
    failsWith("conflict", /lacks avx; .*no bridge br7/)(error);
    assert.ok(error instanceof VirtxError);
    assert.equal(error.issues.length, 2);
    return true;
  });
  peers.verdicts.delete(OTHER);
  await assert.rejects(to(OTHER), failsWith("unreachable", /does not answer/));
  host.inventory.setHostState(OTHER, HostState.failed);
  await assert.rejects(to(OTHER), failsWith("unavailable", /not active but failed/));
  assert.deepEqual(await migrations.list(), []);
  await fixture.shows(Runstate.running);
  assert.deepEqual(await fixture.records(), []);
});

Deno.test("without a name the least loaded host that fits is chosen; dry run tells of all", async () => {
  await using fixture = await Fixture.create();
  const { host: { vms }, peers, vm } = fixture;
  const any = { ...LIVE, host: "" };
  const order = async () => (await vms.migrationTargets(vm, any)).map(({ host, fits }) => [host, fits]);
  assert.deepEqual(await order(), [[THIRD, true], [OTHER, true]]);
  const obstacles = [{ code: "memory", message: "too little" }];
  peers.verdicts.set(THIRD, { obstacles, load: 0.1 });
  assert.deepEqual(await order(), [[OTHER, true], [THIRD, false]]);
  peers.verdicts.set(OTHER, { obstacles: [], load: 0.97 });
  const [first, second] = await vms.migrationTargets(vm, any);
  assert.deepEqual(first?.obstacles, [{
    code: "overloaded",
    message: "its load would be 97 %; a host with more room is preferred",
    soft: true,
  }]);
  assert.deepEqual(second?.obstacles, obstacles);
  const named = await vms.migrationTargets(vm, LIVE);
  assert.deepEqual(named.map(({ fits }) => fits), [true]); // whatever its load
  peers.verdicts.set(THIRD, { obstacles: [], load: 0.1 });
  assert.deepEqual(await order(), [[THIRD, true], [OTHER, true]]);
  peers.verdicts.set(THIRD, { obstacles, load: 0.1 });
  await vms.migrate(vm, any); // the only one that can take it does, busy as it is
  assert.equal((await vms.migration(vm)).target, OTHER);
});

Deno.test("a host of the prototype is chosen when no other can take the VM, however busy, and when it is named", async () => {
  await using fixture = await Fixture.create();
  const { host: { vms }, peers, vm } = fixture;
  const any = { ...LIVE, host: "" };
  const told = {
    code: "prototype",
    message: "nobody can tell whether it sees the disks",
    soft: true as const,
  };
  peers.verdicts.set(OTHER, { fits: true, obstacles: [told], load: 0.1 });
  peers.verdicts.set(THIRD, { obstacles: [], load: 0.97 });
  const order = async () => (await vms.migrationTargets(vm, any)).map(({ host, fits }) => [host, fits]);
  assert.deepEqual(await order(), [[THIRD, true], [OTHER, true]]);
  const named = await vms.migrationTargets(vm, LIVE);
  assert.deepEqual(named.map(({ fits, obstacles }) => [fits, obstacles]), [[true, [told]]]);
  peers.verdicts.set(THIRD, { obstacles: [{ code: "memory", message: "too little" }], load: 0.1 });
  await vms.migrate(vm, any);
  assert.equal((await vms.migration(vm)).target, OTHER);
});

Deno.test("a disk that cannot be identified is the answer to a dry run, and nothing escapes", async (t) => {
  await using fixture = await Fixture.create({ off: true });
  const { host: { vms, host, shared }, vm } = fixture;
  const xml = await host.hypervisor.definition(vm);
  const cases: readonly (readonly [name: string, path: string, reason: RegExp])[] = [
    ["missing", "/vms/ds/web/os.qcow2", /Cannot use disk "\/vms\/ds\/web\/os\.qcow2": it does not exist/],
    ["elsewhere", "/var/lib/images/os.qcow2", /Cannot use disk "\/var\/lib\/images\/os\.qcow2"/],
    ["a snapshot's", "/vms/ds/web/os.snap1", /Cannot use disk "\/vms\/ds\/web\/os\.snap1"/],
  ];
  await Deno.remove(`${shared.root}/ds/web/os.qcow2`);
  for (const [name, path, reason] of cases) {
    await t.step(name, async () => {
      await host.hypervisor.define(xml.replace("/vms/ds/web/os.qcow2", path));
      await host.monitor.refresh(vm);
      for (let times = 0; times < 10; times++) { // which failure came first was a matter of chance
        await assert.rejects(vms.migrationTargets(vm, { ...COLD, host: "" }), reason);
        await assert.rejects(vms.migrate(vm, COLD), reason);
      }
    });
  }
});

Deno.test("a defect while a migration is settled is told as one, and not tried again at once", async () => {
  let attempts = 0;
  const told: string[] = [];
  const log: Logger = {
    ...silentLogger,
    defect: (message, error) => told.push(`${message}: ${error}`),
    with: () => log,
  };
  await using fixture = await Fixture.create({
    log,
    fault(point) {
      if (point !== "migrate.settled") return;
      attempts++;
      throw new TypeError("it is undefined");
    },
  });
  await fixture.host.vms.migrate(fixture.vm, LIVE);
  await until("the defect to be told", () => Promise.resolve(told.length > 0 || undefined), 10_000);
  await new Promise((resolve) => setTimeout(resolve, 1_500)); // longer than from one attempt to the next
  assert.deepEqual(told, ["cannot settle a migration yet: TypeError: it is undefined"]);
  assert.equal(attempts, 1);
});

Deno.test("where there is no candidate, it is said why: none else, none active, none with room", async () => {
  await using fixture = await Fixture.create();
  const { host: { vms, host: { inventory } }, vm } = fixture;
  const anywhere = () => vms.migrate(vm, { ...LIVE, host: "" });
  for (const uuid of [OTHER, THIRD]) {
    const host = inventory.host(uuid);
    assert.ok(host);
    const { memory } = host.resources;
    inventory.putHost({
      ...host,
      resources: { ...host.resources, memory: { ...memory, availablevms: 10 } },
    });
  }
  await assert.rejects(anywhere(), failsWith("conflict", /no host .* has memory enough/));
  for (const uuid of [OTHER, THIRD]) inventory.setHostState(uuid, HostState.failed);
  await assert.rejects(anywhere(), failsWith("unavailable", /no other host is active/));
  for (const uuid of [OTHER, THIRD]) inventory.removeHost(uuid);
  await assert.rejects(anywhere(), failsWith("unimplemented", /there is no other host/));
});

Deno.test("a live migration needs a guest, a cold one that it is off; there is nothing to abort", async () => {
  await using fixture = await Fixture.create();
  const { host: { vms }, vm } = fixture;
  await assert.rejects(
    vms.migrate(vm, COLD),
    failsWith("conflict", /it is running, not poweroff or crashed/),
  );
  await vms.shutdown(vm, { force: 2 });
  await assert.rejects(vms.migrate(vm, LIVE), failsWith("conflict", /it is poweroff, not running or paused/));
  await assert.rejects(vms.abortMigration(vm), failsWith("conflict", /none is under way/));
  assert.equal((await vms.migration(vm)).state, MigrationState.none);
});

Deno.test("that a VM starts with its host goes along with it", async () => {
  const told: string[] = [];
  await using fixture = await Fixture.create({
    async fault(point) {
      if (point === "migrate.begun") told.push(...await fixture.records());
    },
  });
  const { host: { vms, host: { hypervisor } }, vm } = fixture;
  for (const on of [true, false]) {
    await hypervisor.setAutostart(vm, on);
    await vms.migrate(vm, LIVE);
    await fixture.ended();
  }
  const origin = `started from host ${fixture.host.host.monitor.uuid}`;
  assert.deepEqual(told, [`${origin}, started with its host`, origin]);
  assert.equal((await hypervisor.kept(vm)).autostart, false);
});

Deno.test("a migration that libvirt refuses leaves the VM as it was, with the reason in its record", async () => {
  await using fixture = await Fixture.create();
  const { host: { vms }, peers, vm } = fixture;
  await vms.migrate(vm, LIVE);
  const info = await fixture.ended();
  assert.equal(info.state, MigrationState.failed);
  assert.match(info.reason, /Cannot migrate domain .* to qemu\+tcp:\/\/192\.0\.2\.2\/system/);
  assert.ok(info.ts > 0 && info.te >= info.ts);
  assert.deepEqual([info.source, info.target], [fixture.host.host.monitor.uuid, OTHER]);
  assert.match((await fixture.records()).join(), /^failed Cannot migrate domain/);
  await fixture.shows(Runstate.running);
  assert.deepEqual(await fixture.registered(), ["here"]);
  const [asked] = peers.asked;
  assert.equal(asked?.vm, vm);
  assert.equal(asked?.memoryMiB, 128);
  assert.deepEqual(asked?.disks.map(({ path, sizeMiB }) => [path, sizeMiB]), [["/vms/ds/web/os.qcow2", 8]]);
  assert.match(asked?.disks[0]?.identity ?? "", /^inode \d+$/);
});

Deno.test("while a VM migrates it is shown so, and nothing else may be done to it", async () => {
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>();
  await using fixture = await Fixture.create({
    fault: (point) => point === "migrate.ended" ? held : undefined,
  });
  using _end = { [Symbol.dispose]: goOn }; // also if an assertion fails
  const { host: { vms, host }, vm } = fixture;
  await vms.migrate(vm, LIVE);
  assert.equal(fixture.runstate(), Runstate.migrating);
  await host.monitor.sample();
  await host.monitor.refresh(vm);
  assert.equal(host.inventory.vm(vm)?.runstate, Runstate.migrating);
  for (
    const act of [() => vms.pause(vm), () => vms.shutdown(vm, { force: 2 }), () => vms.migrate(vm, LIVE)]
  ) {
    await assert.rejects(act(), failsWith("conflict", /it is migrating/));
  }
  goOn();
  await fixture.ended();
  await fixture.shows(Runstate.running);
  await vms.pause(vm);
});

Deno.test("a crash before libvirt was asked: the guest stays, and what the target has is known to be nothing", async () => {
  await using fixture = await Fixture.create();
  await fixture.afterCrash();
  assert.equal((await fixture.ended()).reason, "interrupted");
  await fixture.shows(Runstate.running);
  assert.deepEqual(fixture.peers.done, []);
});

Deno.test("a definition that the target kept of a migration that failed is discarded there", async () => {
  await using fixture = await Fixture.create();
  fixture.peers.there = "off";
  await fixture.afterCrash();
  await fixture.ended();
  assert.deepEqual(fixture.peers.done, ["discard"]);
  await fixture.shows(Runstate.running);
});

Deno.test("a guest that runs stays usable while the target is away; that is asked when it is back", async () => {
  await using fixture = await Fixture.create();
  const { host: { vms, migrations }, peers, vm } = fixture;
  peers.there = undefined;
  await fixture.afterCrash();
  await until(
    "the failure to be known",
    async () => (await vms.migration(vm)).state === MigrationState.failed || undefined,
    5_000,
  );
  await fixture.shows(Runstate.running);
  await vms.pause(vm);
  await vms.resume(vm);
  assert.equal((await migrations.list()).length, 1);
  peers.there = "absent";
  await fixture.ended();
});

Deno.test("a guest that is off here and is at the target: the definition here goes, the file moves", async () => {
  await using fixture = await Fixture.create({ off: true });
  const { host: { vms, host }, vm } = fixture;
  fixture.peers.there = "running";
  host.inventory.putVm(vmInfo({ uuid: vm, host: OTHER, runstate: Runstate.running }));
  await fixture.afterCrash();
  await fixture.settled();
  await assert.rejects(host.hypervisor.definition(vm), { kind: "not_found" });
  assert.equal(host.monitor.domain(vm), undefined);
  assert.equal(host.inventory.vm(vm)?.host, OTHER);
  assert.deepEqual(await fixture.registered(), ["there"]);
  await assert.rejects(vms.get(vm), failsWith("not_found", /no such VM/));
});

Deno.test("while a VM is still shown as migrating, the end of that is not told", async () => {
  const seen: [runstate: Runstate | undefined, told: MigrationState][] = [];
  const fault: FaultHook = async (point) => {
    if (point !== "migrate.settled") return;
    seen.push([fixture.runstate(), (await fixture.host.vms.migration(fixture.vm)).state]);
  };
  await using fixture = await Fixture.create({ off: true, fault });
  fixture.peers.there = "off";
  await fixture.afterCrash({ options: COLD, running: false });
  await fixture.settled();
  assert.deepEqual(seen, [[Runstate.migrating, MigrationState.setup]]);
});

Deno.test("a paused guest that arrived at the target is ended here", async () => {
  await using fixture = await Fixture.create();
  await fixture.host.vms.pause(fixture.vm);
  fixture.peers.there = "paused";
  await fixture.afterCrash({ running: false });
  await fixture.settled();
  await assert.rejects(fixture.host.host.hypervisor.definition(fixture.vm), { kind: "not_found" });
  assert.deepEqual(fixture.peers.done, []); // it was paused, and stays so
  assert.deepEqual(await fixture.registered(), ["there"]);
});

Deno.test("a guest that is held at the target runs there only when it is ended here", async () => {
  await using fixture = await Fixture.create();
  const { host: { host }, peers, vm } = fixture;
  await fixture.host.vms.pause(vm);
  peers.there = "paused";
  await fixture.afterCrash({ held: true });
  await fixture.settled();
  await assert.rejects(host.hypervisor.definition(vm), { kind: "not_found" });
  assert.equal(host.monitor.domain(vm), undefined);
  assert.deepEqual(peers.done, ["resume"]);
});

Deno.test("a guest that runs on both hosts is left alone", async () => {
  await using fixture = await Fixture.create();
  fixture.peers.there = "running";
  await fixture.afterCrash();
  await until(
    "the failure to be told",
    async () => (await fixture.host.vms.migration(fixture.vm)).reason !== "" || undefined,
    5_000,
  );
  assert.match((await fixture.host.vms.migration(fixture.vm)).reason, /runs on both/);
  await fixture.shows(Runstate.running);
  assert.deepEqual(fixture.peers.done, []);
});

Deno.test("a record that the migration of a VM which arrived left without being told is closed where the VM is", async () => {
  await using fixture = await Fixture.create();
  const { host: { vms, host: { hypervisor, monitor } }, vm } = fixture;
  // As it arrives: with the record that the source has opened.
  await hypervisor.setMetadata(vm, {
    uri: "virtx-op-VmMigrate",
    key: "virtx-op-VmMigrate",
    xml: "<data-op><op>VmMigrate</op><ts>7</ts><te>0</te><status>started</status>" +
      `<msg>from host ${OTHER}, started with its host</msg></data-op>`,
    live: true,
  });
  await monitor.refresh(vm);
  await until(
    "the record to be closed",
    async () =>
      (await fixture.records()).includes(`completed from host ${OTHER}, started with its host`) || undefined,
    5_000,
  );
  const info = await vms.migration(vm);
  assert.deepEqual([info.state, info.ts], [MigrationState.completed, 7]);
  assert.deepEqual([info.source, info.target], [OTHER, monitor.uuid]);
  assert.ok((await hypervisor.kept(vm)).autostart);
});

Deno.test("of a VM that has arrived it is told that it is on its way, until all is settled at its source, too", () => {
  const record = { op: "VmMigrate", ts: 7, te: 0, status: "started", msg: `from host ${THIRD}` } as const;
  const told = (operation: Operation, leaving: boolean) => {
    const isLeaving = (host: string) => leaving && host === THIRD;
    const { state, source, target, ts, te } = lastMigration(operation, {
      here: OTHER,
      job: undefined,
      isLeaving,
    });
    assert.deepEqual([source, target, ts], [THIRD, OTHER, 7]);
    return [state, te];
  };
  const closed = { ...record, status: "completed", te: 9 } as const;
  assert.deepEqual(told(record, true), [MigrationState.active, 0]);
  assert.deepEqual(told(record, false), [MigrationState.active, 0]);
  assert.deepEqual(told(closed, true), [MigrationState.active, 0]);
  assert.deepEqual(told(closed, false), [MigrationState.completed, 9]);
});

Deno.test("as a target: what is here is told, a leftover is discarded, a guest that runs is not", async () => {
  await using fixture = await Fixture.create();
  const { host: { vms, shared }, peers, vm } = fixture;
  const look = async (uuid = vm) => (await vms.lookAt(uuid)).presence;
  assert.equal(await look(), "running");
  await assert.rejects(vms.discardLeftover(vm), failsWith("conflict", /it is running here/));
  await vms.resumeArrived(vm); // it does already
  await vms.pause(vm);
  assert.equal(await look(), "paused");
  await assert.rejects(vms.resumeArrived(vm), failsWith("conflict", /no host has a record/));
  await fixture.arrivesFrom(THIRD, { target: OTHER, held: true });
  await assert.rejects(vms.resumeArrived(vm), failsWith("conflict", /no host has a record/));
  await fixture.arrivesFrom(OTHER);
  await assert.rejects(vms.resumeArrived(vm), failsWith("conflict", /does not hold it here/));
  await fixture.arrivesFrom(OTHER, { held: true });
  peers.there = "running";
  await assert.rejects(vms.resumeArrived(vm), failsWith("conflict", /it is running at its source/));
  peers.there = "absent";
  await vms.resumeArrived(vm);
  assert.equal(await look(), "running");
  await vms.shutdown(vm, { force: 2 });
  assert.equal(await look(), "off");
  await assert.rejects(vms.resumeArrived(vm), failsWith("conflict", /it is off here/));
  for (const there of ["absent", "off", "paused", "incoming"] as const) {
    peers.there = there;
    await assert.rejects(
      vms.discardLeftover(vm),
      failsWith("conflict", new RegExp(`${there} at its source`)),
    );
  }
  peers.there = undefined;
  await assert.rejects(vms.discardLeftover(vm), failsWith("unreachable", /does not answer/));
  peers.there = "running";
  await fixture.forgetsArrival(OTHER);
  await assert.rejects(vms.discardLeftover(vm), failsWith("conflict", /no host has a record/));
  await Deno.writeTextFile(`${shared.root}/xml/${OTHER}/.migrations/${vm}.json`, "{");
  await assert.rejects(vms.discardLeftover(vm), failsWith("conflict", /no host has a record/));
  assert.deepEqual([await look(), await fixture.registered()], ["off", ["here"]]);
  await fixture.arrivesFrom(OTHER);
  await vms.discardLeftover(vm);
  assert.equal(await look(), "absent");
  assert.deepEqual(await fixture.registered(), []);
  await vms.discardLeftover(vm);
});
