import assert from "node:assert/strict";
import { operationMetadata, showDomain } from "../../../lib/domain_xml/mod.ts";
import { imageKey } from "../../../lib/model/lease_key.ts";
import { DiskProvisioning, MigrationState, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { validateVmdef } from "../../../lib/model/validate.ts";
import { until } from "../../../scripts/lab/until.ts";
import { refusal } from "../../support/libvirt_connections.ts";
import { eventually } from "../../support/monitored_host.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { testDomainXml } from "../../support/test_driver.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { VmHost } from "../../support/vm_host.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const HUNG = { uuid: numberedUuid(1), name: "one", title: "hung", vcpus: 2, memoryMiB: 256 };
const OS_DISK = diskAt("/vms/ds/small.qcow2", { size: 8 });
const REASON = "its QEMU has not answered libvirt for 12 s";

/** Has libvirt not tell the definition, as one does not of a guest that hangs, until disposed. */
function withhold({ host: { hypervisor } }: VmHost): Disposable {
  const own = { definition: hypervisor.definition, definitions: hypervisor.definitions };
  hypervisor.definition = (uuid) =>
    uuid === HUNG.uuid
      ? Promise.reject(new VirtxError("unavailable", REASON))
      : own.definition.call(hypervisor, uuid);
  hypervisor.definitions = async (uuids, read) => {
    const others = uuids.filter((uuid) => uuid !== HUNG.uuid);
    const { found } = await own.definitions.call(hypervisor, others, (xml, uuid) => read(xml, uuid));
    return { found: found as Map<string, ReturnType<typeof read>>, held: new Set([HUNG.uuid]) };
  };
  return { [Symbol.dispose]: () => void Object.assign(hypervisor, own) };
}

/** A domain that runs, and whose definition libvirt has not told yet. */
async function withHungVm(host: VmHost): Promise<void> {
  const { hypervisor, monitor } = host.host;
  await hypervisor.define(testDomainXml(HUNG));
  await hypervisor.start(HUNG.uuid);
  await eventually("shown", () => monitor.domain(HUNG.uuid)?.runstate === Runstate.running);
}

Deno.test("a VM whose definition libvirt does not tell is shown by what can be told, and in full once it is", async () => {
  await using host = await VmHost.start();
  const { vms, registry, host: { inventory, monitor, health } } = host;
  await vms.recover();
  {
    using _hung = withhold(host);
    await withHungVm(host);
    const { def, flaw, runinfo } = await vms.get(HUNG.uuid);
    assert.match(flaw ?? "", /^libvirt does not tell it now/);
    assert.deepEqual(
      [def.name, def.cpudef.sockets, def.memory.total, def.disks, runinfo.runstate],
      ["hung", 2, 256, [], Runstate.running],
    );
    assert.ok(
      validateVmdef(def).some(({ field }) => field === "osdisk.path"),
      "it must not pass for a definition",
    );
    assert.equal(inventory.vm(HUNG.uuid)?.name, "hung");
    assert.equal(monitor.domain(HUNG.uuid)?.xml, undefined);
    await monitor.sample();
    vms.storageReturned();
    await monitor.sample();
    assert.deepEqual(await registry.list(), []);
    assert.deepEqual(health.conditions, []);
  }
  await monitor.sample();
  await eventually("told", () => monitor.domain(HUNG.uuid)?.xml !== undefined);
  const told = await vms.get(HUNG.uuid);
  assert.deepEqual([told.def.osdisk.path, told.flaw], ["/vms/ds/one.qcow2", undefined]);
  const written = await until("written", () => registry.read(HUNG.uuid), 10_000);
  assert.match(written, /<name>one<\/name>/);
});

Deno.test("what is known of a VM stays known when libvirt does not tell it any more", async () => {
  await using host = await VmHost.start();
  const { vms, host: { hypervisor, monitor } } = host;
  await withHungVm(host);
  const before = monitor.domain(HUNG.uuid)?.xml;
  assert.ok(before);
  using _hung = withhold(host);
  await assert.rejects(monitor.refresh(HUNG.uuid), { kind: "unavailable" });
  await hypervisor.suspend(HUNG.uuid);
  hypervisor.events.push({ kind: "connected" }); // has all be looked at
  await eventually("paused", () => monitor.domain(HUNG.uuid)?.runstate === Runstate.paused);
  await monitor.sample();
  assert.equal(monitor.domain(HUNG.uuid)?.xml, before);
  assert.equal((await vms.get(HUNG.uuid)).def.osdisk.path, "/vms/ds/one.qcow2");
});

Deno.test("nothing is done that a definition is needed for, but for a power-off", async () => {
  await using host = await VmHost.start();
  const { vms, registry } = host;
  await vms.recover();
  using _hung = withhold(host);
  await withHungVm(host);
  for (const what of ["pause", "stop"] as const) {
    const begun = what === "pause" ? vms.pause(HUNG.uuid) : vms.shutdown(HUNG.uuid, { force: 0 });
    const error = await refusal(begun);
    assert.equal(error.kind, "unavailable");
    assert.equal(error.message, `Cannot ${what} VM "hung": ${REASON}`);
  }
  await vms.shutdown(HUNG.uuid, { force: 2 });
  assert.equal((await vms.get(HUNG.uuid)).runinfo.runstate, Runstate.poweroff);
  const vmdef = { ...(await vms.get(HUNG.uuid)).def, osdisk: SMALL_VMDEF.osdisk };
  const refused = [
    vms.update(HUNG.uuid, { vmdef, deletestorage: true }),
    vms.delete(HUNG.uuid, { deletestorage: true }),
    vms.boot(HUNG.uuid, { cloud_init: [] }),
  ];
  for (const error of await Promise.all(refused.map(refusal))) {
    assert.match(error.message, new RegExp(REASON));
  }
  assert.deepEqual(await registry.list(), []);
});

Deno.test("its disks may be any that exist, which then nobody gets, and nobody deletes", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  const victim = await vms.create({ vmdef: { ...SMALL_VMDEF, osdisk: OS_DISK }, host: "" });
  await Deno.writeTextFile(shared.at("/vms/ds/there.raw"), "\0".repeat(1 << 20));
  using _hung = withhold(host);
  await withHungVm(host);
  const osdisk = diskAt("/vms/ds/there.raw", { size: 0, prov: DiskProvisioning.none });
  const error = await refusal(vms.create({ vmdef: { ...SMALL_VMDEF, name: "taker", osdisk }, host: "" }));
  assert.match(
    error.message,
    /disk "\/vms\/ds\/there\.raw" is one of VM "hung" \(\S+\), or may be: libvirt does not tell/,
  );
  const { warning } = await vms.delete(victim, { deletestorage: true });
  assert.match(
    warning ?? "",
    /^disk "\/vms\/ds\/small\.qcow2" is kept: it is one of VM "hung" \(\S+\), or may be: libvirt does not tell/,
  );
  assert.ok((await shared.names()).some((name) => OS_DISK.path.endsWith(name)));
  await vms.create({
    vmdef: { ...SMALL_VMDEF, name: "new", osdisk: diskAt("/vms/ds/new.qcow2", { size: 8 }) },
    host: "",
  });
});

Deno.test("a record that a disk is its is in force", async () => {
  await using host = await VmHost.start();
  const { vms, shared, diskRecords, host: { monitor } } = host;
  const { path } = OS_DISK;
  const key = imageKey(path) ?? assert.fail();
  assert.ok(
    await diskRecords.replace(key, 0, { path, vm: HUNG.uuid, host: monitor.uuid, change: undefined }),
  );
  const then = new Date(Date.now() - 3_600_000);
  await Deno.utime(`${shared.root}/.virtxd/disks/${key}/1.json`, then, then);
  const wanted = { vmdef: { ...SMALL_VMDEF, name: "taker", osdisk: OS_DISK }, host: "" };
  using hung = withhold(host);
  await withHungVm(host);
  const error = await refusal(vms.create(wanted));
  assert.match(error.message, new RegExp(`disk "${path}" is one of VM "hung" \\(${HUNG.uuid}\\)`));
  hung[Symbol.dispose]();
  await monitor.refresh(HUNG.uuid);
  await vms.create(wanted); // it has another disk, as its definition says
});

Deno.test("what an earlier run left open of it is closed once its definition is told", async () => {
  await using host = await VmHost.start();
  const { vms, host: { hypervisor, monitor } } = host;
  const open = { op: "VmPause", ts: 1, te: 0, status: "started", msg: "" } as const;
  {
    using _hung = withhold(host);
    await withHungVm(host);
    await hypervisor.setMetadata(HUNG.uuid, { ...operationMetadata(open), live: false });
    await vms.recover();
  }
  await monitor.sample();
  const record = async () => (await vms.get(HUNG.uuid)).stats.oplog.items.find(({ op }) => op === "VmPause");
  const closed = await until("closed", async () => {
    const found = await record();
    return found?.status === "failed" ? found : undefined;
  }, 10_000);
  assert.match(closed.msg, /^interrupted/);
});

Deno.test("what becomes of it is told together with its definition, as of a VM that has arrived", async () => {
  await using host = await VmHost.start();
  const { vms, host: { hypervisor, inventory, monitor } } = host;
  const told: string[] = [];
  {
    using _arriving = withhold(host);
    await withHungVm(host);
    assert.match(
      (await refusal(vms.migration(HUNG.uuid))).message,
      /^Cannot get the migration of VM "hung": its/,
    );
  }
  using _watch = inventory.watch({
    claim: (_host, vm, claim) => {
      const { osdisk } = showDomain(vm, monitor.domain(vm)?.xml ?? "").def;
      told.push(`${claim?.runstate} ${osdisk.path}`);
    },
  });
  await hypervisor.suspend(HUNG.uuid);
  await eventually("told", () => told.length > 0);
  assert.deepEqual(told, [`${Runstate.paused} /vms/ds/one.qcow2`]);
  assert.equal((await vms.migration(HUNG.uuid)).state, MigrationState.none);
});
