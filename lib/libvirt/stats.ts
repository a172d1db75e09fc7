import { VirtxError } from "../model/error.ts";
import type { Connection } from "./connection.ts";
import { DomainState, STATS_NOWAIT, StatsGroup } from "./constants.ts";
import { domainUuid } from "./domain.ts";
import type { Libvirt } from "./ffi.ts";
import { domainInfo } from "./info.ts";
import { borrowString, OutPointer, readPointers } from "./memory.ts";
import { TypedParameters } from "./typed_params.ts";

/** A network interface's counters. */
export interface NetStats {
  /** The host's device: vnet0. */
  readonly name: string | undefined;
  readonly rxBytes: number | undefined;
  readonly txBytes: number | undefined;
}

/** A disk's sizes in bytes. */
export interface BlockStats {
  /** The target: vda. */
  readonly name: string | undefined;
  readonly path: string | undefined;
  /** What the guest sees. */
  readonly capacity: number | undefined;
  /** Highest offset written. */
  readonly allocation: number | undefined;
  /** What the storage holds for it. */
  readonly physical: number | undefined;
}

/** A domain's figures (virDomainStatsRecord). What libvirt could not tell at once is undefined. */
export interface DomainStats {
  readonly uuid: string;
  readonly name: string;
  /** virDomainState, and its reason. */
  readonly state: number;
  readonly reason: number;
  /** CPU time used since the start, by QEMU as a whole, in nanoseconds. */
  readonly cpuTimeNs: number | undefined;
  readonly balloon: {
    readonly currentKiB: number | undefined;
    readonly maximumKiB: number | undefined;
    /** Resident memory of the QEMU process. */
    readonly rssKiB: number | undefined;
  };
  readonly net: readonly NetStats[];
  readonly block: readonly BlockStats[];
}

/**
 * Not the group `vcpu`: it costs one monitor call per domain, brings up to a hundred figures per processor from libvirt
 * 9.1 on, and the one that counts, the number of processors, is in the definition.
 */
const GROUPS = StatsGroup.state | StatsGroup.cpuTotal | StatsGroup.balloon | StatsGroup.interface |
  StatsGroup.block;
/** Those for which libvirt asks no QEMU. */
const QUIET_GROUPS = StatsGroup.state | StatsGroup.interface;

/** Of a domain that has a QEMU. */
const ACTIVE: readonly number[] = [DomainState.running, DomainState.blocked, DomainState.paused];

/** How long decoding may keep the main thread from other work, in ms. */
const SLICE_MS = 4;

// struct _virDomainStatsRecord { virDomainPtr dom; virTypedParameterPtr params; int nparams; }
const PARAMS_OFFSET = 8, COUNT_OFFSET = 16;

/**
 * virConnectGetAllDomainStats of all domains, in one round trip. NOWAIT: a domain whose QEMU is busy or stuck comes
 * with fewer figures instead of keeping the others waiting. But a QEMU that nobody has asked yet since it got stuck is asked, and
 * then this call waits for it as long as it is stuck; one that is `quiet` asks none, and has to ask libvirt for the CPU time of each
 * guest by itself (virDomainGetInfo).
 */
export async function allDomainStats(
  connection: Connection,
  { quiet = false }: { readonly quiet?: boolean } = {},
): Promise<DomainStats[]> {
  const { libvirt } = connection;
  const list = new OutPointer();
  const count = await connection.int((c) =>
    libvirt.virConnectGetAllDomainStats(c, quiet ? QUIET_GROUPS : GROUPS, list.buffer, STATS_NOWAIT)
  );
  const array = list.value;
  if (array === null) return [];
  try {
    const figures = new TypedParameters();
    const all: DomainStats[] = [];
    let sliceStart = performance.now();
    for (const record of readPointers(array, count)) {
      const stats = readRecord(libvirt, record, figures);
      all.push(quiet ? { ...stats, cpuTimeNs: await cpuTimeOf(connection, record, stats) } : stats);
      if (performance.now() - sliceStart > SLICE_MS) {
        await nextTask();
        sliceStart = performance.now();
      }
    }
    return all;
  } finally {
    await libvirt.virDomainStatsRecordListFree(array);
  }
}

/** The domains that have a QEMU which was not asked, because some call keeps it busy. */
export function figureless(all: readonly DomainStats[]): string[] {
  return all.filter(({ state, balloon }) => ACTIVE.includes(state) && balloon.rssKiB === undefined)
    .map(({ uuid }) => uuid);
}

/** virDomainGetInfo: what libvirt sees of a QEMU without asking it; undefined: the guest does not run, or no more. */
async function cpuTimeOf(
  connection: Connection,
  record: Deno.PointerObject,
  { state }: DomainStats,
): Promise<number | undefined> {
  const domain = new Deno.UnsafePointerView(record).getPointer();
  if (!ACTIVE.includes(state)) return undefined;
  try {
    return (await domainInfo(connection, domain)).cpuTimeNs;
  } catch (error) {
    if (error instanceof VirtxError && (error.kind === "refused" || error.kind === "not_found")) {
      return undefined;
    }
    throw error;
  }
}

/** Reads one virDomainStatsRecord, with the help of an object for its parameters. */
function readRecord(libvirt: Libvirt, record: Deno.PointerObject, figures: TypedParameters): DomainStats {
  const view = new Deno.UnsafePointerView(record);
  const domain = view.getPointer();
  if (domain === null) throw new TypeError("A record of libvirt's has no domain");
  figures.load(view.getPointer(PARAMS_OFFSET), view.getInt32(COUNT_OFFSET));
  return {
    uuid: domainUuid(libvirt, domain),
    name: borrowString(libvirt.virDomainGetName(domain)),
    state: figures.number("state.state") ?? 0,
    reason: figures.number("state.reason") ?? 0,
    cpuTimeNs: figures.number("cpu.time"),
    balloon: {
      currentKiB: figures.number("balloon.current"),
      maximumKiB: figures.number("balloon.maximum"),
      rssKiB: figures.number("balloon.rss"),
    },
    net: Array.from({ length: figures.number("net.count") ?? 0 }, (_, n) => ({
      name: figures.string(`net.${n}.name`),
      rxBytes: figures.number(`net.${n}.rx.bytes`),
      txBytes: figures.number(`net.${n}.tx.bytes`),
    })),
    block: Array.from({ length: figures.number("block.count") ?? 0 }, (_, n) => ({
      name: figures.string(`block.${n}.name`),
      path: figures.string(`block.${n}.path`),
      capacity: figures.number(`block.${n}.capacity`),
      allocation: figures.number(`block.${n}.allocation`),
      physical: figures.number(`block.${n}.physical`),
    })),
  };
}

/** Lets other work of the main thread go first. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
