import { setTimeout as delay } from "node:timers/promises";
import type { HostMonitor } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import type { DomainJob } from "../libvirt/job.ts";
import { type MigrationOptions, type MigrationOutcome, remoteUri } from "../libvirt/migration.ts";
import type { Clock } from "../model/clock.ts";
import { isDefect, logFailure, unlessDefect } from "../model/defect.ts";
import { MigrationState } from "../model/enums.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import type { Logger } from "../model/log.ts";
import type { MigrationInfo } from "../model/vm.ts";
import type { MigrationRecord, MigrationRecords } from "../registry/migration_record.ts";
import type { Registry } from "../registry/registry.ts";
import { Convergence } from "./convergence.ts";
import { lookAtDomain } from "./domain_look.ts";
import type { DomainLook } from "./migration_exchange.ts";
import type { MigrationPeers } from "./migration_peers.ts";
import { NO_MIGRATION, originMessage, progressOf } from "./migration_progress.ts";
import { isLive, type Settlement, settlementOf } from "./migration_settlement.ts";
import type { Oplog } from "./oplog.ts";
import { unlessGone } from "./unless_gone.ts";
import type { Variables } from "./variables.ts";
import type { VmHolders } from "./vm_holders.ts";

/** What {@link Migrations} stands on. */
export interface MigrationsOptions {
  readonly hypervisor: Hypervisor;
  readonly monitor: HostMonitor;
  readonly registry: Registry;
  readonly records: MigrationRecords;
  readonly holders: Pick<VmHolders, "migrated">;
  readonly peers: MigrationPeers;
  readonly oplog: Oplog;
  readonly variables: Pick<Variables, "leave">;
  /** Runs a task while nothing else is done to the VM. */
  readonly locked: (vm: string, task: () => Promise<void>) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Fault points: `migrate.` and recorded, begun, ended, released, resumed, handed, settled. */
  readonly fault?: FaultHook | undefined;
}

/** Between two looks at a migration that is under way, and between two attempts to settle one. */
const FOLLOW_MS = 500, SETTLE_MS = 1_000;
/** Likewise, when only the target is left to be asked, which may be away for long. */
const LEFTOVER_MS = 3_000;
/** From one attempt to settle a migration that failed by a defect to the next. */
const DEFECT_MS = 60_000;
/** How long it is waited for until the target shows what has come to it. */
const ARRIVAL_TIMEOUT_MS = 2_000;
/** How long another host may take to answer a question about a VM. */
const PEER_TIMEOUT_MS = 5_000;
/** How long an abort waits for the migration to have ended. */
const ABORT_TIMEOUT_MS = 25_000;

/** A migration away from this host, until it is settled. */
interface Run {
  readonly record: MigrationRecord;
  readonly convergence: Convergence;
  /** Aborts what this process has begun; another life's migration is aborted by libvirt's job. */
  readonly abort: AbortController;
  readonly ended: PromiseWithResolvers<void>;
  info: MigrationInfo;
  /** Somebody asked for the abort. */
  cancelled: boolean;
  /** Why it was given up, or how libvirt refused. */
  failure: string | undefined;
}

/**
 * The migrations away from this host.
 *
 * libvirt moves the guest, peer to peer, so that it goes on when virtxd ends; virtxd watches, and settles what is left when it is
 * over. What counts is what the two libvirts have in the end, not what this process was told. A record on shared storage,
 * written before anything is asked of libvirt, says who is to look: the source, and nobody else. It is there until the
 * settlement is complete, each step of which may be repeated; so a crash of anything at any moment only delays it.
 *
 * Why no guest comes to run twice. virtxd starts none; it lets one that stands still go on in two cases:
 * - here, if libvirt left it paused, and the target's libvirt says that it has no guest. By then no migration is under way
 *   at this end (no job; the call has returned or its libvirtd has ended), so that none can arrive any more: a domain that
 *   still waits for its memory at the target is seen there, as is one that the target's libvirt is just taking over.
 *   If the target does not answer, the guest stands still until it does.
 * - at the target, if the guest was to be held there (see below), and this host has none any more.
 * A guest that stands still here is ended only when the target has one that is complete. And libvirt? It starts the guest at
 * the target when all is there, and lets it go on here when it cannot find out whether that happened: if the link breaks in
 * that moment, only the lock that QEMU has on each image file keeps the second one from starting (libvirt's own source says
 * so). Block devices have no such lock. So a guest with a writable one is held at the target, paused, until libvirt here
 * has ended its own; a link that breaks then leaves one running here and one paused there, which is discarded.
 */
export class Migrations implements AsyncDisposable {
  readonly #o: MigrationsOptions;
  readonly #runs = new Map<string, Run>();
  /** Those that are over as far as the VM here is concerned, but whose target may have something left of it. */
  readonly #leftovers = new Set<string>();
  readonly #last = new Map<string, MigrationInfo>();
  readonly #stopped = new AbortController();
  readonly #work = new Set<Promise<void>>();

  constructor(options: MigrationsOptions) {
    this.#o = options;
  }

  /** Takes up the migrations of an earlier life; returns once they are known, and settles them in the background. */
  async recover(): Promise<void> {
    await this.#o.records.sweep();
    for (const record of await this.#o.records.list()) {
      if (this.#runs.has(record.vm)) continue; // an earlier attempt, which failed later, has done so
      this.#o.log.info("taking up a migration", { vm: record.vm, target: record.target });
      const run = this.#enter(record);
      await this.#o.monitor.refresh(record.vm);
      this.#background(this.#settleEventually(run));
    }
  }

  /** Whether the VM is on its way, so that nothing else may be done to it. */
  isUnderWay(vm: string): boolean {
    return this.#runs.has(vm) && !this.#leftovers.has(vm);
  }

  /**
   * How the migration that is under way ends. It never resolves if virtxd ends before.
   * @throws VirtxError conflict, if there is none
   */
  async ended(vm: string): Promise<MigrationInfo> {
    const run = this.#runs.get(vm);
    if (!run || !this.isUnderWay(vm)) throw new VirtxError("conflict", `VM ${vm} does not migrate`);
    await run.ended.promise;
    return run.info;
  }

  /** The migration that is under way, else the last one that this process has seen. */
  info(vm: string): MigrationInfo | undefined {
    return this.isUnderWay(vm) ? this.#runs.get(vm)?.info : this.#last.get(vm);
  }

  /**
   * Begins a migration, whose checks have passed and whose lock is held; returns once it is recorded.
   * @throws VirtxError if it cannot be recorded; then nothing has begun
   */
  async begin(record: MigrationRecord, o: { readonly autostart: boolean }): Promise<void> {
    const { records, oplog, monitor, peers, log } = this.#o;
    const { vm, target } = record;
    const address = peers.address(target);
    if (address === undefined) {
      throw new VirtxError(
        "unavailable",
        `Cannot migrate VM ${vm}: host ${target} is not active any more; ask again for another`,
      );
    }
    await this.#forget(vm);
    await records.write(record);
    const run = this.#enter(record);
    await this.#reached("recorded");
    const ts = await oplog.begin("VmMigrate", vm, originMessage(record.source, o));
    await monitor.refresh(vm).catch(unlessDefect(log, "cannot refresh VM", { vm })); // the next sample shows it
    await this.#reached("begun");
    run.info = { ...run.info, ts };
    this.#background(this.#migrate(run, address));
  }

  /**
   * Aborts a migration and waits for its end.
   * @throws VirtxError conflict, if none is under way, or if it ended otherwise; timeout, if that takes too long
   */
  async abort(vm: string): Promise<void> {
    const run = this.#runs.get(vm);
    const what = `Cannot abort the migration of VM ${vm}`;
    if (run === undefined || !this.isUnderWay(vm)) {
      throw new VirtxError("conflict", `${what}: none is under way`);
    }
    run.cancelled = true;
    run.info = { ...run.info, state: MigrationState.cancelling };
    this.#o.log.info("aborting a migration", { vm });
    await this.#giveUp(run);
    await Promise.race([run.ended.promise, delay(ABORT_TIMEOUT_MS, undefined, { ref: false })]);
    if (this.isUnderWay(vm)) throw new VirtxError("timeout", `${what}: it has not ended yet`);
    if (run.info.state === MigrationState.completed) {
      throw new VirtxError("conflict", `${what}: it was complete before`);
    }
  }

  /** Leaves all migrations to libvirt, and what remains to be settled to the next life. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await Promise.allSettled(this.#work);
  }

  #enter(record: MigrationRecord): Run {
    const { vm, source, target, startedAt } = record;
    const run: Run = {
      record,
      convergence: new Convergence(record.options),
      abort: new AbortController(),
      ended: Promise.withResolvers<void>(),
      info: { ...NO_MIGRATION, state: MigrationState.setup, source, target, ts: startedAt },
      cancelled: false,
      failure: undefined,
    };
    this.#runs.set(vm, run);
    this.#o.monitor.leaving(vm, true);
    return run;
  }

  /** A new migration takes the place of one whose target may still have something left; that shows when it is asked. */
  async #forget(vm: string): Promise<void> {
    if (!this.#leftovers.delete(vm)) return;
    this.#runs.delete(vm);
    await this.#o.records.remove(vm);
  }

  /** Has libvirt migrate, watches it, and settles the end. */
  async #migrate(run: Run, address: string): Promise<void> {
    const { hypervisor, log } = this.#o;
    const { record } = run;
    let outcome: MigrationOutcome | undefined;
    const moving = hypervisor.migrate(record.vm, migrationOf(record, address), run.abort.signal)
      .then((ended) => {
        outcome = ended;
      }, (error) => {
        run.failure ??= errorMessage(error);
        logFailure(log, "warn", "libvirt did not migrate", error, { vm: record.vm });
      });
    let over = false;
    const ended = moving.finally(() => over = true);
    while (!over && !this.#stopped.signal.aborted) {
      await Promise.race([ended, this.#pause(FOLLOW_MS)]);
      if (!over && isLive(record)) await this.#follow(run);
    }
    if (!over) return; // virtxd ends; libvirt goes on
    await this.#reached("ended");
    await this.#settleEventually(run, outcome === "completed");
  }

  /** Looks how far it is, and does what is needed for it to end. */
  async #follow(run: Run): Promise<void> {
    const { hypervisor, clock, log } = this.#o;
    const { vm, startedAt } = run.record;
    try {
      const job = await hypervisor.job(vm);
      if (job === undefined) return;
      const { convergence } = run;
      run.info = { ...run.info, progress: progressOf(job, convergence.downtimeMs), state: stateOf(run, job) };
      const action = convergence.next(job, job.timeElapsedMs ?? clock() - startedAt);
      if (action.kind === "none" || run.cancelled) return;
      log.info("a migration does not converge", { vm, ...action });
      if (action.kind === "downtime") await hypervisor.setMaxDowntime(vm, action.ms);
      else if (action.kind === "postcopy") await hypervisor.startPostCopy(vm);
      else {
        run.failure = `given up: ${action.reason}`;
        await this.#giveUp(run);
      }
    } catch (error) {
      logFailure(log, "debug", "cannot follow a migration now", error, { vm });
    }
  }

  async #giveUp(run: Run): Promise<void> {
    run.abort.abort();
    try {
      await this.#o.hypervisor.abortJob(run.record.vm); // one of an earlier life has no other way
    } catch (error) {
      logFailure(this.#o.log, "debug", "no job to abort", error, { vm: run.record.vm });
    }
  }

  /** Tries to settle it until that is done, or virtxd ends. */
  async #settleEventually(run: Run, completed = false): Promise<void> {
    const { log } = this.#o;
    const { vm } = run.record;
    let told = "";
    while (!this.#stopped.signal.aborted && this.#runs.get(vm) === run) {
      let again = true;
      let reason = "";
      let pauseMs = this.#leftovers.has(vm) ? LEFTOVER_MS : SETTLE_MS;
      try {
        await this.#o.locked(vm, async () => {
          if (this.#runs.get(vm) !== run) return;
          const settlement = await this.#look(run, completed);
          if (settlement.kind === "wait") reason = settlement.reason;
          again = await this.#settle(run, settlement);
        });
      } catch (error) {
        reason = errorMessage(error);
        if (reason !== told) logFailure(log, "info", "cannot settle a migration yet", error, { vm });
        told = reason;
        if (isDefect(error)) pauseMs = DEFECT_MS;
      }
      if (!again) return;
      if (reason !== "" && reason !== told) log.info("cannot settle a migration yet", { vm, reason });
      told = reason;
      if (reason !== "") await this.#pause(pauseMs);
      await this.#follow(run);
    }
  }

  async #look(run: Run, completed: boolean): Promise<Settlement> {
    const { hypervisor, peers, log } = this.#o;
    const { record } = run;
    const here = await lookAtDomain(hypervisor, record.vm, true);
    let there: DomainLook | undefined;
    const alreadyClear = settlementOf(record, here, undefined, completed);
    if (here.migrating || alreadyClear.kind === "moved") return alreadyClear;
    try {
      there = await peers.look(record.target, record.vm, AbortSignal.timeout(PEER_TIMEOUT_MS));
    } catch (error) {
      logFailure(log, "debug", "the target of a migration does not tell", error, { vm: record.vm });
    }
    return settlementOf(record, here, there, completed);
  }

  /** Does one step of the settlement; whether more is to come. */
  async #settle(run: Run, settlement: Settlement): Promise<boolean> {
    const { hypervisor, peers, log } = this.#o;
    const { vm, target } = run.record;
    switch (settlement.kind) {
      case "wait":
        return true;
      case "release":
        if (await hypervisor.isActive(vm)) await hypervisor.destroy(vm, { graceful: false });
        await hypervisor.undefine(vm, { keepVariables: true }).catch(unlessGone); // the target's are the same, perhaps
        await this.#reached("released");
        return true;
      case "start":
        await peers.resume(target, vm, AbortSignal.timeout(PEER_TIMEOUT_MS));
        await this.#reached("resumed");
        return true;
      case "rejoin":
        await this.#rejoin(run);
        return true;
      case "stayed":
        return await this.#stayed(run, settlement);
      case "moved":
        await this.#moved(run);
        return false;
      case "gone":
        log.error("neither host has a VM that was to migrate", { vm, target });
        await this.#close(run, MigrationState.failed, "neither host has the VM any more");
        return false;
      case "torn":
        log.error("a VM runs on two hosts; end one of them by hand", { vm, target });
        run.failure = "it runs on both hosts";
        return await this.#stayed(run, { resume: false, leftover: "unknown" });
    }
  }

  async #moved(run: Run): Promise<void> {
    const { holders, registry, variables } = this.#o;
    const { vm, source, target } = run.record;
    await holders.migrated(vm, { from: source, to: target });
    await variables.leave(vm, await registry.read(vm));
    await registry.handOver(vm, target);
    await this.#reached("handed");
    await this.#seeArrival(vm, target);
    await this.#close(run, MigrationState.completed, "");
    this.#last.delete(vm); // whoever asks now asks the target
    this.#o.log.info("VM migrated", { vm, target, ms: run.info.te - run.info.ts });
  }

  /** Whoever is told of the end sees the VM where it is. */
  async #seeArrival(vm: string, target: string): Promise<void> {
    const { peers, log } = this.#o;
    try {
      await peers.seeArrival(target, vm, AbortSignal.timeout(ARRIVAL_TIMEOUT_MS));
    } catch (error) {
      logFailure(log, "debug", "the target of a migration does not tell yet", error, { vm });
    }
  }

  /** The VM stays; whether something of it may still be at the target. */
  async #stayed(
    run: Run,
    { resume, leftover }: { readonly resume: boolean; readonly leftover: "none" | "some" | "unknown" },
  ): Promise<boolean> {
    const { hypervisor, peers, oplog, monitor, registry } = this.#o;
    const { vm, target } = run.record;
    if (leftover === "some") {
      await peers.discard(target, vm, AbortSignal.timeout(PEER_TIMEOUT_MS));
      return true; // to be seen
    }
    if (resume) {
      await hypervisor.resume(vm);
      await this.#reached("resumed");
    }
    if (!this.#leftovers.has(vm)) {
      const reason = run.failure ?? (run.cancelled ? "aborted on request" : "interrupted");
      await oplog.end("VmMigrate", vm, run.info.ts, reason);
      monitor.leaving(vm, false);
      const domain = await monitor.refresh(vm); // whoever is told of the end sees the VM as it is
      this.#finish(
        run,
        run.cancelled && !run.failure ? MigrationState.cancelled : MigrationState.failed,
        reason,
      );
      this.#leftovers.add(vm);
      if (domain?.xml !== undefined) await registry.write(vm, domain.xml);
      run.ended.resolve();
    }
    if (leftover === "unknown") {
      throw new VirtxError("unavailable", "the target may have something left of it");
    }
    await this.#o.holders.migrated(vm, { from: target, to: run.record.source });
    await this.#close(run, run.info.state, run.info.reason);
    return false;
  }

  /** Forgets a migration that is settled. */
  async #close(run: Run, state: MigrationState, reason: string): Promise<void> {
    const { records, monitor, log } = this.#o;
    const { vm } = run.record;
    await records.remove(vm);
    await this.#reached("settled");
    monitor.leaving(vm, false); // from now on, who asks for the VM is sent to where it is
    await monitor.refresh(vm).catch(unlessDefect(log, "cannot refresh VM", { vm })); // the next sample shows it
    // Last of all, since who is told of the end may ask for the VM at once.
    if (!this.#leftovers.delete(vm)) this.#finish(run, state, reason);
    if (this.#runs.get(vm) === run) this.#runs.delete(vm);
    run.ended.resolve();
  }

  /** It is over as far as this host's VM is concerned. */
  #finish(run: Run, state: MigrationState, reason: string): void {
    run.info = { ...run.info, state, reason, te: this.#o.clock() };
    this.#last.set(run.record.vm, run.info);
  }

  /** Goes on with a post-copy that broke, over a link that is back. */
  async #rejoin(run: Run): Promise<void> {
    const { hypervisor, peers, log } = this.#o;
    const { vm, target } = run.record;
    const address = peers.address(target);
    if (address === undefined) throw new VirtxError("unavailable", `host ${target} is not active`);
    log.info("going on with a post-copy that broke", { vm, target });
    const { live, ...options } = migrationOf(run.record, address);
    await hypervisor.migrate(vm, {
      ...options,
      live: { ...live, address, postCopy: true, resumePostCopy: true },
    });
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stopped.signal }).catch(() => {}); // virtxd ends
  }

  #background(work: Promise<void>): void {
    const logged = work.catch((error) => {
      logFailure(this.#o.log, "error", "a migration was lost sight of", error);
    }).finally(() => this.#work.delete(logged));
    this.#work.add(logged);
  }

  async #reached(step: string): Promise<void> {
    await this.#o.fault?.(`migrate.${step}`);
  }
}

/** What libvirt is asked for. */
function migrationOf(record: MigrationRecord, address: string): MigrationOptions {
  const { bandwidth, connections, convergence } = record.options;
  const destination = remoteUri(address);
  if (!isLive(record)) return { destination };
  return {
    destination,
    live: {
      address,
      ...(record.held && record.running && { paused: true }),
      ...(convergence.includes("throttle") && { autoConverge: {} }),
      ...(convergence.includes("postcopy") && { postCopy: true }),
      ...(connections > 0 && { parallelConnections: connections }),
      ...(bandwidth > 0 && { bandwidthMiBps: bandwidth }),
    },
  };
}

function stateOf({ cancelled, info }: Run, job: DomainJob): MigrationState {
  if (cancelled) return info.state;
  return (job.memoryTotal ?? 0) > 0 ? MigrationState.active : MigrationState.setup;
}
