import fc from "fast-check";
import assert from "node:assert/strict";
import { DiskBus, DiskDevice } from "../../../lib/model/enums.ts";
import { validateVmdef } from "../../../lib/model/validate.ts";
import type { Disk, Net, Vmdef } from "../../../lib/model/vm.ts";
import { anyVmdef } from "../../support/vmdef_arbitrary.ts";
import { disk, ENUM_VMDEFS, SMALL_VMDEF } from "../../support/vmdef_examples.ts";

/** The fields at fault in a small definition with these differences. */
function faults(but: Partial<Vmdef>): readonly string[] {
  return validateVmdef({ ...SMALL_VMDEF, ...but }).map(({ field }) => field);
}

function diskFaults(path: string, but: Partial<Disk> = {}): readonly string[] {
  return faults({ disks: [disk(path, but)] });
}

function net(but: Partial<Net> = {}): Net {
  return { name: "default", nettype: 0, model: 0, mac: "", ...but };
}

const cpudef = (but: Partial<Vmdef["cpudef"]>) => faults({ cpudef: { ...SMALL_VMDEF.cpudef, ...but } });
const memory = (total: number, hp = false, nodes = 1) =>
  faults({ memory: { total, hp }, cpudef: { ...SMALL_VMDEF.cpudef, nodes } });
const cdrom = { device: DiskDevice.cdrom, bus: DiskBus.sata };
const lun = { device: DiskDevice.lun, bus: DiskBus.virtioScsi };

Deno.test("any definition that the generator makes is valid, and so is every example", () => {
  fc.assert(fc.property(anyVmdef, (def) => assert.deepEqual(validateVmdef(def), [])));
  for (const { what, def } of ENUM_VMDEFS) assert.deepEqual(validateVmdef(def), [], what);
});

Deno.test("what a VM has already may stay, and nothing of its kind may come", () => {
  const foreign: Vmdef = {
    ...SMALL_VMDEF,
    name: "x".repeat(60),
    cpudef: { ...SMALL_VMDEF.cpudef, model: "", threads: 2 },
    osdisk: disk("/var/lib/libvirt/images/x.qcow2"),
    disks: [disk("rbd:pool/image"), disk("", cdrom), disk("", cdrom)],
    nets: [
      net({ name: "user:", nettype: 1, mac: "52:54:00:00:00:01" }),
      net({ name: "direct:eth0", nettype: 1 }),
    ],
  };
  const after = (but: Partial<Vmdef>) =>
    validateVmdef({ ...foreign, ...but }, foreign).map(({ field }) => field);
  assert.deepEqual(after({ memory: { total: 512, hp: false } }), []);
  assert.deepEqual(after({ osdisk: { ...foreign.osdisk, size: 8 }, disks: foreign.disks.slice(0, 1) }), []);
  assert.deepEqual(after({ nets: foreign.nets.toReversed() }), []);
  assert.deepEqual(after({ name: "y".repeat(60) }), ["name"]);
  assert.deepEqual(after({ cpudef: { ...foreign.cpudef, threads: 4 } }), ["cpudef.threads"]);
  assert.deepEqual(after({ disks: [disk("rbd:pool/other"), ...foreign.disks] }), ["disks[0].path"]);
  assert.deepEqual(after({ disks: [...foreign.disks, foreign.osdisk] }), ["disks[3].path", "disks[3].path"]);
  assert.deepEqual(after({ nets: [...foreign.nets, net({ name: "direct:eth0", nettype: 1 })] }), [
    "nets[2].name",
  ]);
  assert.deepEqual(after({ nets: [net({ name: "user:", nettype: 1, mac: "52:54:00:00:00:02" })] }), [
    "nets[0].name",
  ]);
  assert.deepEqual(validateVmdef(foreign).length, 7);
});

const CASES: readonly (readonly [what: string, found: readonly string[], expected: readonly string[]])[] = [
  ["a name of 32 characters", faults({ name: "😀".repeat(32) }), []],
  ["a name of 33 characters", faults({ name: "x".repeat(33) }), ["name"]],
  ["an empty name", faults({ name: "" }), ["name"]],
  ["a name that begins with a space", faults({ name: " x" }), ["name"]],
  ["a tab in a name", faults({ name: "a\tb" }), ["name"]],
  ["a line break in a name", faults({ name: "a\nb" }), ["name"]],
  ["an escape in a name", faults({ name: "a\x1bb" }), ["name"]],
  ["a C1 control in a name", faults({ name: "a\x85b" }), ["name"]],
  ["half a character in a name", faults({ name: "a\ud83d" }), ["name"]],
  ["a noncharacter in a name", faults({ name: "a\ufffe" }), ["name"]],

  ["no CPU model", cpudef({ model: "" }), ["cpudef.model"]],
  ["markup in a CPU model", cpudef({ model: "a b" }), ["cpudef.model"]],
  ["no node", cpudef({ nodes: 0 }), ["cpudef.nodes"]],
  ["a fraction of a socket", cpudef({ sockets: 1.5 }), ["cpudef.sockets"]],
  ["cores beyond 16 bits", cpudef({ cores: 32_768 }), ["cpudef.cores"]],
  ["not a number of cores", cpudef({ cores: NaN }), ["cpudef.cores"]],
  ["two threads", cpudef({ threads: 2 }), ["cpudef.threads"]],
  ["4,096 CPUs", cpudef({ sockets: 64, cores: 64 }), []],
  ["4,097 CPUs", cpudef({ sockets: 17, cores: 241 }), ["cpudef"]],

  ["no memory", memory(0), ["memory.total"]],
  ["negative memory", memory(-1), ["memory.total"]],
  ["16 TiB of memory", memory(16_777_216), []],
  ["more than 16 TiB of memory", memory(16_777_217), ["memory.total"]],
  ["odd memory", memory(129), []],
  ["odd memory on hugepages", memory(129, true), ["memory.total"]],
  ["memory that two nodes cannot share", memory(129, false, 2), ["memory.total"]],
  ["hugepages that two nodes cannot share", memory(130, true, 2), ["memory.total"]],
  ["hugepages that two nodes can share", memory(132, true, 2), []],

  ["20 extra disks", faults({ disks: Array.from({ length: 20 }, (_, i) => disk(`/vms/ds/${i}.raw`)) }), []],
  ["21 extra disks", faults({ disks: Array.from({ length: 21 }, (_, i) => disk(`/vms/ds/${i}.raw`)) }), [
    "disks",
  ]],
  ["a disk twice", diskFaults(SMALL_VMDEF.osdisk.path), ["disks[0].path"]],
  ["a relative path", diskFaults("vms/ds/a.raw"), ["disks[0].path"]],
  ["a protocol", diskFaults("nbd:localhost:1.raw"), ["disks[0].path"]],
  ["a path with ..", diskFaults("/vms/ds/../etc/a.raw"), ["disks[0].path"]],
  ["a path with .", diskFaults("/vms/ds/./a.raw"), ["disks[0].path"]],
  ["a path with //", diskFaults("/vms/ds//a.raw"), ["disks[0].path"]],
  ["a path with a line break", diskFaults("/vms/ds/a\n.raw"), ["disks[0].path"]],
  ["a path of 4,096 bytes", diskFaults(`/vms/ds/${"a/".repeat(2_042)}.raw`), ["disks[0].path"]],
  ["a file name of 256 bytes", diskFaults(`/vms/ds/${"ü".repeat(126)}.raw`), ["disks[0].path"]],
  ["a file name of 255 bytes", diskFaults(`/vms/ds/${"ü".repeat(125)}x.raw`), []],
  ["a path elsewhere", diskFaults("/etc/a.raw"), ["disks[0].path"]],
  ["a path beside /vms/ds", diskFaults("/vms/dsx/a.raw"), ["disks[0].path"]],
  ["an unknown extension", diskFaults("/vms/ds/a.vmdk"), ["disks[0].path"]],
  ["a directory's path", diskFaults("/vms/ds"), ["disks[0].path"]],
  ["a seed", diskFaults("/vms/ds/ci/x/seed.iso", cdrom), ["disks[0].path"]],
  ["a neighbour of the seeds", diskFaults("/vms/ds/cities.raw"), []],
  ["a block device", diskFaults("/dev/sda"), []],
  ["/dev itself", diskFaults("/dev"), ["disks[0].path"]],
  ["a block device's path that climbs", diskFaults("/dev/../etc/passwd"), ["disks[0].path"]],

  ["an ISO image as a disk", diskFaults("/vms/ds/a.iso"), ["disks[0].path"]],
  ["an ISO image as a CD-ROM", diskFaults("/vms/ds/a.iso", cdrom), []],
  ["a disk image as a CD-ROM", diskFaults("/vms/ds/a.raw", cdrom), ["disks[0].path"]],
  ["a drive as a CD-ROM", diskFaults("/dev/sr0", cdrom), ["disks[0].path"]],
  ["a managed CD-ROM", diskFaults("/vms/ds/a.iso", { ...cdrom, man: 1 }), ["disks[0].man"]],
  ["a provisioned CD-ROM", diskFaults("/vms/ds/a.iso", { ...cdrom, man: 1, prov: 1 }), [
    "disks[0].man",
    "disks[0].prov",
  ]],
  ["a CD-ROM on virtio-blk", diskFaults("/vms/ds/a.iso", { device: DiskDevice.cdrom }), ["disks[0].bus"]],
  ["a LUN", diskFaults("/dev/sda", lun), []],
  ["a managed LUN", diskFaults("/dev/sda", { ...lun, man: 1 }), []],
  ["a LUN on lsilogic", diskFaults("/dev/sda", { ...lun, bus: DiskBus.scsi }), []],
  ["a LUN on virtio-blk", diskFaults("/dev/sda", { ...lun, bus: DiskBus.virtioBlk }), ["disks[0].bus"]],
  ["a LUN on sata", diskFaults("/dev/sda", { ...lun, bus: DiskBus.sata }), ["disks[0].bus"]],
  ["a file as a LUN", diskFaults("/vms/ds/a.raw", lun), ["disks[0].path"]],
  ["a LUN that the prototype would wipe", diskFaults("/dev/sda", { ...lun, man: 1, prov: 1 }), []],
  ["an unmanaged one", diskFaults("/dev/sda", { ...lun, prov: 1 }), ["disks[0].man"]],
  ["a provisioned block device", diskFaults("/dev/sda", { man: 1, prov: 2 }), ["disks[0].prov"]],
  ["a provisioned unmanaged disk", diskFaults("/vms/ds/a.raw", { prov: 1, size: 1 }), ["disks[0].man"]],
  ["a provisioned managed disk", diskFaults("/vms/ds/a.raw", { man: 1, prov: 1, size: 1 }), []],
  ["a managed disk that exists", diskFaults("/vms/ds/a.raw", { man: 1, prov: 2 }), []],
  ["a negative size", diskFaults("/vms/ds/a.raw", { size: -1 }), ["disks[0].size"]],
  ["a disk of 64 TiB", diskFaults("/vms/ds/a.raw", { size: 67_108_864 }), []],
  ["a larger disk", diskFaults("/vms/ds/a.raw", { size: 67_108_865 }), ["disks[0].size"]],
  ["an OS disk without a path", faults({ osdisk: disk("") }), ["osdisk.path"]],

  ["8 interfaces", faults({ nets: Array.from({ length: 8 }, () => net()) }), []],
  ["9 interfaces", faults({ nets: Array.from({ length: 9 }, () => net()) }), ["nets"]],
  ["a network without a name", faults({ nets: [net({ name: "" })] }), ["nets[0].name"]],
  ["a network's name with a slash", faults({ nets: [net({ name: "a/b" })] }), ["nets[0].name"]],
  ["a network's name of 33 characters", faults({ nets: [net({ name: "x".repeat(33) })] }), ["nets[0].name"]],
  ["a bridge's name of 15 bytes", faults({ nets: [net({ nettype: 1, name: "x".repeat(15) })] }), []],
  ["a bridge's name of 16 bytes", faults({ nets: [net({ nettype: 1, name: "x".repeat(16) })] }), [
    "nets[0].name",
  ]],
  ["a bridge called ..", faults({ nets: [net({ nettype: 1, name: ".." })] }), ["nets[0].name"]],
  ["a bridge's name with a space", faults({ nets: [net({ nettype: 1, name: "a b" })] }), ["nets[0].name"]],
  ["a MAC address", faults({ nets: [net({ mac: "52:54:00:12:34:56" })] }), []],
  ["a multicast MAC address", faults({ nets: [net({ mac: "53:54:00:12:34:56" })] }), ["nets[0].mac"]],
  ["a MAC address of zeros", faults({ nets: [net({ mac: "00:00:00:00:00:00" })] }), ["nets[0].mac"]],
  ["a short MAC address", faults({ nets: [net({ mac: "52:54:00:12:34" })] }), ["nets[0].mac"]],
  ["a MAC address in upper case", faults({ nets: [net({ mac: "52:54:00:12:34:5A" })] }), ["nets[0].mac"]],
  [
    "a MAC address twice",
    faults({ nets: [net({ mac: "52:54:00:12:34:56" }), net(), net({ mac: "52:54:00:12:34:56" })] }),
    ["nets[2].mac"],
  ],

  ["VLAN 4094", faults({ vlanid: 4094 }), []],
  ["VLAN 4095", faults({ vlanid: 4095 }), ["vlanid"]],
  ["VLAN -1", faults({ vlanid: -1 }), ["vlanid"]],
  ["a generated genid", faults({ genid: "auto" }), []],
  ["a genid that is no UUID", faults({ genid: "7d5a0d70" }), ["genid"]],
  ["a genid in upper case", faults({ genid: "7D5A0D70-5A3F-4D38-9F6B-0D3F3B6C1F10" }), ["genid"]],

  ["a custom field without a name", faults({ custom: [{ name: "", value: "" }] }), ["custom[0].name"]],
  ["a line break in a custom value", faults({ custom: [{ name: "a", value: "1\n2" }] }), ["custom[0].value"]],
  ["a custom value of 1,024 characters", faults({ custom: [{ name: "a", value: "x".repeat(1_024) }] }), []],
  ["a longer custom value", faults({ custom: [{ name: "a", value: "x".repeat(1_025) }] }), [
    "custom[0].value",
  ]],
  [
    "a custom field twice",
    faults({ custom: [{ name: "a", value: "1" }, { name: "b", value: "1" }, { name: "a", value: "2" }] }),
    ["custom[2].name"],
  ],
  [
    "too many custom fields",
    faults({ custom: Array.from({ length: 65 }, (_, i) => ({ name: `${i}`, value: "" })) }),
    ["custom"],
  ],
];

for (const [what, found, expected] of CASES) {
  Deno.test(`${what} is ${expected.length === 0 ? "accepted" : `refused at ${expected.join(", ")}`}`, () => {
    assert.deepEqual([...found].sort(), [...expected].sort());
  });
}

Deno.test("all that is wrong is told at once", () => {
  assert.deepEqual(
    faults({
      name: "",
      vlanid: 5000,
      disks: [disk("/etc/x"), disk("/vms/ds/a.iso")],
      nets: [net({ mac: "x" })],
    }),
    ["name", "disks[0].path", "disks[1].path", "nets[0].mac", "vlanid"],
  );
});
