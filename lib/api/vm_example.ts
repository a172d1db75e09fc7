import {
  DiskBus,
  DiskDevice,
  DiskManagement,
  DiskProvisioning,
  Firmware,
  NetModel,
  NetType,
} from "../model/enums.ts";
import type { VmCreateOptions } from "../model/vm.ts";

/** A VM to begin with, for the documentation. */
export const VM_CREATE_EXAMPLE: VmCreateOptions = {
  vmdef: {
    name: "web1",
    cpudef: { model: "maximum", nodes: 1, sockets: 1, cores: 2, threads: 1 },
    memory: { total: 2048, hp: false },
    numa: { placement: false },
    osdisk: {
      path: "/vms/ds/web1/root.qcow2",
      device: DiskDevice.disk,
      bus: DiskBus.virtioBlk,
      man: DiskManagement.managed,
      prov: DiskProvisioning.thin,
      size: 16384,
    },
    disks: [],
    nets: [{ name: "default", nettype: NetType.network, model: NetModel.virtio, mac: "" }],
    vlanid: 0,
    firmware: Firmware.uefi,
    genid: "",
    custom: [{ name: "owner", value: "web team" }],
  },
  host: "",
};
