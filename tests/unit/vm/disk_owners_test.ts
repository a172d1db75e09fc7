import assert from "node:assert/strict";
import { imageKey } from "../../../lib/model/lease_key.ts";
import { DiskProvisioning } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import type { Vmdef } from "../../../lib/model/vm.ts";
import type { Change } from "../../../lib/registry/change.ts";
import { hostRecords } from "../../../lib/registry/host_record.ts";
import { Journal } from "../../../lib/registry/journal.ts";
import { Registry } from "../../../lib/registry/registry.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { testDomainXml } from "../../support/test_driver.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const OTHER_HOST = numberedUuid(2);
const OTHER_VM = numberedUuid(3);
const CHANGE = numberedUuid(4);
const PATH = "/vms/ds/web.qcow2";
const WEB: Vmdef = { ...SMALL_VMDEF, name: "web", osdisk: diskAt(PATH, { size: 8 }) };
const FOUND: Vmdef = { ...WEB, osdisk: { ...WEB.osdisk, size: 0, prov: DiskProvisioning.none } };
/** What another host's VM with the disk looks like in its registry. */
const THEIRS = testDomainXml({ uuid: OTHER_VM, name: "web" });
const KEY = imageKey(PATH) ?? "";

/** Has another host record that the disk is its VM's; an hour ago, unless told. */
async function recordTheirs(
  host: VmHost,
  { change, young = false }: { change?: string; young?: boolean } = {},
) {
  const { generation = 0 } = await host.diskRecords.read(KEY) ?? {};
  const value = { path: PATH, vm: OTHER_VM, host: OTHER_HOST, change };
  assert.ok(await host.diskRecords.replace(KEY, generation, value));
  if (!young) await age(host);
}

/** Makes the record of the disk an hour old, unless told. */
async function age({ diskRecords, shared }: VmHost, ms = 3_600_000) {
  const then = new Date(Date.now() - ms);
  const { generation } = await diskRecords.read(KEY) ?? {};
  await Deno.utime(`${shared.root}/.virtxd/disks/${KEY}/${generation}.json`, then, then);
}

function isTaken(error: unknown): boolean {
  assert.ok(error instanceof VirtxError, String(error));
  assert.equal(error.kind, "conflict", error.message);
  assert.match(
    `${error.message} ${error.issues[0]?.message}`,
    new RegExp(`is one of VM ".*" \\(${OTHER_VM}\\) of host`),
  );
  return true;
}

function otherJournal({ shared }: VmHost): Journal {
  return new Journal({ tree: shared.tree, hostUuid: OTHER_HOST, log: silentLogger });
}

function changeOf(fields: Partial<Change>): Change {
  const none = { oldXml: undefined, newXml: undefined, created: [], removed: [] };
  return { id: CHANGE, op: "create", vm: OTHER_VM, phase: "prepared", startedAt: 1, ...none, ...fields };
}

Deno.test("a disk is recorded as its VM's from its creation to the VM's deletion, with its storage or without", async () => {
  for (const deletestorage of [true, false]) {
    await using host = await VmHost.start();
    const vm = await host.vms.create({ vmdef: WEB, host: "" });
    assert.equal((await host.diskRecords.read(KEY))?.value?.vm, vm);
    const data = diskAt("/vms/ds/data.raw", { size: 4 });
    await host.vms.update(vm, { vmdef: { ...WEB, disks: [data] }, deletestorage });
    assert.deepEqual(await host.owned(), [data.path, PATH]);
    await host.vms.update(vm, { vmdef: WEB, deletestorage });
    assert.deepEqual(await host.owned(), [PATH]);
    await host.vms.delete(vm, { deletestorage });
    assert.deepEqual(await host.owned(), []);
  }
});

Deno.test("a record is in force while it is young, its change is open, or a registry names the disk", async () => {
  const reasons: ((host: VmHost) => Promise<unknown>)[] = [
    (host) => recordTheirs(host, { young: true }),
    async (host) => {
      await recordTheirs(host, { change: CHANGE });
      await otherJournal(host).write(changeOf({ newXml: THEIRS }));
    },
    async (host) => {
      await recordTheirs(host);
      await new Registry({ tree: host.shared.tree, hostUuid: OTHER_HOST }).write(OTHER_VM, THEIRS);
    },
  ];
  for (const prepare of reasons) {
    await using host = await VmHost.start();
    await prepare(host);
    const before = await host.state();
    const verdict = await host.vms.checkCreate({ vmdef: WEB, host: "" });
    assert.deepEqual(verdict.obstacles.map(({ field }) => field), ["vmdef.osdisk.path"]);
    await assert.rejects(host.vms.create({ vmdef: WEB, host: "" }), isTaken);
    assert.deepEqual(await host.state(), before);
    assert.equal((await host.diskRecords.read(KEY))?.value?.vm, OTHER_VM);
  }
});

Deno.test("what a host has left open is in nobody's way once the host is removed, as is told", async () => {
  await using host = await VmHost.start();
  await recordTheirs(host, { change: CHANGE });
  await otherJournal(host).write(changeOf({ newXml: THEIRS }));
  const hosts = hostRecords(host.shared.tree);
  const def = {
    name: "virt2",
    cpuarch: { arch: "x86_64", vendor: "" },
    cpudef: { model: "", nodes: 0, sockets: 0, cores: 0, threads: 0 },
    osid: "",
    osv: "",
  };
  await hosts.replace(OTHER_HOST, 0, { host: OTHER_HOST, def });
  const { obstacles } = await host.vms.checkCreate({ vmdef: WEB, host: "" });
  assert.match(obstacles[0]?.message ?? "", /gone for good, once it is removed: virtx host remove \S+$/);
  await hosts.replace(OTHER_HOST, 1, undefined); // as KnownHosts does
  await host.vms.create({ vmdef: WEB, host: "" });
  assert.deepEqual(await otherJournal(host).list(), [changeOf({ newXml: THEIRS })]);
});

/** The steps at which no definition has the disk any more, and the file is still there. */
const DELETIONS: Record<string, (vms: VmHost["vms"], vm: string) => Promise<unknown>> = {
  "delete.unregistered": (vms, vm) => vms.delete(vm, { deletestorage: true }),
  "update.committed": (vms, vm) => vms.update(vm, { vmdef: { ...WEB, osdisk: NEXT }, deletestorage: true }),
};
const NEXT = diskAt("/vms/ds/next.raw", { size: 4 });

Deno.test("until a disk is deleted nobody gets it, though no definition has it any more", async () => {
  for (const [step, remove] of Object.entries(DELETIONS)) {
    let look = () => Promise.resolve();
    await using host = await VmHost.start((point) => point === step ? look() : undefined);
    const vm = await host.vms.create({ vmdef: WEB, host: "" });
    await age(host);
    let fields: string[] = [];
    look = async () => {
      await host.host.monitor.refresh(vm);
      const { obstacles } = await host.vms.checkCreate({ vmdef: { ...FOUND, name: "new" }, host: "" });
      fields = obstacles.map(({ field }) => field);
    };
    await remove(host.vms, vm);
    assert.deepEqual(fields, ["vmdef.osdisk.path"], step);
    assert.ok(!(await host.shared.names()).includes("web.qcow2"));
    await host.vms.create({ vmdef: { ...WEB, name: "new" }, host: "" });
  }
});

Deno.test("a disk that another VM gets while its deletion takes very long stays", async () => {
  for (const [step, remove] of Object.entries(DELETIONS)) {
    let take = () => Promise.resolve();
    await using host = await VmHost.start((point) => point === step ? take() : undefined);
    const vm = await host.vms.create({ vmdef: WEB, host: "" });
    take = () => recordTheirs(host, { young: true });
    await remove(host.vms, vm);
    assert.ok((await host.shared.names()).includes("web.qcow2"), step);
    assert.equal((await host.diskRecords.read(KEY))?.value?.vm, OTHER_VM);
  }
});

Deno.test("a record that nothing speaks for bars nobody", async () => {
  const histories: ((host: VmHost) => Promise<unknown>)[] = [
    (host) => recordTheirs(host, { change: CHANGE }), // it was undone by a host that then died
    async (host) => { // it was made while the storage's clock was a year ahead
      await recordTheirs(host);
      await age(host, -31_536_000_000);
    },
    async (host) => { // the disk was taken from the VM by other tools
      await recordTheirs(host);
      const without = testDomainXml({ uuid: OTHER_VM, name: "other" });
      await new Registry({ tree: host.shared.tree, hostUuid: OTHER_HOST }).write(OTHER_VM, without);
    },
  ];
  for (const prepare of histories) {
    await using host = await VmHost.start();
    await prepare(host);
    const vm = await host.vms.create({ vmdef: WEB, host: "" });
    assert.equal((await host.diskRecords.read(KEY))?.value?.vm, vm);
  }
});

Deno.test("a VM without a record gets one when it starts, and does not start on another's disk", async () => {
  await using host = await VmHost.start();
  const { vms, diskRecords, shared } = host;
  const vm = await vms.create({ vmdef: WEB, host: "" });
  await Deno.remove(`${shared.root}/.virtxd`, { recursive: true });
  await vms.boot(vm, { cloud_init: [] });
  assert.equal((await diskRecords.read(KEY))?.value?.vm, vm);
  await vms.shutdown(vm, { force: 2 });
  await recordTheirs(host, { young: true });
  await assert.rejects(vms.boot(vm, { cloud_init: [] }), isTaken);
});

Deno.test("a disk that another VM has by record stays when a VM that has it too is deleted with its storage", async () => {
  await using host = await VmHost.start();
  const vm = await host.vms.create({ vmdef: WEB, host: "" });
  await recordTheirs(host, { young: true });
  await host.vms.delete(vm, { deletestorage: true });
  assert.deepEqual(await host.shared.names(), ["web.qcow2"]);
  assert.equal((await host.diskRecords.read(KEY))?.value?.vm, OTHER_VM);
});

/** A host on which a change failed at a step and waits to be settled. */
async function interrupted(step: string): Promise<{ host: VmHost; vm: string }> {
  let armed = true;
  const host = await VmHost.start((point) => {
    if (point !== step || !armed) return;
    armed = false;
    throw new VirtxError("storage", "injected");
  });
  const vm = await host.vms.create({ vmdef: WEB, host: "" });
  return { host, vm };
}

Deno.test("a deletion that is finished late does not delete what has the name by then", async () => {
  const takers: ((host: VmHost) => Promise<unknown>)[] = [
    (host) => recordTheirs(host, { young: true }),
    // a host that writes no records
    ({ shared }) => new Registry({ tree: shared.tree, hostUuid: OTHER_HOST }).write(OTHER_VM, THEIRS),
  ];
  for (const take of takers) {
    const { host, vm } = await interrupted("delete.deleted");
    await using _host = host;
    await assert.rejects(host.vms.delete(vm, { deletestorage: true }), /injected/);
    assert.deepEqual(await host.shared.names(), []);
    await Deno.writeTextFile(`${host.shared.root}/ds/web.qcow2`, "another guest's");
    await take(host);
    await host.vms.recover();
    assert.deepEqual(await host.journal.list(), []);
    assert.deepEqual(await host.shared.names(), ["web.qcow2"]);
  }
});

Deno.test("a creation that is undone late does not take away what another VM has by then", async () => {
  await using host = await VmHost.start();
  const { shared, journal, vms } = host;
  const storage = shared.storage();
  const created = await storage.plan(WEB.osdisk, "tag");
  const vm = numberedUuid(9);
  const xml = testDomainXml({ uuid: vm, name: "web" });
  await journal.write(changeOf({ vm, newXml: xml, created: [created] }));
  await storage.provision(created, WEB.osdisk);
  await new Registry({ tree: shared.tree, hostUuid: OTHER_HOST }).write(OTHER_VM, THEIRS);
  await vms.recover();
  assert.deepEqual(await journal.list(), []);
  assert.deepEqual(await shared.names(), ["web.qcow2"]);
});

Deno.test("a record that cannot be read bars the disk, naming the file, and keeps nobody from deleting a VM", async () => {
  await using host = await VmHost.start();
  const vm = await host.vms.create({ vmdef: WEB, host: "" });
  const file = `${host.shared.root}/.virtxd/disks/${KEY}/7.json`;
  await Deno.writeTextFile(file, "{}");
  const named = { kind: "conflict", message: /7\.json cannot be understood/ } as const;
  await assert.rejects(host.vms.boot(vm, { cloud_init: [] }), named);
  await host.vms.delete(vm, { deletestorage: true });
  assert.deepEqual(await host.shared.names(), ["web.qcow2"]);
  await assert.rejects(host.vms.create({ vmdef: FOUND, host: "" }), named);
});
