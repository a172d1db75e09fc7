import assert from "node:assert/strict";
import { DiskProvisioning } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { Vmdef } from "../../../lib/model/vm.ts";
import { Registry } from "../../../lib/registry/registry.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const OTHER_HOST = numberedUuid(2);
const OS_DISK = diskAt("/vms/ds/web.qcow2", { size: 8 });
const WEB: Vmdef = { ...SMALL_VMDEF, name: "web", osdisk: OS_DISK };
/** The same disk, as it exists. */
const FOUND = { ...OS_DISK, size: 0, prov: DiskProvisioning.none };

/** A host, a disk that exists, and another host whose registry says that a VM of it has the disk. */
async function withOtherHost(
  test: (o: { host: VmHost; theirs: string; registry: Registry }) => Promise<void>,
): Promise<void> {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  const theirs = await vms.create({ vmdef: WEB, host: "" });
  const xml = await host.registry.read(theirs) ?? "";
  await vms.delete(theirs, { deletestorage: false });
  const registry = new Registry({ tree: shared.tree, hostUuid: OTHER_HOST });
  await registry.write(theirs, xml);
  await test({ host, theirs, registry });
}

function isTaken(field: string, vm: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof VirtxError, String(error));
    assert.equal(error.kind, "conflict", error.message);
    assert.deepEqual(error.issues.map((issue) => issue.field), [field]);
    const file = `xml/${OTHER_HOST}/${vm}.xml`;
    const message = new RegExp(
      `disk ".*" is one of VM "web" \\(${vm}\\) of host ${OTHER_HOST}, by .*${file}$`,
    );
    assert.match(error.issues[0]?.message ?? "", message);
    return true;
  };
}

Deno.test("a disk of another host's VM is not given to a VM of this one, neither new nor old", () =>
  withOtherHost(async ({ host: { vms }, theirs }) => {
    const thief = { ...WEB, name: "thief", osdisk: FOUND };
    await assert.rejects(vms.create({ vmdef: thief, host: "" }), isTaken("vmdef.osdisk.path", theirs));
    const verdict = await vms.checkCreate({ vmdef: thief, host: "" });
    assert.deepEqual(verdict.obstacles.map(({ field }) => field), ["vmdef.osdisk.path"]);
    const own = { ...OS_DISK, path: "/vms/ds/own.qcow2" };
    const mine = await vms.create({ vmdef: { ...thief, osdisk: own }, host: "" });
    const both = { ...thief, osdisk: { ...own, size: 0 }, disks: [FOUND] };
    await assert.rejects(
      vms.update(mine, { vmdef: both, deletestorage: false }),
      isTaken("vmdef.disks[0].path", theirs),
    );
  }));

Deno.test("a disk that a VM of another host has by now is kept when its VM here is deleted", () =>
  withOtherHost(async ({ host: { vms, shared }, theirs, registry }) => {
    const xml = await registry.read(theirs) ?? "";
    await registry.remove(theirs);
    const mine = await vms.create({ vmdef: { ...WEB, osdisk: FOUND }, host: "" });
    await registry.write(theirs, xml);
    await vms.delete(mine, { deletestorage: true });
    assert.deepEqual(await shared.names(), ["web.qcow2"]);
  }));

Deno.test("a definition of another host that cannot be read has every disk that it names", () =>
  withOtherHost(async ({ host: { vms }, theirs, registry }) => {
    await registry.write(theirs, `<domain><file>${OS_DISK.path}</file>&broken;`);
    await assert.rejects(vms.create({ vmdef: { ...WEB, osdisk: FOUND }, host: "" }), /is one of VM/);
  }));
