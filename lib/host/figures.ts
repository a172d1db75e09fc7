import type { Hostresource, Hostresources } from "../model/host.ts";
import { counterDelta } from "./counter.ts";
import type { CpuTimes, MemoryFigures } from "./proc.ts";

/** What does not change about a host's capacity. */
export interface HostCapacity {
  /** Logical CPUs: nodes × sockets × cores × threads. */
  readonly cpus: number;
  /** Maximum frequency of one. */
  readonly mhz: number;
  /** How much of a CPU a vcpu is expected to use, in percent. */
  readonly loadFactor: number;
}

/** One look at the host. */
export interface HostSample {
  readonly cpu: CpuTimes;
  readonly memory: MemoryFigures;
}

/** What one VM takes of the host. */
export interface VmDemand {
  readonly vcpus: number;
  readonly memoryMiB: number;
  /** Resident memory of its QEMU process, MiB; hugepages are not part of it. */
  readonly residentMiB: number;
  /** Its memory is hugepages, all of it from the start. */
  readonly hugepages: boolean;
  readonly active: boolean;
  readonly mhzUsed: number;
}

/** The host's resources by protocol.md §5. Without a sample before, nothing is known of CPU use, and it is 0. */
export function hostResources(
  capacity: HostCapacity,
  before: HostSample | undefined,
  now: HostSample,
  vms: Iterable<VmDemand>,
): Hostresources {
  let vcpus = 0;
  let mhzUsed = 0;
  const memory = { reserved: 0, used: 0 };
  const hugepages = { reserved: 0, used: 0 };
  for (const vm of vms) {
    vcpus += vm.vcpus;
    mhzUsed += vm.mhzUsed;
    memory.used += vm.residentMiB;
    (vm.hugepages ? hugepages : memory).reserved += vm.memoryMiB;
    if (vm.hugepages && vm.active) hugepages.used += vm.memoryMiB;
  }
  const total = capacity.cpus * capacity.mhz;
  const used = before ? busyShare(before.cpu, now.cpu) * total : 0;
  const cpuReserved = vcpus * capacity.mhz * capacity.loadFactor / 100;
  const { hp } = now.memory;
  return {
    memory: resource(now.memory.total, now.memory.total - now.memory.free, memory.used, memory.reserved),
    hp: resource(hp.total, hp.total - hp.free, hugepages.used, hugepages.reserved),
    cpu: resource(total, used, mhzUsed, cpuReserved),
  };
}

/** The part of all CPU time between two samples that was not idle: 0 to 1. */
function busyShare(before: CpuTimes, now: CpuTimes): number {
  const all = counterDelta(before.all, now.all);
  return all > 0 ? Math.min(1, counterDelta(before.busy, now.busy) / all) : 0;
}

function resource(total: number, used: number, usedvms: number, reservedvms: number): Hostresource {
  // VMs and host are not measured at the same instant, and VMs share pages: a little less than nothing is nothing.
  const usedos = Math.max(0, used - usedvms);
  return {
    total: Math.round(total),
    used: Math.round(used),
    free: Math.round(total - used),
    usedos: Math.round(usedos),
    reservedvms: Math.round(reservedvms),
    usedvms: Math.round(usedvms),
    availablevms: Math.round(total - reservedvms - usedos),
  };
}
