import assert from "node:assert/strict";
import { VirtxError } from "../../../lib/model/error.ts";
import type { VmImportOptions } from "../../../lib/model/vm.ts";
import { importedUuid } from "../../../lib/vm/imports.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const UUID = numberedUuid(40);
const MAC = "52:54:00:aa:bb:cc";
const DISK = "/vms/ds/legacy.raw";

function xmlOf(
  o: { readonly disk?: string; readonly devices?: string; readonly uuid?: string } = {},
): string {
  const { disk = DISK, devices = "", uuid = UUID } = o;
  return `<domain type='test'><name>legacy</name>${
    uuid === "" ? "" : `<uuid>${uuid}</uuid>`
  }<title>Till</title>
    <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os><devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>
    <interface type='network'><mac address='${MAC}'/><source network='default'/></interface>${devices}</devices></domain>`;
}

const HERE: VmImportOptions = { host: "", vm: UUID, xml: "", newids: false };
const file = (xml: string, o: Partial<VmImportOptions> = {}): VmImportOptions => ({
  ...HERE,
  vm: "",
  xml,
  ...o,
});

function refused(field: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof VirtxError, String(error));
    assert.ok(
      error.issues.some((issue) => issue.field === field && message.test(issue.message)),
      JSON.stringify(error.issues),
    );
    return true;
  };
}

async function withDisk(): Promise<VmHost> {
  const host = await VmHost.start();
  await Deno.writeFile(`${host.shared.tree.root}/ds/legacy.raw`, new Uint8Array(1 << 20));
  return host;
}

Deno.test("a domain of libvirt's is adopted as it is: recorded with its disks, and told before", async () => {
  await using host = await withDisk();
  const { vms, registry } = host;
  const { hypervisor, monitor } = host.host;
  await hypervisor.define(xmlOf({ devices: "<graphics type='vnc' passwd='s3cret'/>" }));
  await monitor.refresh(UUID);
  const before = await hypervisor.definitionWithSecrets(UUID);
  const state = await host.state();
  const verdict = await vms.checkImport(HERE, UUID);
  assert.deepEqual(await host.state(), state, "nothing is done");
  assert.deepEqual([verdict.fits, verdict.vmname, verdict.obstacles], [true, "Till", []]);
  assert.match(
    verdict.keeps.join("\n"),
    /all of it, and its name there, legacy\n.*disk \/vms\/ds\/legacy.raw\n.*passwords/,
  );
  assert.match(verdict.changes.join("\n"), /its definition is recorded.*\n.*recorded as its own/);

  assert.equal(await vms.import(HERE, UUID), UUID);
  assert.equal(await hypervisor.definitionWithSecrets(UUID), before);
  assert.equal(await registry.read(UUID), await hypervisor.definition(UUID));
  assert.deepEqual(await host.owned(), [DISK]);
  const again = await vms.checkImport(HERE, UUID);
  assert.match(again.changes.join("\n"), /^nothing of what is recorded/);
  assert.equal(await vms.import(HERE, UUID), UUID);
  await assert.rejects(vms.import({ ...HERE, vm: numberedUuid(41) }, numberedUuid(41)), /Cannot .*41/);
});

Deno.test("a domain whose disk another VM has is not adopted", async () => {
  await using host = await withDisk();
  const { hypervisor, monitor } = host.host;
  await host.vms.create({
    vmdef: { ...SMALL_VMDEF, name: "own", osdisk: diskAt(DISK, { size: 0, man: 0, prov: 0 }) },
    host: "",
  });
  await hypervisor.define(xmlOf());
  await monitor.refresh(UUID);
  const { fits, obstacles } = await host.vms.checkImport(HERE, UUID);
  assert.equal(fits, false);
  assert.match(obstacles[0]?.message ?? "", /\/vms\/ds\/legacy.raw is one of VM/);
  await assert.rejects(host.vms.import(HERE, UUID), refused("disks", /is one of VM/));
  assert.deepEqual(await host.registry.list(), (await host.registry.list()).filter((vm) => vm !== UUID));
});

Deno.test("a definition in a file becomes a domain with its UUID and password, or with ids of its own", async () => {
  await using host = await withDisk();
  const { vms } = host;
  const { hypervisor } = host.host;
  const xml = xmlOf({ devices: "<graphics type='vnc' passwd='s3cret'/>" });
  assert.equal(importedUuid(file(xml)), UUID);
  assert.equal(importedUuid(file(xml, { newids: true })), undefined);
  assert.equal(await vms.import(file(xml), UUID), UUID);
  assert.match(
    await hypervisor.definitionWithSecrets(UUID),
    new RegExp(`<name>legacy<[^]*${MAC}[^]*passwd='s3cret'`),
  );
  assert.doesNotMatch(await host.registry.read(UUID) ?? "", /s3cret/);

  const other = numberedUuid(42);
  const clashing = await vms.checkImport(file(xml), UUID);
  assert.deepEqual([...new Set(clashing.obstacles.map(({ field }) => field))], ["uuid"]);
  await Deno.writeFile(`${host.shared.tree.root}/ds/other.raw`, new Uint8Array(1 << 20));
  const copy = xml.replace(DISK, "/vms/ds/other.raw");
  await assert.rejects(
    vms.import(file(copy.replace(UUID, other)), other),
    refused("name", /has the name legacy/),
  );
  const fresh = file(copy, { newids: true, duplicateName: true });
  const told = await vms.checkImport(fresh, other);
  assert.match(told.changes.join("\n"), /gets the UUID .*42\n.*MAC addresses of their own/);
  await vms.import(fresh, other);
  const made = await hypervisor.definition(other);
  assert.match(made, new RegExp(`<name>${other}</name>[^]*<title>Till</title>`));
  assert.doesNotMatch(made, new RegExp(MAC));
});

Deno.test("a file may reach for nothing of the host, and what is no definition is refused with the reason", async () => {
  await using host = await withDisk();
  const before = await host.state();
  const cases: [string, string, RegExp][] = [
    [xmlOf({ disk: "/etc/shadow" }), "xml", /\/etc\/shadow.*not for guests; whoever trusts the file/],
    [xmlOf({ devices: "<hostdev mode='subsystem' type='usb'/>" }), "xml", /<hostdev> is of the host/],
    [xmlOf({ disk: "/vms/ds/missing.raw" }), "vmdef.osdisk.path", /missing.raw/],
  ];
  for (const [xml, field, message] of cases) {
    await assert.rejects(host.vms.import(file(xml), UUID), refused(field, message));
  }
  for (
    const xml of [
      "no XML",
      "<domain/>",
      "<network/>",
      xmlOf().replace(UUID, "x"),
      `<!DOCTYPE domain []>${xmlOf()}`,
    ]
  ) {
    await assert.rejects(
      async () => await host.vms.import(file(xml), importedUuid(file(xml)) ?? UUID),
      refused("xml", /is no definition of a domain/),
    );
  }
  assert.deepEqual(await host.state(), before);
});

Deno.test("what a VM of another host has of what only one can is refused", async () => {
  await using host = await withDisk();
  const { tree } = host.shared;
  const theirs = `xml/${numberedUuid(90)}`;
  await tree.make(theirs, 0o750);
  await Deno.writeTextFile(
    tree.at(`${theirs}/${numberedUuid(91)}.xml`),
    xmlOf({ uuid: numberedUuid(91), disk: "/vms/ds/x.raw" }),
  );
  await assert.rejects(
    host.vms.import(file(xmlOf()), UUID),
    refused("mac", new RegExp(`has the MAC address ${MAC}`)),
  );
  const without = file(xmlOf({ uuid: "" }));
  assert.equal(importedUuid(without), undefined);
  await assert.rejects(
    host.vms.import(file(xmlOf({ uuid: numberedUuid(91) })), numberedUuid(91)),
    refused("uuid", /has the UUID/),
  );
  await host.vms.import({ ...without, newids: true }, UUID);
});
