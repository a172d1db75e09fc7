import assert from "node:assert/strict";
import { DiskProvisioning, NetType } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { DefinitionVerdict, Vmdef } from "../../../lib/model/vm.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { VmHost } from "../../support/vm_host.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const MAC = "52:54:00:00:00:01";
const GENID = "0b8b3f3a-5b0e-4c43-9b4e-0a4f6f3c2d11";
const BRIDGED = { name: "nobridge0", nettype: NetType.bridge, model: 0, mac: MAC } as const;
const DB1: Vmdef = {
  ...SMALL_VMDEF,
  name: "db1",
  osdisk: diskAt("/vms/ds/db1/disk0.qcow2", { size: 8 }),
  nets: [BRIDGED],
  genid: GENID,
};
/** What no disk has room for. */
const PIB = 1024 * 1024 * 1024;

function told(issues: DefinitionVerdict["obstacles"]): string[] {
  return issues.map(({ field, message }) => `${field}: ${message}`);
}

async function failure(promise: Promise<unknown>): Promise<VirtxError> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof VirtxError, String(error));
  return error;
}

Deno.test("a dry run tells all that is in the way of a creation, changes nothing, and the creation says the same", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const db1 = await vms.create({ vmdef: DB1, host: "" });
  await Deno.writeTextFile(host.shared.at("/vms/ds/there.qcow2"), "something");
  const wrong: Vmdef = {
    ...DB1,
    name: "db2",
    disks: [
      diskAt("/vms/ds/missing.qcow2"),
      diskAt("/vms/ds/there.qcow2", { size: 8 }),
      diskAt("/vms/ds/thick.raw", { size: PIB / 1024, prov: DiskProvisioning.thick }),
      diskAt("/dev/sdx", { size: 0, prov: DiskProvisioning.none }),
    ].map((disk, at) => at === 0 || at === 3 ? { ...disk, size: 0, prov: DiskProvisioning.none } : disk),
  };
  const before = await host.state();
  const verdict = await vms.checkCreate({ vmdef: wrong, host: "" });
  const expected: [string, RegExp][] = [
    ["vmdef.osdisk.path", new RegExp(`^VM "db1" \\(${db1}\\) uses disk "/vms/ds/db1/disk0\\.qcow2"$`)],
    ["vmdef.nets[0].mac", /^VM "db1" .* has the MAC address 52:54:00:00:00:01; without one/],
    ["vmdef.genid", /^VM "db1" .* has the generation id .*; "auto" gives/],
    ["vmdef.disks[0].path", /"\/vms\/ds\/missing\.qcow2": .*not exist|No such file/],
    ["vmdef.disks[1].path", /already exists; without a size it is used as it is/],
    ["vmdef.disks[3].path", /--block-devices/],
    [
      "vmdef.disks[2].size",
      /^1048576 MiB are to be written at once \(thick\), and \d+ MiB are free below \/vms\/ds$/,
    ],
  ];
  const found = told(verdict.obstacles);
  assert.equal(found.length, expected.length, found.join("\n"));
  for (const [at, [field, message]] of expected.entries()) {
    assert.equal(verdict.obstacles[at]?.field, field, found[at]);
    assert.match(verdict.obstacles[at]?.message ?? "", message);
  }
  assert.ok(!verdict.fits);
  assert.deepEqual(await host.state(), before);

  const refused = await failure(vms.create({ vmdef: wrong, host: "" }));
  // How much is free may have changed meanwhile.
  const withoutFree = (lines: readonly string[]) => lines.map((line) => line.replace(/\d+ MiB are free/, ""));
  assert.deepEqual(withoutFree(told(refused.issues)), withoutFree(found));
  assert.equal(refused.kind, "conflict");
  assert.match(refused.message, /^Cannot create VM "db2" for 7 reasons$/);
  assert.deepEqual(await host.state(), before);
});

Deno.test("what can be done but may surprise is a warning, and is done", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const vmdef: Vmdef = {
    ...DB1,
    memory: { total: 900 * 1024, hp: false },
    osdisk: diskAt("/vms/ds/db1/disk0.qcow2", { size: 64 * 1024 * 1024 }),
    nets: [BRIDGED, { name: "nonet", nettype: NetType.network, model: 0, mac: "" }],
  };
  const verdict = await vms.checkCreate({ vmdef, host: "" });
  assert.deepEqual([verdict.fits, verdict.obstacles], [true, []]);
  const expected = [
    /^vmdef\.memory\.total: it can never start here: this host has \d+ MiB of memory in all$/,
    /^vmdef\.nets\[0\]\.name: it cannot start here: there is no bridge "nobridge0" on this host$/,
    /^vmdef\.nets\[1\]\.name: it cannot start here: libvirt has no active network "nonet" on this host$/,
    /^vmdef\.osdisk\.size: 67108864 MiB may be written in time \(thin\), and \d+ MiB are free below \/vms\/ds$/,
  ];
  assert.equal(verdict.warnings.length, expected.length, told(verdict.warnings).join("\n"));
  for (const [at, line] of told(verdict.warnings).entries()) assert.match(line, expected[at] ?? /^$/);
});

Deno.test("a VM keeps what it has: only what an update brings in is compared with others", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const db1 = await vms.create({ vmdef: DB1, host: "" });
  const db2 = await vms.create({
    vmdef: { ...DB1, name: "db2", osdisk: diskAt("/vms/ds/db2.qcow2", { size: 8 }), nets: [], genid: "" },
    host: "",
  });
  const { def } = await vms.get(db1);
  assert.ok((await vms.checkUpdate(db1, { vmdef: { ...def, vlanid: 3 }, deletestorage: false })).fits);
  await vms.update(db1, { vmdef: { ...def, vlanid: 3 }, deletestorage: false });
  const { def: other } = await vms.get(db2);
  const vmdef = { ...other, name: "-x", nets: [BRIDGED] };
  assert.match(
    told((await failure(vms.checkUpdate(db2, { vmdef, deletestorage: false }))).issues).join(),
    /vmdef\.name: must not begin with "-"/,
  );
  const before = await host.state();
  const taking = { vmdef: { ...other, nets: [BRIDGED] }, deletestorage: false };
  const verdict = await vms.checkUpdate(db2, taking);
  assert.deepEqual(verdict.obstacles.map(({ field }) => field), ["vmdef.nets[0].mac"]);
  assert.match(
    (await failure(vms.update(db2, taking))).message,
    /^Cannot change VM "db2": VM "db1" .* has the MAC address/,
  );
  assert.deepEqual(await host.state(), before);
});

Deno.test("two creations at once do not get one MAC address", async () => {
  await using host = await VmHost.start();
  const outcomes = await Promise.allSettled(["a", "b"].map((name) =>
    host.vms.create({
      vmdef: { ...DB1, name, genid: "", osdisk: diskAt(`/vms/ds/${name}.qcow2`, { size: 8 }) },
      host: "",
    })
  ));
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
});

Deno.test("a name that another VM of the cluster has is refused, and given to a second one who asks for that", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const { monitor, inventory } = host.host;
  const db1 = await vms.create({ vmdef: DB1, host: "" });
  const there = vmInfo({ uuid: numberedUuid(7), name: "there", host: numberedUuid(2000) });
  inventory.putHost(hostEntry({ uuid: there.host, def: { ...hostEntry().def, name: "virt2" } }));
  inventory.putVm(there);
  const own = { nets: [], genid: "", osdisk: diskAt("/vms/ds/second.qcow2", { size: 8 }) };
  const name = inventory.host(monitor.uuid)?.def.name ?? "";
  const cases: [vmdef: Vmdef, uuid: string, on: string][] = [
    [{ ...DB1, ...own }, db1, name],
    [{ ...DB1, ...own, name: "there" }, there.uuid, "virt2"],
  ];
  for (const [vmdef, uuid, on] of cases) {
    const message =
      `VM ${uuid} on host "${on}" has that name; choose another one, or allow both to have it: ` +
      "?duplicate_name=allow, virtx: --allow-duplicate-name";
    const refused = await failure(vms.create({ vmdef, host: "" }));
    assert.deepEqual([refused.kind, refused.issues], ["duplicate", [{ field: "vmdef.name", message }]]);
    assert.deepEqual((await vms.checkCreate({ vmdef, host: "" })).obstacles, [{
      field: "vmdef.name",
      message,
    }]);
    assert.ok((await vms.checkCreate({ vmdef, host: "", duplicateName: true })).fits);
  }
  const second = await vms.create({ vmdef: { ...DB1, ...own }, host: "", duplicateName: true });
  const { def } = await vms.get(second);
  const update = (name: string, duplicateName: boolean) =>
    vms.update(second, { vmdef: { ...def, name }, deletestorage: false, duplicateName });
  await update("db1", false); // it has that name already
  assert.equal((await failure(update("there", false))).kind, "duplicate");
  await update("there", true);
  assert.equal((await vms.get(second)).def.name, "there");
});
