import type { DomainStats } from "../libvirt/stats.ts";
import type { Vmstats } from "../model/vm.ts";
import { counterDelta } from "./counter.ts";
import type { DomainHardware } from "./definition.ts";

/** A VM's figures; its operations are recorded elsewhere, in its definition. */
export type VmFigures = Omit<Vmstats, "oplog">;

/** Counters of a VM's run, as of one sample. */
export interface VmCounters {
  /** Monotonic milliseconds. */
  readonly atMs: number;
  readonly cpuTimeNs: number;
  /** Bytes received and sent, by interface. */
  readonly net: readonly {
    readonly name: string | undefined;
    readonly rxBytes: number;
    readonly txBytes: number;
  }[];
}

/** Of a VM that was never sampled. */
export const NO_FIGURES: VmFigures = {
  cpu_utilization: 0,
  mhz_used: 0,
  memory_capacity: 0,
  memory_used: 0,
  disk_capacity: 0,
  disk_allocation: 0,
  disk_physical: 0,
  net_rx_bw: 0,
  net_tx_bw: 0,
};

const MIB = 1024 * 1024;

/** The counters of a sample; undefined if the VM does not run or libvirt could not tell (its QEMU was busy). */
export function countersOf(stats: DomainStats, atMs: number): VmCounters | undefined {
  if (stats.cpuTimeNs === undefined) return undefined;
  const net = stats.net.map(({ name, rxBytes = 0, txBytes = 0 }) => ({ name, rxBytes, txBytes }));
  return { atMs, cpuTimeNs: stats.cpuTimeNs, net };
}

/** What a VM's figures are computed from. */
export interface VmSample {
  readonly stats: DomainStats;
  readonly hardware: DomainHardware;
  /** Whether there is a guest: one that is off uses no memory. */
  readonly active: boolean;
  /** Counters of the sample before, and of this one. Rates need both, in the same run of the VM; else they are 0. */
  readonly before: VmCounters | undefined;
  readonly now: VmCounters | undefined;
  /** Of one CPU of the host. */
  readonly mhz: number;
}

/**
 * A VM's figures by protocol.md §5.
 * @param previous the figures until now: they stay where libvirt could not tell new ones at once
 */
export function vmFigures(sample: VmSample, previous: VmFigures): VmFigures {
  const { stats, hardware, active } = sample;
  const rates = ratesBetween(sample.before, sample.now);
  const { maximumKiB, rssKiB } = stats.balloon;
  const usedMiB = rssKiB === undefined ? previous.memory_used : Math.trunc(rssKiB / 1024);
  const disks = stats.block.filter(({ name = "" }) => !hardware.removable.has(name));
  return {
    cpu_utilization: Math.round(rates.cpuShare * 100),
    mhz_used: Math.round(rates.cpuShare * sample.mhz),
    memory_capacity: maximumKiB === undefined ? hardware.memoryMiB : Math.trunc(maximumKiB / 1024),
    memory_used: active ? usedMiB : 0,
    disk_capacity: sumMiB(disks.map((disk) => disk.capacity)) ?? previous.disk_capacity,
    disk_allocation: sumMiB(disks.map((disk) => disk.allocation)) ?? previous.disk_allocation,
    disk_physical: sumMiB(disks.map((disk) => disk.physical)) ?? previous.disk_physical,
    net_rx_bw: Math.round(rates.rxBytesPerS / 1024),
    net_tx_bw: Math.round(rates.txBytesPerS / 1024),
  };
}

const NO_RATES = { cpuShare: 0, rxBytesPerS: 0, txBytesPerS: 0 };

function ratesBetween(before: VmCounters | undefined, now: VmCounters | undefined): typeof NO_RATES {
  if (!before || !now) return NO_RATES;
  const elapsedMs = now.atMs - before.atMs;
  // CPU time does not wrap in 500 years: if it went down, this is another run of the VM.
  if (elapsedMs <= 0 || now.cpuTimeNs < before.cpuTimeNs) return NO_RATES;
  let rxBytes = 0;
  let txBytes = 0;
  for (const net of now.net) {
    const earlier = before.net.find(({ name }) => name === net.name);
    if (!earlier) continue; // plugged in since
    rxBytes += counterDelta(earlier.rxBytes, net.rxBytes);
    txBytes += counterDelta(earlier.txBytes, net.txBytes);
  }
  return {
    cpuShare: (now.cpuTimeNs - before.cpuTimeNs) / (elapsedMs * 1e6),
    rxBytesPerS: rxBytes * 1000 / elapsedMs,
    txBytesPerS: txBytes * 1000 / elapsedMs,
  };
}

/** The sum of what is known; undefined if nothing is. */
function sumMiB(bytes: readonly (number | undefined)[]): number | undefined {
  const known = bytes.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.trunc(known.reduce((sum, value) => sum + value, 0) / MIB);
}
