import type { DomainJob } from "../libvirt/job.ts";
import { MigrationState } from "../model/enums.ts";
import type { Operation } from "../model/operation.ts";
import { isUuid } from "../model/uuid.ts";
import type { MigrationInfo } from "../model/vm.ts";
import { expectedDowntimeMs } from "./convergence.ts";
import type { OperationProgress } from "./operation_course.ts";

const MIB = 2 ** 20;

/** Of a VM that was never migrated, as far as is known. */
export const NO_MIGRATION: MigrationInfo = {
  state: MigrationState.none,
  progress: {
    total: 0,
    transferred: 0,
    remaining: 0,
    rate: 0,
    dirtyrate: 0,
    iteration: 0,
    downtime: 0,
    downtimelimit: 0,
    timeleft: 0,
    throttle: 0,
  },
  source: "",
  target: "",
  ts: 0,
  te: 0,
  reason: "",
};

/** libvirt's figures of a job, under way or ended, in the units of the API. */
export function progressOf(job: DomainJob, downtimelimit: number): MigrationInfo["progress"] {
  const { dataTotal = 0, dataProcessed = 0, dataRemaining = 0, memoryRate = 0, memoryDirtyRate = 0 } = job;
  const expected = expectedDowntimeMs(job);
  return {
    total: Math.round(dataTotal / MIB),
    transferred: Math.round(dataProcessed / MIB),
    remaining: Math.round(dataRemaining / MIB),
    rate: memoryRate / MIB,
    dirtyrate: memoryDirtyRate / MIB,
    iteration: job.iteration ?? 0,
    downtime: Math.round(job.downtimeMs ?? (Number.isFinite(expected) ? expected : 0)),
    downtimelimit,
    // What is written meanwhile has to be sent too: a geometric series, which has an end only below the rate.
    timeleft: memoryRate > memoryDirtyRate
      ? Math.round(1_000 * dataRemaining / (memoryRate - memoryDirtyRate))
      : 0,
    throttle: job.autoConvergeThrottle ?? 0,
  };
}

/**
 * What the record of a migration says until it fails. It moves with the VM, so that the target knows whence, and whether to
 * start the VM with its host, which libvirt forgets.
 */
export function originMessage(source: string, { autostart }: { readonly autostart: boolean }): string {
  return ORIGIN + source + (autostart ? AUTOSTART : "");
}

/** Whether that says so. */
export function startsWithHost(message: string): boolean {
  return message.startsWith(ORIGIN) && message.endsWith(AUTOSTART);
}

const ORIGIN = "from host ", AUTOSTART = ", started with its host";

/** The host that such a message names; empty: none. */
export function originOf(message: string): string {
  const [source = ""] = message.startsWith(ORIGIN) ? message.slice(ORIGIN.length).split(",") : [];
  return isUuid(source) ? source : ""; // the prototype's, say
}

/** How far a migration is, as any operation tells it; undefined: its first figures are still to come. */
export function remainder({ progress }: MigrationInfo = NO_MIGRATION): OperationProgress | undefined {
  const { total, remaining, rate, timeleft } = progress;
  return total === 0 ? undefined : { total, done: Math.max(0, total - remaining), rate, timeleft };
}

/** What else is known where a VM is whose last migration somebody else saw through. */
export interface Arrival {
  /** UUID of this host, which has the VM: a migration that failed began here, any other one led here. */
  readonly here: string;
  /** The figures of the migration that brought it, if libvirt remembers them. */
  readonly job: DomainJob | undefined;
  /** Whether a host still has it leaving, and thus not all settled. */
  readonly isLeaving: (source: string) => boolean;
}

/**
 * The last migration of a VM by its record, for a host that was not the one to see it through: the target, or this one in an
 * earlier life. It is told to be over only when it is for its source, too.
 */
export function lastMigration(
  operation: Operation | undefined,
  { here, job, isLeaving }: Arrival,
): MigrationInfo {
  if (operation === undefined) return NO_MIGRATION;
  const { ts, te, msg, status } = operation;
  if (status === "failed") {
    return { ...NO_MIGRATION, state: MigrationState.failed, source: here, ts, te, reason: msg };
  }
  const source = originOf(msg);
  const progress = job === undefined ? NO_MIGRATION.progress : { ...progressOf(job, 0), timeleft: 0 };
  const arrival = { ...NO_MIGRATION, source, target: here, progress, ts };
  return status === "started" || isLeaving(source)
    ? { ...arrival, state: MigrationState.active }
    : { ...arrival, state: MigrationState.completed, te };
}
