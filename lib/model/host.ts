import type { HostState } from "./enums.ts";
import type { Cpudef } from "./vm.ts";

export interface Cpuarch {
  /** As libvirt has it: x86_64, aarch64. */
  readonly arch: string;
  readonly vendor: string;
}

/** What a host is; it changes only with a reboot. */
export interface Hostdef {
  readonly name: string;
  readonly cpuarch: Cpuarch;
  readonly cpudef: Cpudef;
  /** Hz; 0: unknown. */
  readonly tscfreq: number;
  /** Firmware version and its date, mm/dd/yyyy. */
  readonly sysinfo: { readonly version: string; readonly date: string };
  /** ID and VERSION_ID of os-release(5). */
  readonly osid: string;
  readonly osv: string;
}

/** One resource: MiB for memory and hugepages, MHz for CPU (protocol.md §5). */
export interface Hostresource {
  readonly total: number;
  readonly used: number;
  readonly free: number;
  readonly usedos: number;
  readonly reservedvms: number;
  readonly usedvms: number;
  readonly availablevms: number;
}

export interface Hostresources {
  readonly memory: Hostresource;
  readonly hp: Hostresource;
  readonly cpu: Hostresource;
}

/** A host as GET /hosts/{uuid} gives it. */
export interface Host {
  readonly uuid: string;
  readonly def: Hostdef;
  readonly cstate: HostState;
  /** The host's sanlock id, 1–2000; 0: none. */
  readonly lockid: number;
  readonly resources: Hostresources;
  readonly ts: number;
}
