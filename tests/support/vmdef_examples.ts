import { DiskBus, DiskDevice, Firmware, NetModel, NetType } from "../../lib/model/enums.ts";
import type { Disk, Net, Vmdef } from "../../lib/model/vm.ts";

/** A small definition to vary: one virtio disk, no network. */
export const SMALL_VMDEF: Vmdef = {
  name: "small",
  cpudef: { model: "maximum", nodes: 1, sockets: 1, cores: 1, threads: 1 },
  memory: { total: 128, hp: false },
  numa: { placement: false },
  osdisk: disk("/vms/ds/small.qcow2"),
  disks: [],
  nets: [],
  vlanid: 0,
  firmware: Firmware.bios,
  genid: "",
  custom: [],
};

/** A disk of the simplest kind, but for what is said. */
export function disk(path: string, but: Partial<Disk> = {}): Disk {
  return { path, device: DiskDevice.disk, bus: DiskBus.virtioBlk, man: 0, prov: 0, size: 0, ...but };
}

function net(but: Partial<Net>): Net {
  const base = {
    name: "default",
    nettype: NetType.network,
    model: NetModel.virtio,
    mac: "52:54:00:00:00:01",
  };
  return { ...base, ...but };
}

/** Definitions that have, together, every value of every enumeration of a definition; each with what it is for. */
export const ENUM_VMDEFS: readonly { readonly what: string; readonly def: Vmdef }[] = [
  { what: "bios", def: SMALL_VMDEF },
  { what: "uefi", def: { ...SMALL_VMDEF, firmware: Firmware.uefi } },
  ...["host-model", "host-passthrough", "maximum", "qemu64"].map((model) => ({
    what: `cpu ${model}`,
    def: { ...SMALL_VMDEF, cpudef: { model, nodes: 1, sockets: 2, cores: 2, threads: 1 } },
  })),
  {
    what: "two NUMA nodes",
    def: { ...SMALL_VMDEF, cpudef: { model: "maximum", nodes: 2, sockets: 1, cores: 2, threads: 1 } },
  },
  { what: "hugepages", def: { ...SMALL_VMDEF, memory: { total: 128, hp: true } } },
  { what: "NUMA placement", def: { ...SMALL_VMDEF, numa: { placement: true } } },
  { what: "genid", def: { ...SMALL_VMDEF, genid: "7d5a0d70-5a3f-4d38-9f6b-0d3f3b6c1f10" } },
  { what: "VLAN without interfaces", def: { ...SMALL_VMDEF, vlanid: 7 } },
  {
    what: "custom fields",
    def: { ...SMALL_VMDEF, custom: [{ name: "owner", value: "R&D <lab> 😀" }, { name: "empty", value: "" }] },
  },
  ...Object.entries(DiskBus).flatMap(([name, bus]) => [
    { what: `OS disk on ${name}`, def: { ...SMALL_VMDEF, osdisk: disk("/vms/ds/small.qcow2", { bus }) } },
    { what: `raw disk on ${name}`, def: { ...SMALL_VMDEF, disks: [disk("/vms/ds/data.raw", { bus })] } },
  ]),
  ...[DiskBus.virtioScsi, DiskBus.sata, DiskBus.scsi].map((bus) => ({
    what: `CD-ROM on bus ${bus}`,
    def: { ...SMALL_VMDEF, disks: [disk("/vms/ds/tools.iso", { device: DiskDevice.cdrom, bus })] },
  })),
  ...[DiskBus.virtioScsi, DiskBus.scsi].map((bus) => ({
    what: `LUN on bus ${bus}`,
    def: { ...SMALL_VMDEF, disks: [disk("/dev/loop0", { device: DiskDevice.lun, bus })] },
  })),
  { what: "block device", def: { ...SMALL_VMDEF, disks: [disk("/dev/loop0")] } },
  ...([[0, 0], [1, 0], [1, 1], [1, 2]] as const).map(([man, prov]) => ({
    what: `management ${man}, provisioning ${prov}`,
    def: { ...SMALL_VMDEF, osdisk: disk("/vms/ds/small.qcow2", { man, prov }) },
  })),
  ...Object.entries(NetType).map(([name, nettype]) => ({
    what: `interface on a ${name}`,
    def: { ...SMALL_VMDEF, nets: [net({ nettype, name: "virbr0" })], vlanid: 42 },
  })),
  ...Object.entries(NetModel).map(([name, model]) => ({
    what: `network card ${name}`,
    def: { ...SMALL_VMDEF, nets: [net({ model })] },
  })),
];
