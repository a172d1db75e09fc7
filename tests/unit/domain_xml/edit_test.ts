import assert from "node:assert/strict";
import fc from "fast-check";
import { buildDomainXml, parseDomainXml } from "../../../lib/domain_xml/mod.ts";
import type { DomainContext } from "../../../lib/domain_xml/context.ts";
import { editDomainXml } from "../../../lib/domain_xml/edit.ts";
import { parseDomainCapabilities } from "../../../lib/domain_xml/domain_capabilities.ts";
import { DiskBus, DiskDevice, DiskManagement, NetModel, NetType } from "../../../lib/model/enums.ts";
import { leaseKey } from "../../../lib/model/lease_key.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { Net, Vmdef } from "../../../lib/model/vm.ts";
import { fixture } from "../../support/fixtures.ts";
import { anyVmdef } from "../../support/vmdef_arbitrary.ts";
import { disk, SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const UUID = "6b1f9bfe-6e3e-4f0e-9f3e-000000000011";
const CONTEXT: DomainContext = {
  arch: "x86_64",
  domainType: "qemu",
  libvirtVersion: 9_000_000,
  capabilities: parseDomainCapabilities(fixture("domain_xml/libvirt-9.0/domcapabilities-pc.xml")),
};
const FOREIGN = fixture("domain_xml/libvirt-9.0/foreign.xml");

function edited(xml: string, change: (def: Vmdef) => Vmdef): string {
  return editDomainXml(xml, change(parseDomainXml(xml).def), CONTEXT);
}

/** The lines that are in one text and not in the other: of what was taken away, and of what was added. */
function changedLines(before: string, after: string): { readonly gone: string[]; readonly new: string[] } {
  const count = (text: string) => Map.groupBy(text.split("\n").map((line) => line.trim()), (line) => line);
  const [old, young] = [count(before), count(after)];
  const more = (a: typeof old, b: typeof old) =>
    [...a].flatMap(([line, all]) => all.slice(b.get(line)?.length ?? 0));
  return { gone: more(old, young), new: more(young, old) };
}

Deno.test("a definition that says the same stays byte for byte", () => {
  for (const name of ["bios-inactive", "uefi-inactive", "foreign"]) {
    const xml = fixture(`domain_xml/libvirt-9.0/${name}.xml`);
    assert.equal(edited(xml, (def) => def), xml);
  }
});

Deno.test("any definition becomes any other, and says so", () => {
  fc.assert(
    fc.property(anyVmdef, anyVmdef, (from, to) => {
      const wanted = { ...to, firmware: from.firmware };
      const xml = editDomainXml(buildDomainXml(UUID, from, CONTEXT), wanted, CONTEXT);
      assert.deepEqual(parseDomainXml(xml).def, wanted);
    }),
    { numRuns: 300 },
  );
});

Deno.test("interfaces that the model has no word for stay, go, or are replaced as a whole", () => {
  const more = `<interface type='hostdev' managed='yes'><mac address='52:54:00:aa:bb:09'/>
      <source><address type='pci' domain='0x0000' bus='0x08' slot='0x10' function='0x6'/></source></interface>
    <interface type='vhostuser'><mac address='52:54:00:aa:bb:0a'/><source type='unix' path='/run/v.sock' mode='client'/>
      <model type='virtio'/></interface>
  </devices>`;
  const xml = FOREIGN.replace("</devices>", more);
  const { nets } = parseDomainXml(xml).def;
  assert.deepEqual(nets.map(({ name }) => name), [
    "user:",
    "direct:eth0",
    "ovsbr0",
    "hostdev:0000:08:10.6",
    "vhostuser:/run/v.sock",
  ]);
  const without = edited(xml, (def) => ({ ...def, nets: def.nets.slice(1) }));
  assert.deepEqual(changedLines(xml, without).new, []);
  assert.deepEqual(parseDomainXml(without).def.nets, nets.slice(1));
  const [user, ...others] = nets;
  const bridged = { ...user, name: "br0", nettype: NetType.bridge } as Net;
  const replaced = edited(xml, (def) => ({ ...def, nets: [bridged, ...others] }));
  assert.ok(!replaced.includes("type='user'"));
  assert.deepEqual(parseDomainXml(replaced).def.nets, [bridged, ...others]);
});

Deno.test("what others have put into a definition is there after any change", () => {
  const devices = `
    <watchdog model='i6300esb' action='reset'/>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0xbeef'/></source></hostdev>
    <input type='tablet' bus='usb'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`;
  const tune = `
  <cputune><vcpupin vcpu='0' cpuset='1'/></cputune>
  <x:thing xmlns:x='http://other/tool'>mixed <x:b/> text &amp; more</x:thing>`;
  fc.assert(
    fc.property(anyVmdef, anyVmdef, (from, to) => {
      const xml = buildDomainXml(UUID, from, CONTEXT)
        .replace("<devices>", `<devices>${devices}`)
        .replace("  <devices>", `${tune}\n  <devices>`);
      const after = editDomainXml(xml, { ...to, firmware: from.firmware }, CONTEXT);
      for (const foreign of [devices, tune]) assert.ok(after.includes(foreign));
    }),
    { numRuns: 100 },
  );
});

Deno.test("the lease of a disk stays as long as the disk, and goes with it", () => {
  const path = "/vms/ds/leased.qcow2";
  const leased = { ...disk(path), man: DiskManagement.managed };
  const lease = (key: string) => `
    <lease>
      <lockspace>__VIRTX__DISKS__</lockspace>
      <key>${key}</key>
      <target path='/vms/lock/${key}/${key}'/>
    </lease>`;
  const own = lease(leaseKey(path) ?? "");
  const foreign = lease("of-somebody-else");
  const xml = buildDomainXml(UUID, { ...SMALL_VMDEF, disks: [leased] }, CONTEXT)
    .replace("<devices>", `<devices>${own}${foreign}`);
  const renamed = edited(xml, (def) => ({ ...def, name: "renamed", vlanid: 7 }));
  assert.ok(renamed.includes(own) && renamed.includes(foreign));
  const without = edited(xml, (def) => ({ ...def, disks: [] }));
  assert.ok(!without.includes(own) && without.includes(foreign));
});

Deno.test("more memory is two lines", () => {
  const xml = buildDomainXml(UUID, SMALL_VMDEF, CONTEXT);
  const after = edited(xml, (def) => ({ ...def, memory: { ...def.memory, total: 384 } }));
  assert.deepEqual(changedLines(xml, after), {
    gone: [`<memory unit="MiB">128</memory>`, `<currentMemory unit="MiB">128</currentMemory>`],
    new: [`<memory unit="MiB">384</memory>`, `<currentMemory unit="MiB">384</currentMemory>`],
  });
});

function net(name: string, mac: string): Net {
  return { name, nettype: NetType.bridge, model: NetModel.virtio, mac };
}

Deno.test("a VM without disks stays without, and can get one", () => {
  const xml = `<domain type='qemu'>
  <name>bare</name>
  <uuid>${UUID}</uuid>
  <memory unit='KiB'>65536</memory>
  <currentMemory unit='KiB'>65536</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>
  <cpu mode='maximum'/>
  <devices/>
</domain>
`;
  assert.doesNotMatch(edited(xml, (def) => ({ ...def, memory: { ...def.memory, total: 96 } })), /<disk/);
  const osdisk = disk("/vms/ds/a.qcow2");
  assert.equal(edited(xml, (def) => ({ ...def, osdisk })).match(/<disk /g)?.length, 1);
});

Deno.test("of two interfaces the second keeps its slot when the first goes, and when one comes before it", () => {
  const nets = [net("br0", "52:54:00:00:00:01"), net("br1", "52:54:00:00:00:02")];
  const built = buildDomainXml(UUID, { ...SMALL_VMDEF, nets }, CONTEXT);
  let slot = 3;
  const xml = built.replaceAll(
    `<model type="virtio"/>`,
    () =>
      `<model type="virtio"/>\n      <address type='pci' domain='0x0000' bus='0x00' slot='0x0${slot++}' function='0x0'/>`,
  );
  const second = /<interface (?:(?!<interface)[^])*slot='0x04'[^]*?<\/interface>/.exec(xml)?.[0] ?? "";
  assert.match(second, /52:54:00:00:00:02/);
  assert.ok(edited(xml, (def) => ({ ...def, nets: def.nets.slice(1) })).includes(second));
  assert.ok(edited(xml, (def) => ({ ...def, nets: [net("br2", ""), ...def.nets] })).includes(second));
  const turned = edited(xml, (def) => ({ ...def, nets: def.nets.toReversed() }));
  assert.deepEqual(parseDomainXml(turned).def.nets, nets.toReversed());
  assert.match(turned, /52:54:00:00:00:01[^]*slot='0x03'/);
});

Deno.test("a CD-ROM drive keeps its place whatever is put into it, also nothing", () => {
  const drive = { device: DiskDevice.cdrom, bus: DiskBus.sata };
  const xml = buildDomainXml(UUID, { ...SMALL_VMDEF, disks: [disk("/vms/ds/one.iso", drive)] }, CONTEXT);
  const full = edited(xml, (def) => ({ ...def, disks: [disk("/vms/ds/two.iso", drive)] }));
  assert.equal(full, xml.replace("one.iso", "two.iso"));
  const empty = edited(xml, (def) => ({ ...def, disks: [disk("", drive)] }));
  assert.deepEqual(changedLines(xml, empty), { gone: [`<source file="/vms/ds/one.iso"/>`], new: [] });
});

Deno.test("another OS disk is booted first, and the old one stays where it is", () => {
  const other = disk("/vms/ds/other.qcow2");
  const xml = buildDomainXml(UUID, { ...SMALL_VMDEF, disks: [other] }, CONTEXT);
  const after = edited(xml, (def) => ({ ...def, osdisk: other, disks: [def.osdisk] }));
  assert.deepEqual(parseDomainXml(after).def.osdisk, other);
  assert.equal(after.match(/<boot order="1"\/>/g)?.length, 1);
});

Deno.test("a domain that virtxd did not define is edited in place, by another tool's habits", () => {
  const { def } = parseDomainXml(FOREIGN);
  const after = edited(
    FOREIGN,
    (def) => ({ ...def, name: "renamed", memory: { ...def.memory, total: def.memory.total + 64 } }),
  );
  const { gone, new: young } = changedLines(FOREIGN, after);
  assert.ok(gone.length <= 3, gone.join("\n"));
  assert.equal(young.length, gone.length + (FOREIGN.includes("<title>") ? 0 : 1), young.join("\n"));
  const told = parseDomainXml(after).def;
  assert.deepEqual(told, {
    ...def,
    name: "renamed",
    memory: { ...def.memory, total: def.memory.total + 64 },
  });
});

/** What cannot be changed without taking away what others have set; the field that is named. */
const REFUSED: readonly {
  readonly what: string;
  readonly xml: (built: string) => string;
  readonly change: (def: Vmdef) => Vmdef;
  readonly field: string;
}[] = [
  {
    what: "another firmware",
    xml: (built) => built,
    change: (def) => ({ ...def, firmware: 1 }),
    field: "vmdef.firmware",
  },
  {
    what: "memory beside memory modules",
    xml: (built) => built.replace("<devices>", "<maxMemory slots='4' unit='GiB'>8</maxMemory>\n  <devices>"),
    change: (def) => ({ ...def, memory: { ...def.memory, total: 512 } }),
    field: "vmdef.memory.total",
  },
  {
    what: "processors that are listed one by one",
    xml: (built) => built.replace("<devices>", "<vcpus><vcpu id='0' enabled='yes'/></vcpus>\n  <devices>"),
    change: (def) => ({ ...def, cpudef: { ...def.cpudef, cores: 2 } }),
    field: "vmdef.cpudef",
  },
  {
    what: "the VLAN of a trunk",
    xml: (built) =>
      built.replace(
        `<model type="virtio"/>\n    </interface>`,
        `<model type="virtio"/>\n<vlan trunk='yes'><tag id='4'/><tag id='5'/></vlan></interface>`,
      ),
    change: (def) => ({ ...def, vlanid: 7 }),
    field: "vmdef.vlanid",
  },
];

for (const { what, xml, change, field } of REFUSED) {
  Deno.test(`${what} cannot be changed, and the field is named`, () => {
    const def = { ...SMALL_VMDEF, nets: [net("br0", "52:54:00:00:00:01")] };
    assert.throws(() => edited(xml(buildDomainXml(UUID, def, CONTEXT)), change), (error) => {
      assert.ok(error instanceof VirtxError);
      assert.deepEqual([error.kind, error.issues[0]?.field], ["conflict", field]);
      return true;
    });
  });
}
