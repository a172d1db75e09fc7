import assert from "node:assert/strict";
import {
  buildDomainXml,
  type DomainCapabilities,
  type DomainContext,
  parseDomainCapabilities,
  parseDomainXml,
} from "../../../lib/domain_xml/mod.ts";
import { addressBits } from "../../../lib/domain_xml/build_cpu.ts";
import { Firmware } from "../../../lib/model/enums.ts";
import { type Loose, normaliseVmdef } from "../../../lib/model/normalise.ts";
import type { Vmdef } from "../../../lib/model/vm.ts";
import { fixture, golden, jsonFixture } from "../../support/fixtures.ts";
import { disk, ENUM_VMDEFS, SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const UUID = "6b1f9bfe-6e3e-4f0e-9f3e-000000000001";

const Q35 = parseDomainCapabilities(fixture("domain_xml/libvirt-9.0/domcapabilities-q35.xml"));
const PC = parseDomainCapabilities(fixture("domain_xml/libvirt-9.0/domcapabilities-pc.xml"));

/** Debian 12 without KVM. */
const DEBIAN: DomainContext = {
  arch: "x86_64",
  domainType: "qemu",
  libvirtVersion: 9_000_000,
  capabilities: PC,
};

/** A host with KVM and a libvirt that can limit maxphysaddr, with what such a host adds to Debian 12's capabilities. */
const NEWER: DomainContext = {
  arch: "x86_64",
  domainType: "kvm",
  libvirtVersion: 10_003_000,
  capabilities: {
    ...Q35,
    cpuModes: new Set([...Q35.cpuModes, "host-passthrough"]),
    firmware: new Set(["bios", "efi"]),
  },
};

const ARM: DomainContext = {
  arch: "aarch64",
  domainType: "kvm",
  libvirtVersion: 10_003_000,
  capabilities: { ...Q35, emulator: "/usr/bin/qemu-system-aarch64", arch: "aarch64", genid: false },
};

const TEST_DRIVER: DomainContext = {
  arch: "i686",
  domainType: "test",
  libvirtVersion: 9_000_000,
  capabilities: undefined,
};

function vmdef(name: string): Vmdef {
  return normaliseVmdef(jsonFixture(`vmdef/${name}.json`) as Loose<Vmdef>);
}

/** The XML of a small VM with these capabilities in place of Debian's. */
function smallXml(def: Partial<Vmdef>, capabilities: Partial<DomainCapabilities> = {}): string {
  const context = { ...DEBIAN, capabilities: { ...PC, ...capabilities } };
  return buildDomainXml(UUID, { ...SMALL_VMDEF, ...def }, context);
}

const GOLDEN = [
  ["web-debian", vmdef("web"), { ...DEBIAN, capabilities: Q35 }],
  ["web-aarch64", vmdef("web"), ARM],
  ["sparse-debian", vmdef("sparse"), DEBIAN],
  ["sparse-newer", vmdef("sparse"), NEWER],
  ["hugepages-newer", vmdef("hugepages"), NEWER],
  ["sparse-test-driver", vmdef("sparse"), TEST_DRIVER],
] as const;

for (const [name, def, context] of GOLDEN) {
  Deno.test(`the XML of ${name} is as its golden file says`, () => {
    const xml = buildDomainXml(UUID, def, context);
    assert.equal(xml, golden(`domain_xml/${name}.xml`, xml));
  });
}

Deno.test("a CPU mode that the host lacks becomes maximum, and its name is read back", () => {
  const def = { ...SMALL_VMDEF, cpudef: { ...SMALL_VMDEF.cpudef, model: "host-passthrough" } };
  const xml = smallXml(def);
  assert.match(xml, /<cpu mode="maximum"/);
  assert.equal(parseDomainXml(xml).def.cpudef.model, "host-passthrough");
});

Deno.test("the CPU that somebody else gave a domain counts more than what was once asked for", () => {
  const def = { ...SMALL_VMDEF, cpudef: { ...SMALL_VMDEF.cpudef, model: "host-passthrough" } };
  const edited = smallXml(def).replace('mode="maximum"', 'mode="host-model"');
  assert.equal(parseDomainXml(edited).def.cpudef.model, "host-model");
});

Deno.test("a genid is left out where machines have none, and read back", () => {
  const genid = "7d5a0d70-5a3f-4d38-9f6b-0d3f3b6c1f10";
  const xml = smallXml({ genid }, { genid: false });
  assert.doesNotMatch(xml, /<genid/);
  assert.equal(parseDomainXml(xml).def.genid, genid);
});

Deno.test("a VLAN goes on every interface, and is remembered without any", () => {
  const net = { name: "br0", nettype: 1, model: 0, mac: "" } as const;
  assert.equal(smallXml({ vlanid: 7, nets: [net, net] }).match(/<tag id="7"\/>/g)?.length, 2);
  assert.equal(parseDomainXml(smallXml({ vlanid: 7 })).def.vlanid, 7);
});

Deno.test("devices and threads that the host lacks are left out", () => {
  const lacking = {
    videoModels: new Set<string>(),
    rngBackends: new Set<string>(),
    iothreads: false,
  };
  const all = smallXml({});
  const fewer = smallXml({}, lacking);
  for (const part of ["<video>", "<rng ", "<iothreads>", "iothread="]) {
    assert.ok(all.includes(part), part);
    assert.ok(!fewer.includes(part), part);
  }
});

Deno.test("what only KVM has is left out without it", () => {
  const kvm = buildDomainXml(UUID, SMALL_VMDEF, NEWER);
  const older = buildDomainXml(UUID, SMALL_VMDEF, { ...NEWER, libvirtVersion: 9_002_000 });
  for (const part of ["kvmclock", "eoi=", "<ioapic", "<maxphysaddr"]) {
    assert.ok(kvm.includes(part), part);
    assert.ok(!smallXml({}).includes(part), part);
  }
  assert.ok(!older.includes("<maxphysaddr"), "libvirt 9.2 does not know the limit");
});

Deno.test("a BIOS guest is refused on aarch64, by the field's name", () => {
  assert.throws(() => buildDomainXml(UUID, SMALL_VMDEF, ARM), {
    kind: "invalid",
    message: 'Cannot define VM "small": aarch64 machines have no BIOS',
    issues: [{ field: "firmware", message: "must be uefi (1) on aarch64" }],
  });
});

Deno.test("scsi controller 0 is there for the seed, whatever the disks", () => {
  assert.match(smallXml({}), /<controller type="scsi" index="0" model="virtio-scsi"\/>/);
  const scsi = smallXml({ disks: [disk("/vms/ds/a.raw", { bus: 1 })] });
  assert.match(scsi, /<address type="drive" controller="1" /);
});

Deno.test("seven sata disks take two controllers", () => {
  const disks = Array.from({ length: 7 }, (_, index) => disk(`/vms/ds/${index}.raw`, { bus: 2 }));
  const units = [...smallXml({ disks }).matchAll(/controller="(\d)" bus="0" target="0" unit="(\d)"/g)];
  assert.deepEqual(units.map(([, controller, unit]) => `${controller}:${unit}`), [
    ..."0:0 0:1 0:2 0:3 0:4 0:5 1:0".split(" "),
  ]);
});

Deno.test("physical addresses are wide enough for the memory and what QEMU puts beside it", () => {
  const gib = (size: number) => addressBits(size * 1024);
  // Tried with QEMU 7.2, q35: the smallest phys-bits with which a guest of that size starts.
  assert.deepEqual([1, 28, 32, 63, 64, 96, 1000, 1024].map(gib), [36, 36, 37, 37, 37, 38, 42, 42]);
});

Deno.test("UEFI declines firmware that would refuse unsigned guests", () => {
  const uefi = buildDomainXml(UUID, { ...SMALL_VMDEF, firmware: Firmware.uefi }, {
    ...DEBIAN,
    capabilities: Q35,
  });
  assert.match(uefi, /<feature enabled="no" name="secure-boot"\/>/);
});

Deno.test("no guest has a device that QEMU cannot migrate", () => {
  for (const { def } of ENUM_VMDEFS) assert.doesNotMatch(buildDomainXml(UUID, def, DEBIAN), /vdagent/);
});
