import { JobType } from "./constants.ts";
import type { TypedParameters } from "./typed_params.ts";

/**
 * A domain's job, under way or ended (virDomainGetJobStats): a migration, mostly. Sizes are bytes, times milliseconds,
 * rates per second; what libvirt does not tell, or not yet, is undefined.
 */
export interface DomainJob {
  /** virDomainJobType, {@link JobType} */
  readonly type: number;
  /** virDomainJobOperation, {@link JobOperation} */
  readonly operation: number;
  readonly timeElapsedMs: number | undefined;
  /** libvirt knows it only of jobs that are sure to end, which migrations are not. */
  readonly timeRemainingMs: number | undefined;
  /** Memory and disks together. Pages that are sent again count again, in `dataProcessed` alone. */
  readonly dataTotal: number | undefined;
  readonly dataProcessed: number | undefined;
  readonly dataRemaining: number | undefined;
  readonly memoryTotal: number | undefined;
  readonly memoryProcessed: number | undefined;
  readonly memoryRemaining: number | undefined;
  /** How fast memory is sent, bytes per second. */
  readonly memoryRate: number | undefined;
  /** How fast the guest writes to its memory, bytes per second, whole pages counted. */
  readonly memoryDirtyRate: number | undefined;
  /** How many times memory has been gone through. */
  readonly iteration: number | undefined;
  /** Pages that a guest which runs on the target already has asked for. */
  readonly postCopyRequests: number | undefined;
  /** For how long the guest stands still: as expected, while under way; as it was, when ended. */
  readonly downtimeMs: number | undefined;
  readonly setupMs: number | undefined;
  /** How much of its processor time the guest is kept from, in percent, so that it writes less. */
  readonly autoConvergeThrottle: number | undefined;
  /** Why it failed. */
  readonly error: string | undefined;
}

/** What libvirt tells of a job that is of this virDomainJobType; undefined if there is none. */
export function readJob(type: number, figures: TypedParameters): DomainJob | undefined {
  return type === JobType.none ? undefined : jobOf(type, figures);
}

/**
 * What libvirt tells of a job that has just ended (virConnectDomainEventJobCompletedCallback): of no virDomainJobType,
 * but whether it succeeded. A job that was aborted has failed.
 */
export function readEndedJob(figures: TypedParameters): DomainJob {
  return jobOf(figures.boolean("success") === false ? JobType.failed : JobType.completed, figures);
}

function jobOf(type: number, figures: TypedParameters): DomainJob {
  return {
    type,
    operation: figures.number("operation") ?? 0,
    timeElapsedMs: figures.number("time_elapsed"),
    timeRemainingMs: figures.number("time_remaining"),
    dataTotal: figures.number("data_total"),
    dataProcessed: figures.number("data_processed"),
    dataRemaining: figures.number("data_remaining"),
    memoryTotal: figures.number("memory_total"),
    memoryProcessed: figures.number("memory_processed"),
    memoryRemaining: figures.number("memory_remaining"),
    memoryRate: figures.number("memory_bps"),
    memoryDirtyRate: product(figures.number("memory_dirty_rate"), figures.number("memory_page_size")),
    iteration: figures.number("memory_iteration"),
    postCopyRequests: figures.number("memory_postcopy_requests"),
    downtimeMs: figures.number("downtime"),
    setupMs: figures.number("setup_time"),
    autoConvergeThrottle: figures.number("auto_converge_throttle"),
    error: figures.string("errmsg"),
  };
}

function product(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a * b;
}
