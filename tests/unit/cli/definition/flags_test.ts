import fc from "fast-check";
import assert from "node:assert/strict";
import { type DefinitionFlags, definitionFromFlags } from "../../../../lib/cli/definition/flags.ts";
import { DiskBus, DiskDevice, Firmware, NetModel, NetType } from "../../../../lib/model/enums.ts";
import { VirtxError } from "../../../../lib/model/error.ts";
import type { Vmdef } from "../../../../lib/model/vm.ts";
import { anyVmdef } from "../../../support/vmdef_arbitrary.ts";
import { disk, SMALL_VMDEF } from "../../../support/vmdef_examples.ts";

/** As `flag: message`, all that is wrong with flags. */
function problems(flags: DefinitionFlags, base?: Vmdef): readonly string[] {
  try {
    definitionFromFlags(flags, base);
  } catch (error) {
    if (!(error instanceof VirtxError)) throw error;
    assert.equal(error.kind, "invalid");
    return error.issues.map(({ field, message }) => `${field}: ${message}`);
  }
  return [];
}

const LEAST: DefinitionFlags = { name: "web1", memory: "2GiB", disk: ["size=20GiB"] };
const made = (path: string, size: number, but = {}) => disk(path, { man: 1, prov: 1, size, ...but });

Deno.test("flags alone make a definition", () => {
  assert.deepEqual(definitionFromFlags(LEAST), {
    name: "web1",
    cpudef: { model: "host-model", nodes: 1, sockets: 1, cores: 1, threads: 1 },
    memory: { total: 2048, hp: false },
    numa: { placement: false },
    osdisk: made("/vms/ds/web1/disk0.qcow2", 20480),
    disks: [],
    nets: [],
    vlanid: 0,
    firmware: Firmware.bios,
    genid: "",
    custom: [],
  });
  const flags: DefinitionFlags = {
    name: "web1",
    cpus: "sockets=2,cores=4",
    cpuModel: "486",
    memory: "4096MiB",
    hugepages: true,
    numaPlacement: true,
    firmware: "uefi",
    disk: [
      "/vms/ds/i.iso",
      "10GiB,bus=virtio-scsi,provisioning=thick",
      "path=/vms/ds/a,,b.raw",
      "/dev/sdx,device=lun",
    ],
    net: ["bridge=br0,model=e1000e", "network=default,mac=52:54:00:AB:CD:EF"],
    vlan: "42",
    genid: "auto",
    custom: ["owner=web team", "query=a=b", "empty="],
  };
  assert.deepEqual(definitionFromFlags(flags), {
    name: "web1",
    cpudef: { model: "486", nodes: 1, sockets: 2, cores: 4, threads: 1 },
    memory: { total: 4096, hp: true },
    numa: { placement: true },
    osdisk: made("/vms/ds/web1/disk0.qcow2", 10240, { bus: DiskBus.virtioScsi, prov: 2 }),
    disks: [
      disk("/vms/ds/i.iso", { device: DiskDevice.cdrom, bus: DiskBus.sata }),
      disk("/vms/ds/a,b.raw"),
      disk("/dev/sdx", { device: DiskDevice.lun, bus: DiskBus.virtioScsi }),
    ],
    nets: [
      { name: "br0", nettype: NetType.bridge, model: NetModel.e1000e, mac: "" },
      { name: "default", nettype: NetType.network, model: NetModel.virtio, mac: "52:54:00:ab:cd:ef" },
    ],
    vlanid: 42,
    firmware: Firmware.uefi,
    genid: "auto",
    custom: [
      { name: "owner", value: "web team" },
      { name: "query", value: "a=b" },
      { name: "empty", value: "" },
    ],
  });
});

Deno.test("no flag changes nothing", () => {
  fc.assert(fc.property(anyVmdef, (def) => assert.deepEqual(definitionFromFlags({}, def), def)));
});

Deno.test("flags change what they name, and leave the rest", () => {
  const before = definitionFromFlags({
    ...LEAST,
    cpus: "2",
    cpuModel: "maximum",
    vlan: "7",
    genid: "auto",
    hugepages: true,
    disk: ["20GiB", "30GiB"],
    net: ["bridge=br0,mac=52:54:00:00:00:01", "bridge=br1"],
    custom: ["a=1", "b=2"],
  });
  const after = definitionFromFlags({
    cpus: "4",
    memory: "4GiB",
    hugepages: false,
    vlan: "none",
    genid: "none",
    firmware: "uefi",
    disk: ["path=/vms/ds/web1/disk0.qcow2,bus=sata", "5GiB"],
    removeDisk: ["/vms/ds/web1/disk1.qcow2"],
    net: ["network=default,mac=52:54:00:00:00:01", "bridge=br2"],
    removeNet: ["br1"],
    custom: ["b=3", "c=4"],
    removeCustom: ["a"],
  }, before);
  assert.deepEqual(after, {
    ...before,
    cpudef: { ...before.cpudef, cores: 4 },
    memory: { total: 4096, hp: false },
    vlanid: 0,
    genid: "",
    firmware: Firmware.uefi,
    osdisk: made("/vms/ds/web1/disk0.qcow2", 20480, { bus: DiskBus.sata }),
    // Not the path of the disk that goes: what is on that must not come back.
    disks: [made("/vms/ds/web1/disk2.qcow2", 5120)],
    nets: [
      { name: "default", nettype: NetType.network, model: NetModel.virtio, mac: "52:54:00:00:00:01" },
      { name: "br2", nettype: NetType.bridge, model: NetModel.virtio, mac: "" },
    ],
    custom: [{ name: "b", value: "3" }, { name: "c", value: "4" }],
  });
});

Deno.test("of a disk or interface that is changed, what is not said stays", () => {
  const net = { name: "br0", nettype: NetType.bridge, model: NetModel.e1000, mac: "52:54:00:00:00:01" };
  const data = disk("/vms/ds/data.raw", { bus: DiskBus.scsi, man: 1, prov: 2, size: 1024 });
  const before = { ...SMALL_VMDEF, disks: [data], nets: [net] };
  const change = (flags: DefinitionFlags) => definitionFromFlags(flags, before);
  assert.deepEqual(change({ net: ["mac=52:54:00:00:00:01,bridge=br1"] }).nets, [{ ...net, name: "br1" }]);
  assert.deepEqual(change({ net: ["mac=52:54:00:00:00:01,model=virtio"] }).nets, [{ ...net, model: 0 }]);
  assert.deepEqual(change({ net: ["mac=52:54:00:00:00:01,network=lan"] }).nets, [
    { ...net, name: "lan", nettype: NetType.network },
  ]);
  assert.deepEqual(change({ disk: ["/vms/ds/data.raw,bus=sata"] }).disks, [{ ...data, bus: DiskBus.sata }]);
  assert.deepEqual(problems({ disk: ["/vms/ds/data.raw,bus=sata", "/vms/ds/data.raw,bus=scsi"] }, before), [
    "--disk #2: is about /vms/ds/data.raw, as another is",
  ]);
  assert.deepEqual(problems({ net: ["mac=52:54:00:00:00:02,model=virtio"] }, before), [
    "--net: must name either a bridge or a network",
  ]);
});

Deno.test("the OS disk stays what it is, and becomes the next only if it is removed", () => {
  const before = { ...SMALL_VMDEF, disks: [disk("/vms/ds/data.raw")] };
  assert.equal(definitionFromFlags({ disk: ["/vms/ds/x.raw"] }, before).osdisk.path, SMALL_VMDEF.osdisk.path);
  const after = definitionFromFlags({ removeDisk: [SMALL_VMDEF.osdisk.path] }, before);
  assert.deepEqual([after.osdisk, after.disks], [before.disks[0], []]);
});

Deno.test("what is wrong with flags is told by their names", () => {
  assert.deepEqual(problems({}), [
    "--name: must be given",
    "--memory: must be given",
    "--disk: must be given",
  ]);
  assert.deepEqual(
    problems({
      ...LEAST,
      memory: "2GB",
      cpus: "sockets=two,coers=4",
      firmware: "uefy",
      vlan: "seven",
      disk: ["sise=20GiB", "size=1GiB,size=2GiB", "bus=sata", "20GiB,fast"],
      net: ["br0"],
      custom: ["novalue", "=x"],
      removeNet: ["br0"],
    }),
    [
      '--cpus coers: is not known (did you mean "cores"?)',
      "--cpus sockets: must be a whole number, not text",
      "--memory: must be in units of 1024: did you mean 2GiB?",
      "--disk #2 size: is given twice",
      '--disk #4: must be of the form key=value,key=value, which "fast" is not',
      '--disk #1 sise: is not known (did you mean "size"?)',
      "--disk #3: must have a path, or a size if it is a new disk",
      '--net: must be of the form key=value,key=value, which "br0" is not',
      '--remove-net: names "br0", which the VM has not',
      "--vlan: must be a whole number, not text",
      '--firmware: must be bios or uefi (did you mean "uefi"?)',
      '--custom: must be name=value, not "novalue"',
      '--custom: must be name=value, not "=x"',
    ].toSorted((a, b) => problemOrder(a) - problemOrder(b)),
  );
});

/** The order in which parts of a definition are read. */
function problemOrder(problem: string): number {
  return ["--cpus", "--memory", "--disk", "--remove-net", "--net", "--vlan", "--firmware", "--custom"]
    .findIndex((flag) => problem.startsWith(flag));
}

Deno.test("the model's rules are told by the flags that they are about", () => {
  const flags: DefinitionFlags = {
    name: " web",
    memory: "3MiB",
    hugepages: true,
    cpuModel: "a b",
    cpus: "0",
    disk: ["/vms/ds/i.iso,bus=virtio-blk", "path=/etc/passwd"],
    net: ["bridge=0123456789abcdef"],
    vlan: "5000",
    genid: "x",
    custom: ["a\tb=1"],
  };
  assert.deepEqual(
    problems(flags).map((problem) => problem.slice(0, problem.indexOf(": "))).toSorted(),
    [
      "--cpu-model",
      "--cpus",
      "--custom a\tb",
      "--disk #1 bus",
      "--disk #2 path",
      "--genid",
      "--memory",
      "--name",
      "--net bridge",
      "--vlan",
    ].toSorted(),
  );
  const suggestion = problems({ removeDisk: ["/vms/ds/smal.qcow2"] }, SMALL_VMDEF);
  assert.deepEqual(suggestion, [
    '--remove-disk: names "/vms/ds/smal.qcow2", which the VM has not (did you mean "/vms/ds/small.qcow2"?)',
  ]);
});
