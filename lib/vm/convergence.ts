import type { DomainJob } from "../libvirt/job.ts";
import type { VmMigrateOptions } from "../model/vm.ts";

/** What is to be done now about a guest that migrates. */
export type ConvergenceAction =
  | { readonly kind: "none" }
  /** Let it stand still for up to so many milliseconds at the end. */
  | { readonly kind: "downtime"; readonly ms: number }
  /** Let it run on the target from now on. */
  | { readonly kind: "postcopy" }
  | { readonly kind: "giveup"; readonly reason: string };

/** QEMU's own limit to the standstill at the end of a migration, and what it is raised to at most, in milliseconds. */
export const DOWNTIME_MS = 300;
const DOWNTIME_MAX_MS = 4_800;

/** The first passes over memory say nothing yet: the first one sends all of it. */
const FIRST_PASSES = 2;
/** How much longer slowing the guest down may take to show: QEMU does so in steps, a pass or two each. */
const THROTTLE_PASSES = 12;
/** A guest that is kept from this share of its processor time, in percent, is as slow as it can be made. */
const THROTTLE_MAX = 99;

/**
 * Sees to it that a migration ends: each time that memory was gone through and too much has been written again meanwhile,
 * the mildest measure that is left is taken. That is to let the guest stand still for longer, twice as long each
 * time; then to wait for QEMU to slow it down; then post-copy; then to give up. When the deadline has passed, post-copy or giving
 * up is what is left.
 */
export class Convergence {
  readonly #o: Pick<VmMigrateOptions, "deadline" | "convergence">;
  #downtimeMs = DOWNTIME_MS;
  /** The pass over memory that was looked at last. */
  #pass = FIRST_PASSES;
  /** Since when everything but waiting for the throttle has been done. */
  #waitingSince: number | undefined;
  #postcopy = false;

  constructor(options: Pick<VmMigrateOptions, "deadline" | "convergence">) {
    this.#o = options;
  }

  /** For how long the guest may stand still now, in milliseconds. */
  get downtimeMs(): number {
    return this.#downtimeMs;
  }

  /** What to do, by libvirt's figures of the job, and for how long it has run. */
  next(job: DomainJob, elapsedMs: number): ConvergenceAction {
    if (this.#postcopy) return { kind: "none" }; // which ends by itself, and cannot be undone
    const { deadline } = this.#o;
    if (deadline > 0 && elapsedMs >= deadline * 1_000) {
      if (this.#allows("postcopy")) return this.#startPostCopy();
      return { kind: "giveup", reason: `it has taken the ${deadline} s that it may: ${progressOf(job)}` };
    }
    const pass = job.iteration ?? 0;
    if (pass <= this.#pass) return { kind: "none" };
    this.#pass = pass;
    return expectedDowntimeMs(job) <= this.#downtimeMs ? { kind: "none" } : this.#measure(job, pass);
  }

  #measure(job: DomainJob, pass: number): ConvergenceAction {
    if (this.#allows("downtime") && this.#downtimeMs < DOWNTIME_MAX_MS) {
      this.#downtimeMs = Math.min(2 * this.#downtimeMs, DOWNTIME_MAX_MS);
      return { kind: "downtime", ms: this.#downtimeMs };
    }
    const since = this.#waitingSince ??= pass;
    const throttled = !this.#allows("throttle") || (job.autoConvergeThrottle ?? 0) >= THROTTLE_MAX ||
      pass - since >= THROTTLE_PASSES;
    if (!throttled) return { kind: "none" };
    if (this.#allows("postcopy")) return this.#startPostCopy();
    if (!this.#allows("giveup")) return { kind: "none" };
    return { kind: "giveup", reason: `the guest writes faster than its memory is sent: ${progressOf(job)}` };
  }

  #startPostCopy(): ConvergenceAction {
    this.#postcopy = true;
    return { kind: "postcopy" };
  }

  #allows(measure: VmMigrateOptions["convergence"][number]): boolean {
    return this.#o.convergence.includes(measure);
  }
}

/** For how long the guest would stand still if it stopped now. */
export function expectedDowntimeMs({ memoryRemaining = 0, memoryRate = 0 }: DomainJob): number {
  return memoryRate > 0 ? Math.round(1_000 * memoryRemaining / memoryRate) : Infinity;
}

function progressOf(job: DomainJob): string {
  const mib = (bytes = 0) => Math.round(bytes / 2 ** 20);
  return `pass ${job.iteration ?? 0} over its memory, ${mib(job.memoryRemaining)} MiB left, ${
    mib(job.memoryDirtyRate)
  } MiB/s written, ${mib(job.memoryRate)} MiB/s sent`;
}
