import assert from "node:assert/strict";
import {
  parseDomainCapabilities,
  parseDomainXml,
  parsePlatform,
  parseSummary,
} from "../../../lib/domain_xml/mod.ts";
import type { DomainContext } from "../../../lib/domain_xml/context.ts";
import { editDomainXml } from "../../../lib/domain_xml/edit.ts";
import { reachesOut } from "../../../lib/domain_xml/trust.ts";
import { DiskDevice, DiskManagement, DiskProvisioning, Firmware } from "../../../lib/model/enums.ts";
import { leaseKey } from "../../../lib/model/lease_key.ts";
import type { Vmdef } from "../../../lib/model/vm.ts";
import { fixture } from "../../support/fixtures.ts";

/** A registry file as the prototype writes it (protocol.md §3, §4), with a lease of its disk. */
const KEY = leaseKey("/vms/ds/go1/os.qcow2") ?? "";
const LUN = "/dev/disk/by-id/wwn-0x6001405aaaaaaaaaaaaaaaaaaaaaaaaa";
const XML = fixture("domain_xml/prototype.xml").replaceAll("KEY", KEY);
const CONTEXT: DomainContext = {
  arch: "x86_64",
  domainType: "kvm",
  libvirtVersion: 9_000_000,
  capabilities: parseDomainCapabilities(fixture("domain_xml/libvirt-9.0/domcapabilities-pc.xml")),
};

Deno.test("a registry file of the prototype's is read: the VM, its disks as it manages them, its operations", () => {
  const { def, operations } = parseDomainXml(XML);
  assert.deepEqual([def.name, def.firmware, def.memory.total], ["go1", Firmware.bios, 1_024]);
  assert.equal(def.cpudef.model, "host-passthrough");
  assert.deepEqual(def.custom, [{ name: "owner", value: "web team" }]);
  const { path, man, prov } = def.osdisk;
  assert.deepEqual([path, man, prov], [
    "/vms/ds/go1/os.qcow2",
    DiskManagement.managed,
    DiskProvisioning.thin,
  ]);
  assert.deepEqual(def.disks.map(({ path, device }) => [path, device]), [[LUN, DiskDevice.lun]]);
  assert.deepEqual(operations.map(({ op, ts, status }) => [op, ts, status]), [[
    "VmBoot",
    1_780_000_000_000,
    "completed",
  ]]);
  assert.equal(parseSummary(XML).name, "go1");
});

Deno.test("what it reaches for is allowed but for LUNs that the configuration must name", () => {
  const emulators = ["/usr/bin/qemu-system-x86_64"];
  assert.deepEqual(reachesOut(XML, { emulators, allowsDevice: (path) => path === LUN }), []);
  assert.equal(reachesOut(XML, { emulators, allowsDevice: () => false }).length, 1);
});

Deno.test("an update of it keeps its lease and all else; without the disk the lease goes, too", () => {
  const edited = (change: (def: Vmdef) => Vmdef) =>
    editDomainXml(XML, change(parseDomainXml(XML).def), CONTEXT);
  const lines = (xml: string) => new Set(xml.split("\n").map((line) => line.trim()));
  assert.equal(edited((def) => def), XML);
  const after = edited((def) => ({ ...def, memory: { ...def.memory, total: 2_048 } }));
  assert.deepEqual([...lines(XML).difference(lines(after))], [
    "<memory unit='KiB'>1048576</memory>",
    "<currentMemory unit='KiB'>1048576</currentMemory>",
  ]);
  assert.ok(after.includes(`<key>${KEY}</key>`));
  const without = edited((def) => ({ ...def, osdisk: { ...def.osdisk, path: "/vms/ds/other.qcow2" } }));
  assert.ok(!without.includes(KEY));
});

Deno.test("its channel keeps it from migrating while it runs, and says what helps; off it moves", () => {
  const { unmovable, bound, local } = parsePlatform(XML);
  assert.match(unmovable.join(), /^a qemu-vdagent channel, .*migrate it cold, or remove the channel/);
  assert.deepEqual([bound, local], [[], []]);
});
