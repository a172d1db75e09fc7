import type { Connection } from "./connection.ts";
import { borrowString, optionalCString, takeString } from "./memory.ts";

/** What libvirt knows of the host's memory and processors (virNodeInfo). */
export interface NodeInfo {
  /** CPU model or architecture, as the driver has it. */
  readonly model: string;
  readonly memoryKiB: number;
  /** Active logical CPUs. */
  readonly cpus: number;
  /** Expected frequency; 0: unknown. */
  readonly mhz: number;
  /** NUMA nodes. */
  readonly nodes: number;
  /** Per node. */
  readonly sockets: number;
  /** Per socket. */
  readonly cores: number;
  /** Per core. */
  readonly threads: number;
}

/** Which guests to ask capabilities for; what is left out is the driver's default. */
export interface GuestKind {
  /** Path of the emulator's binary. */
  readonly emulator?: string | undefined;
  readonly arch?: string | undefined;
  /** pc, q35, virt, … */
  readonly machine?: string | undefined;
  /** kvm or qemu. */
  readonly virttype?: string | undefined;
}

// struct _virNodeInfo { char model[32]; unsigned long memory; unsigned int cpus, mhz, nodes, sockets, cores, threads; }
const NODE_INFO_SIZE = 64, MODEL_SIZE = 32, CPUS_OFFSET = 40;

/** virNodeGetInfo */
export async function nodeInfo(connection: Connection): Promise<NodeInfo> {
  const info = new Uint8Array(NODE_INFO_SIZE);
  await connection.int((c) => connection.libvirt.virNodeGetInfo(c, info));
  const view = new DataView(info.buffer);
  const [model = ""] = new TextDecoder().decode(info.subarray(0, MODEL_SIZE)).split("\0");
  const uint = (index: number) => view.getUint32(CPUS_OFFSET + 4 * index, true);
  return {
    model,
    memoryKiB: Number(view.getBigUint64(MODEL_SIZE, true)),
    cpus: uint(0),
    mhz: uint(1),
    nodes: uint(2),
    sockets: uint(3),
    cores: uint(4),
    threads: uint(5),
  };
}

/** virConnectGetType: the driver's name, QEMU or TEST. */
export async function driverType(connection: Connection): Promise<string> {
  return borrowString(await connection.pointer((c) => connection.libvirt.virConnectGetType(c)));
}

/** virConnectGetLibVersion: libvirt's at the far end, major × 1,000,000 + minor × 1,000 + release. */
export async function libvirtVersion(connection: Connection): Promise<number> {
  const version = new BigUint64Array(1);
  await connection.int((c) => connection.libvirt.virConnectGetLibVersion(c, version));
  return Number(version[0]);
}

/** virConnectGetVersion: the hypervisor's (QEMU's) version, in the same form. */
export async function hypervisorVersion(connection: Connection): Promise<number> {
  const version = new BigUint64Array(1);
  await connection.int((c) => connection.libvirt.virConnectGetVersion(c, version));
  return Number(version[0]);
}

/** virConnectGetHostname */
export async function hostname(connection: Connection): Promise<string> {
  const { libvirt } = connection;
  return takeString(libvirt, await connection.pointer((c) => libvirt.virConnectGetHostname(c)));
}

/** virConnectGetCapabilities: XML. */
export async function capabilities(connection: Connection): Promise<string> {
  const { libvirt } = connection;
  return takeString(libvirt, await connection.pointer((c) => libvirt.virConnectGetCapabilities(c)));
}

/** virConnectGetDomainCapabilities: XML. */
export async function domainCapabilities(connection: Connection, guest: GuestKind): Promise<string> {
  const { libvirt } = connection;
  const emulator = optionalCString(guest.emulator);
  const arch = optionalCString(guest.arch);
  const machine = optionalCString(guest.machine);
  const virttype = optionalCString(guest.virttype);
  const xml = await connection.pointer((c) =>
    libvirt.virConnectGetDomainCapabilities(c, emulator, arch, machine, virttype, 0)
  );
  return takeString(libvirt, xml);
}

/** virConnectGetSysinfo: SMBIOS data of the host, as XML. */
export async function sysinfo(connection: Connection): Promise<string> {
  const { libvirt } = connection;
  return takeString(libvirt, await connection.pointer((c) => libvirt.virConnectGetSysinfo(c, 0)));
}
