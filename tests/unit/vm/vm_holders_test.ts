import assert from "node:assert/strict";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { imageKey } from "../../../lib/model/lease_key.ts";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import type { UndefineOptions } from "../../../lib/libvirt/domain.ts";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import type { Vmdef, VmMigrateOptions } from "../../../lib/model/vm.ts";
import { vmRecords } from "../../../lib/registry/ownership.ts";
import { Registry } from "../../../lib/registry/registry.ts";
import { VmHolders } from "../../../lib/vm/vm_holders.ts";
import { ScriptedPeers } from "../../support/scripted_peers.ts";
import { diskAt, SharedStorage } from "../../support/shared_storage.ts";
import { testDomainXml } from "../../support/test_driver.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const OTHER_HOST = numberedUuid(2);
const PATH = "/vms/ds/web.raw";
const WEB: Vmdef = { ...SMALL_VMDEF, name: "web", osdisk: diskAt(PATH, { size: 4 }) };
const COLD: VmMigrateOptions = {
  host: OTHER_HOST,
  migration_type: 0,
  deadline: 0,
  convergence: [],
  bandwidth: 0,
  connections: 0,
};

/** A host with a VM, and another that is alive or not; by the record the VM is the other's, since an hour. */
async function withVmOfOther(alive: boolean, fault?: string) {
  const peers = new ScriptedPeers();
  if (alive) peers.addresses.set(OTHER_HOST, "192.0.2.2");
  let armed = true;
  const host = await VmHost.start((point) => {
    if (point !== fault || !armed) return;
    armed = false;
    throw new VirtxError("storage", "injected");
  }, peers);
  const vm = await host.vms.create({ vmdef: WEB, host: "" });
  const theirs = new Registry({ tree: host.shared.tree, hostUuid: OTHER_HOST });
  const take = async () => {
    const { generation = 0 } = await host.vmRecords.read(vm) ?? {};
    assert.ok(await host.vmRecords.replace(vm, generation, { vm, host: OTHER_HOST }));
    const then = new Date(Date.now() - 3_600_000);
    await Deno.utime(`${host.shared.root}/.virtxd/vms/${vm}/${generation + 1}.json`, then, then);
  };
  return { host, vm, peers, theirs, take };
}

async function holder({ vmRecords }: VmHost, vm: string): Promise<string | undefined> {
  return (await vmRecords.read(vm))?.value?.host;
}

function isTold(kind: VirtxError["kind"], message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof VirtxError, String(error));
    assert.equal(error.kind, kind, error.message);
    assert.match(error.message, message);
    return true;
  };
}

/** All that only the host may do that has the VM. */
function changesOf({ vms }: VmHost, vm: string): Record<string, () => Promise<unknown>> {
  return {
    start: () => vms.boot(vm, { cloud_init: [] }),
    update: () => vms.update(vm, { vmdef: { ...WEB, name: "after" }, deletestorage: false }),
    migrate: () => vms.migrate(vm, COLD),
    delete: () => vms.delete(vm, { deletestorage: true }),
  };
}

Deno.test("a VM is recorded as its host's from its creation to its deletion", async () => {
  await using host = await VmHost.start();
  const vm = await host.vms.create({ vmdef: WEB, host: "" });
  assert.equal(await holder(host, vm), host.host.monitor.uuid);
  await host.vms.delete(vm, { deletestorage: true });
  const left = await host.vmRecords.read(vm);
  assert.deepEqual([left?.generation, left?.value], [2, undefined]);
});

Deno.test("what another host has by record and in its libvirt is not changed here", async () => {
  const { host, vm, peers, take } = await withVmOfOther(true);
  await using _host = host;
  await take();
  peers.there = "off";
  for (const [verb, change] of Object.entries(changesOf(host, vm))) {
    const message = new RegExp(
      `^Cannot ${verb} VM "web" .*: host ${OTHER_HOST} has it, off; .*virsh undefine`,
    );
    await assert.rejects(change(), isTold("conflict", message));
  }
  peers.there = undefined;
  for (const change of Object.values(changesOf(host, vm))) {
    await assert.rejects(change(), isTold("unavailable", /is active and does not tell/));
  }
  peers.areKnown = false;
  await assert.rejects(
    changesOf(host, vm).start?.() ?? Promise.resolve(),
    isTold("unavailable", /Serf has not told/),
  );
  assert.deepEqual(await host.shared.names(), ["web.raw"]);
  assert.equal((await host.vms.get(vm)).def.name, "web");
  assert.equal(await host.host.hypervisor.isActive(vm), false);
  assert.equal(await holder(host, vm), OTHER_HOST);
});

let told = 0;

/** Has another host tell that it has the VM. */
function claim({ host }: VmHost, vm: string, runstate: Runstate) {
  host.inventory.putHost(hostEntry({ uuid: OTHER_HOST }));
  host.inventory.putVm(vmInfo({ uuid: vm, host: OTHER_HOST, runstate, ts: ++told }));
}

Deno.test("a guest that runs on another host is not started again, nor its disks changed, whatever is recorded", async () => {
  const records: ((host: VmHost) => Promise<unknown>)[] = [
    () => Promise.resolve(), // the other host, which writes no records, has taken the VM over from this one
    ({ shared }) => Deno.remove(`${shared.root}/.virtxd`, { recursive: true }), // it has not been started since there are any
  ];
  for (const record of records) {
    for (const isPrototype of [false, true]) {
      const { host, vm, peers } = await withVmOfOther(true);
      await using _host = host;
      await record(host);
      if (isPrototype) peers.prototypes.add(OTHER_HOST);
      claim(host, vm, Runstate.running);
      peers.there = "running";
      for (const change of Object.values(changesOf(host, vm))) {
        await assert.rejects(change(), isTold("conflict", /host .* has it, running/));
      }
      assert.deepEqual(await host.shared.names(), ["web.raw"]);
      claim(host, vm, Runstate.poweroff);
      peers.there = "off";
      await changesOf(host, vm).start?.();
      assert.equal(await holder(host, vm), host.host.monitor.uuid);
    }
  }
});

Deno.test("a record that names a host which does not have the VM is put right, and bars nothing", async () => {
  for (const alive of [true, false]) {
    for (const verb of ["start", "update", "delete"]) {
      const { host, vm, take } = await withVmOfOther(alive);
      await using _host = host;
      await take();
      await changesOf(host, vm)[verb]?.();
      assert.equal(await holder(host, vm), verb === "delete" ? undefined : host.host.monitor.uuid);
    }
  }
});

Deno.test("a host that is away with the VM's definition bars this one, until an administrator registers the VM here", async () => {
  const { host, vm, theirs, take } = await withVmOfOther(false);
  await using _host = host;
  await take();
  await theirs.write(vm, await host.registry.read(vm) ?? "");
  for (const change of Object.values(changesOf(host, vm))) {
    await assert.rejects(change(), isTold("conflict", /not active.* virtx vm register .* --host/));
  }
  assert.equal(await host.vms.register(vm), "refreshed");
  await host.vms.boot(vm, { cloud_init: [] });
});

/** Has the VM in the registry of this host only, as after its libvirt lost it. */
async function forget({ host, registry }: VmHost, vm: string): Promise<void> {
  const xml = await registry.read(vm) ?? "";
  await host.hypervisor.undefine(vm);
  await host.monitor.refresh(vm);
  await registry.write(vm, xml);
}

Deno.test("a VM that another host has, by its record or by its registry, is not registered here", async () => {
  const ways: ((o: Awaited<ReturnType<typeof withVmOfOther>>) => Promise<unknown>)[] = [
    ({ take }) => take(),
    async ({ host, theirs, vm }) => { // no record says so
      await Deno.remove(`${host.shared.root}/.virtxd`, { recursive: true });
      await theirs.write(vm, await host.registry.read(vm) ?? "");
    },
  ];
  for (const way of ways) {
    const world = await withVmOfOther(true);
    const { host, vm, peers } = world;
    await using _host = host;
    await forget(host, vm);
    await way(world);
    const before = await holder(host, vm);
    peers.there = "running";
    await assert.rejects(
      host.vms.register(vm),
      isTold("conflict", new RegExp(`host ${OTHER_HOST} has it, running`)),
    );
    peers.there = undefined;
    await assert.rejects(host.vms.register(vm), isTold("unavailable", /does not tell/));
    assert.equal(await holder(host, vm), before);
    assert.deepEqual((await host.host.hypervisor.domains()).map(({ uuid }) => uuid), []);
    peers.there = "absent";
    assert.equal(await host.vms.register(vm), "defined");
    assert.equal(await holder(host, vm), host.host.monitor.uuid);
  }
});

Deno.test("a VM that a silent host of the prototype has registered is not taken over from it", async () => {
  const { host, vm, peers, theirs } = await withVmOfOther(true);
  await using _host = host;
  const xml = await host.registry.read(vm) ?? "";
  await forget(host, vm);
  await host.registry.remove(vm);
  await theirs.write(vm, xml);
  peers.prototypes.add(OTHER_HOST);
  peers.there = undefined; // nor does it repeat any more what it has
  await assert.rejects(
    host.vms.register(vm),
    isTold("unavailable", /prototype.*has its definition in .*\.xml/),
  );
  assert.deepEqual(await host.host.hypervisor.domains(), []);
  assert.equal(await theirs.read(vm), xml);
  claim(host, vm, Runstate.running);
  await assert.rejects(host.vms.register(vm), isTold("conflict", /has it, running/));
  peers.addresses.delete(OTHER_HOST);
  assert.equal(await host.vms.register(vm), "defined");
});

Deno.test("a VM whose host Serf does not reach, and which tells that it has it, is left to it", async () => {
  const { host, vm, peers, theirs, take } = await withVmOfOther(false);
  await using _host = host;
  await theirs.write(vm, await host.registry.read(vm) ?? "");
  await take();
  claim(host, vm, Runstate.running);
  host.host.inventory.setHostState(OTHER_HOST, HostState.failed);
  peers.beyondSerf = "running";
  const refused = isTold("conflict", /host .* has it, running/);
  for (const change of Object.values(changesOf(host, vm))) await assert.rejects(change(), refused);
  await assert.rejects(host.vms.register(vm), refused);
  await forget(host, vm);
  for (const there of ["running", "off"] as const) {
    peers.beyondSerf = there;
    await assert.rejects(host.vms.register(vm), isTold("conflict", new RegExp(`has it, ${there}`)));
  }
  assert.deepEqual(await host.host.hypervisor.domains(), []);
  assert.equal(await holder(host, vm), OTHER_HOST);
  // Somebody else may be at its address by now: that nobody has it there proves nothing, and bars nothing.
  peers.beyondSerf = "absent";
  assert.equal(await host.vms.register(vm), "defined");
});

Deno.test("that a host which Serf does not reach says it has no VM does not put its record right", async () => {
  const { host, vm, peers, theirs, take } = await withVmOfOther(false);
  await using _host = host;
  await theirs.write(vm, await host.registry.read(vm) ?? "");
  await take();
  peers.beyondSerf = "absent";
  await assert.rejects(
    host.vms.boot(vm, { cloud_init: [] }),
    isTold("conflict", /not active.* virtx vm register /),
  );
});

Deno.test("a registration that fails gives back the VM and its disks", async () => {
  const { host, vm, take } = await withVmOfOther(false);
  await using _host = host;
  const { diskRecords, shared } = host;
  const data = diskAt("/vms/ds/zdata.raw", { size: 4 });
  await host.vms.update(vm, { vmdef: { ...WEB, disks: [data] }, deletestorage: false });
  await forget(host, vm);
  await take();
  await Deno.remove(`${shared.root}/.virtxd/disks`, { recursive: true });
  const thief = numberedUuid(9);
  await diskRecords.replace(imageKey(data.path) ?? "", 0, { path: data.path, vm: thief, host: OTHER_HOST });
  await assert.rejects(
    host.vms.register(vm),
    isTold("conflict", /^Cannot register VM .*: disk ".*zdata.raw" is one of/),
  );
  assert.equal(await holder(host, vm), OTHER_HOST);
  assert.deepEqual(await host.owned(), [data.path]);
  assert.deepEqual(await host.host.hypervisor.domains(), []);
});

Deno.test("a registration that comes too late leaves the other host the VM's UEFI variables and disks", async () => {
  const { host, vm, take } = await withVmOfOther(true);
  await using _host = host;
  await forget(host, vm);
  const { hypervisor } = host.host;
  const removals: UndefineOptions[] = [];
  hypervisor.define = async (xml) => {
    const defined = await Hypervisor.prototype.define.call(hypervisor, xml);
    await take();
    return defined;
  };
  hypervisor.undefine = (uuid, options = {}) => {
    removals.push(options);
    return Hypervisor.prototype.undefine.call(hypervisor, uuid, options);
  };
  await assert.rejects(host.vms.register(vm), isTold("conflict", /another host has taken it meanwhile/));
  assert.deepEqual(removals, [{ keepVariables: true, keepTpm: true }]);
  assert.equal(await holder(host, vm), OTHER_HOST);
  assert.deepEqual(await host.shared.names(), ["web.raw"]);
});

Deno.test("of two hosts that register a VM at the same instant one gets it", async () => {
  await using shared = await SharedStorage.create();
  const hosts = [numberedUuid(1), OTHER_HOST];
  const peers = new ScriptedPeers();
  for (const host of hosts) peers.addresses.set(host, "192.0.2.1");
  const holders = hosts.map((uuid) =>
    new VmHolders({
      records: vmRecords({ tree: shared.tree }),
      registry: new Registry({ tree: shared.tree, hostUuid: uuid }),
      inventory: new Inventory(),
      monitor: { uuid },
      peers,
      vmName: String,
      hostName: String,
      log: silentLogger,
    })
  );
  for (let n = 10; n < 30; n++) {
    const taken = await Promise.allSettled(holders.map((one) => one.take(numberedUuid(n), "register")));
    assert.deepEqual(taken.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    const [refusal] = taken.flatMap((one) => one.status === "rejected" ? [one.reason] : []);
    assert.ok(isTold("conflict", /is just taking it/)(refusal));
  }
});

Deno.test("a host that registers what is recorded as its own is not overtaken by one that has looked before", async () => {
  await using shared = await SharedStorage.create();
  const vm = numberedUuid(7);
  const [first, second] = [numberedUuid(1), OTHER_HOST];
  const records = vmRecords(shared);
  assert.ok(await records.replace(vm, 0, { vm, host: first }));
  const then = new Date(Date.now() - 3_600_000);
  await Deno.utime(`${shared.root}/.virtxd/vms/${vm}/1.json`, then, then);
  const holdersOf = (host: string, other: string, look: () => Promise<void>) =>
    new VmHolders({
      records,
      registry: new Registry({ tree: shared.tree, hostUuid: host }),
      inventory: new Inventory(),
      monitor: { uuid: host },
      peers: {
        areKnown: true,
        address: (of) => of === other ? "192.0.2.2" : undefined,
        isPrototype: () => false,
        look: async () => {
          await look();
          return { presence: "absent", persistent: false, migrating: false };
        },
        lookBeyondSerf: (of) => Promise.reject(new VirtxError("unreachable", `host ${of} is away`)),
      },
      vmName: () => "web",
      hostName: (uuid) => uuid,
      log: silentLogger,
    });
  const one = holdersOf(first, second, () => Promise.resolve());
  let looks = 0;
  // It has been answered that the first host does not have the VM; the first takes it before that is used.
  const two = holdersOf(second, first, async () => {
    if (++looks === 1) await one.take(vm, "register");
  });
  await assert.rejects(two.take(vm, "register"), isTold("conflict", /is just taking it/));
  assert.ok(await one.holds(vm));
});

Deno.test("the end of a migration is recorded once, by whoever is first, and never over a third host", async () => {
  await using shared = await SharedStorage.create();
  const [source, target, third] = [numberedUuid(1), numberedUuid(2), numberedUuid(3)];
  const records = vmRecords({ tree: shared.tree });
  const of = (uuid: string) =>
    new VmHolders({
      records,
      registry: new Registry({ tree: shared.tree, hostUuid: uuid }),
      inventory: new Inventory(),
      monitor: { uuid },
      peers: new ScriptedPeers(),
      vmName: String,
      hostName: String,
      log: silentLogger,
    });
  const vm = numberedUuid(7);
  await of(source).take(vm, "create");
  await Promise.all([source, target].map((host) => of(host).migrated(vm, { from: source, to: target })));
  const moved = await records.read(vm);
  assert.deepEqual([moved?.generation, moved?.value?.host], [2, target]);
  await records.replace(vm, 2, { vm, host: third });
  await of(source).migrated(vm, { from: source, to: target });
  assert.equal((await records.read(vm))?.value?.host, third);
});

Deno.test("a change of a VM that another host has taken over is given up: nothing is undefined, defined or deleted", async () => {
  const cases = [
    { step: "delete.committed", change: "delete", files: ["web.raw"] },
    { step: "delete.unregistered", change: "delete", files: ["web.raw"] },
    { step: "update.kept", change: "update", files: ["new.raw", "web.raw"] },
  ];
  for (const { step, change, files } of cases) {
    const { host, vm, take } = await withVmOfOther(false, step);
    await using _host = host;
    const vmdef = { ...WEB, osdisk: diskAt("/vms/ds/new.raw", { size: 4 }) };
    const changing = change === "delete"
      ? host.vms.delete(vm, { deletestorage: true })
      : host.vms.update(vm, { vmdef, deletestorage: true });
    await assert.rejects(changing, /injected/);
    await take();
    const before = (await host.host.hypervisor.domains()).map(({ uuid }) => uuid);
    await host.vms.recover();
    assert.deepEqual(await host.journal.list(), [], step);
    assert.deepEqual(await host.shared.names(), files, step);
    assert.deepEqual((await host.host.hypervisor.domains()).map(({ uuid }) => uuid), before, step);
    assert.equal(await holder(host, vm), OTHER_HOST);
  }
});

Deno.test("a creation that another host has taken over is given up, and its disks stay", async () => {
  await using host = await VmHost.start();
  const { shared, journal, vms, vmRecords } = host;
  const storage = shared.storage();
  const created = await storage.plan(WEB.osdisk, "tag");
  const vm = numberedUuid(9);
  const newXml = testDomainXml({ uuid: vm, name: "web" });
  const nothing = { oldXml: undefined, removed: [] };
  await journal.write({
    id: numberedUuid(4),
    op: "create",
    vm,
    phase: "prepared",
    startedAt: 1,
    newXml,
    created: [created],
    ...nothing,
  });
  await storage.provision(created, WEB.osdisk);
  await vmRecords.replace(vm, 0, { vm, host: OTHER_HOST });
  assert.equal((await shared.names()).length, 2);
  await vms.recover();
  assert.deepEqual(await journal.list(), []);
  assert.deepEqual(await shared.names(), ["web.raw"]);
});
