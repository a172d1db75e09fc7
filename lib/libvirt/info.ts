import type { Connection } from "./connection.ts";

/** What libvirt sees of a domain without asking its QEMU, or waiting for who does. */
export interface DomainInfo {
  /** What the guest can have at most. */
  readonly memoryKiB: number;
  readonly vcpus: number;
  /** CPU time used since the start, by QEMU as a whole; of a guest that does not run, 0. */
  readonly cpuTimeNs: number;
}

// struct _virDomainInfo { unsigned char state; unsigned long maxMem, memory; unsigned short nrVirtCpu; unsigned long long cpuTime; }
const SIZE = 40, MEMORY_OFFSET = 8, VCPUS_OFFSET = 24, CPU_TIME_OFFSET = 32;

/** virDomainGetInfo */
export async function domainInfo(connection: Connection, domain: Deno.PointerValue): Promise<DomainInfo> {
  const info = new Uint8Array(SIZE);
  await connection.int(() => connection.libvirt.virDomainGetInfo(domain, info));
  const view = new DataView(info.buffer);
  return {
    memoryKiB: Number(view.getBigUint64(MEMORY_OFFSET, true)),
    vcpus: view.getUint16(VCPUS_OFFSET, true),
    cpuTimeNs: Number(view.getBigUint64(CPU_TIME_OFFSET, true)),
  };
}
