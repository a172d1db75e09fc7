import { v4 as newId } from "uuid";
import { lockedScreensWarning, withholdSecrets } from "../domain_xml/secrets.ts";
import { ifReadable } from "../domain_xml/if_readable.ts";
import { parseSummary } from "../domain_xml/summary.ts";
import type { UndefineOptions } from "../libvirt/domain.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import type { Clock } from "../model/clock.ts";
import { logFailure } from "../model/defect.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import type { Logger } from "../model/log.ts";
import type { Disk } from "../model/vm.ts";
import type { Change } from "../registry/change.ts";
import type { Journal } from "../registry/journal.ts";
import type { Registry } from "../registry/registry.ts";
import type { SecretDefinition, SecretDefinitions } from "../registry/secret_definitions.ts";
import type { CreatedDisk } from "../storage/created_disk.ts";
import type { FileMark } from "../storage/file_mark.ts";
import type { Storage } from "../storage/storage.ts";
import type { DiskOwners } from "./disk_owners.ts";
import { provisioned } from "./disks.ts";
import { type OperationControl, unlessCancelled } from "./operation_course.ts";
import { disksOf } from "./registered_disks.ts";
import type { SharedDefinitions } from "./shared_definitions.ts";
import { unlessGone } from "./unless_gone.ts";
import type { VmHolders } from "./vm_holders.ts";
import { UnsettledChange } from "./unsettled_change.ts";
import { type ChangeOutcome, withWarning } from "./use_cases.ts";
import { hasLocalVariables } from "./variables.ts";

/** A disk to be provisioned, under the names that were planned for it. */
export interface PlannedDisk {
  readonly disk: Disk;
  readonly created: CreatedDisk;
}

/** A VM's definition before and after: undefined where there is none. */
export interface ChangePlan {
  readonly op: Change["op"];
  readonly vm: string;
  readonly oldXml: string | undefined;
  readonly newXml: string | undefined;
  /** Both with their passwords; undefined: they have none. */
  readonly secret?: SecretDefinition | undefined;
  readonly provision: readonly PlannedDisk[];
  /** Disks to delete once the new definition holds, by path, with which files they were when that was decided. */
  readonly remove: ReadonlyMap<string, FileMark | undefined>;
  /** Whether these are to be gone at once, instead of waiting in the trash. */
  readonly removeNow?: boolean;
  /** See {@link Change.keepsFirmware}. */
  readonly keepsFirmware?: boolean;
  /** Looks once more, now that the VM's new disks are recorded as its own, whether another VM has one that exists already. */
  readonly confirm?: () => Promise<void>;
}

/** How a change ends that had stopped half-way; given up: another host has the VM. */
type ChangeEnd = "given up" | "undone" | "finished";

/** A change that stopped half-way. */
interface OpenChange {
  readonly change: Change;
  /** Why it stopped. */
  readonly reason: VirtxError;
  readonly end: PromiseWithResolvers<unknown>;
}

/** What {@link Changes} stands on. */
export interface ChangesOptions {
  readonly hypervisor: Hypervisor;
  readonly storage: Storage;
  readonly shared: SharedDefinitions;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly secrets: SecretDefinitions;
  /** Where this host keeps definitions with their passwords of VMs that are in the trash, by the change that deleted them. */
  readonly trashSecrets: SecretDefinitions;
  /** This host's UUID. */
  readonly host: string;
  readonly owners: Pick<DiskOwners, "take" | "hold" | "release" | "users">;
  readonly holders: Pick<VmHolders, "take" | "release" | "elsewhere">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly fault?: FaultHook | undefined;
}

/**
 * Changes of a VM's definition together with its storage and its registry file, all or nothing, also across kill -9.
 *
 * The plan is journalled before anything is done ("prepared"). A change is decided when the journal says "committed":
 * a creation or update once disks, libvirt and registry have the new state; a deletion at once, since what it
 * takes away (UEFI variables, disks) cannot be brought back. What is found prepared is undone, unless a guest has it
 * by then, what is found committed is finished; both are idempotent, so they may be interrupted too.
 */
export class Changes {
  readonly #o: ChangesOptions;
  /** The changes of this life that stopped half-way, by id, with who waits for their end. */
  readonly #open = new Map<string, OpenChange>();
  /** The VMs with a change in the journal that could not be settled, with why. */
  readonly #unsettled = new Map<string, unknown>();

  constructor(options: ChangesOptions) {
    this.#o = options;
  }

  /** Whether the journal holds a change that could not be settled; {@link settleAll} tries again. */
  get unsettled(): boolean {
    return this.#unsettled.size > 0;
  }

  /**
   * Carries the plan out. Throws what the failing step threw, after undoing the rest; if even that fails (libvirt
   * went away), an UnsettledChange: the change stays in the journal for {@link settleAll}. Until all disks are there it can be
   * cancelled.
   */
  async apply(plan: ChangePlan, control?: OperationControl): Promise<ChangeOutcome> {
    const prepared: Change = {
      id: newId(),
      op: plan.op,
      vm: plan.vm,
      phase: "prepared",
      startedAt: this.#o.clock(),
      oldXml: plan.oldXml,
      newXml: plan.newXml,
      ...(plan.secret && { secret: true }),
      created: plan.provision.map((planned) => planned.created),
      removed: [...plan.remove.keys()],
      ...(plan.remove.size > 0 && { marks: Object.fromEntries(plan.remove.entries().filter(isMarked)) }),
      ...(plan.removeNow && { now: true }),
      ...(plan.keepsFirmware && { keepsFirmware: true }),
    };
    if (plan.newXml === undefined) {
      const committed: Change = { ...prepared, phase: "committed" };
      await this.#begin(committed);
      return await this.#carryOut(committed);
    }
    control?.follow(() => provisioned(this.#o.storage, plan.provision));
    if (plan.secret) await this.#o.secrets.write(prepared.id, plan.secret);
    await this.#begin(prepared);
    let hasFiles = false;
    let isDefined = false;
    let doubt: string | undefined;
    try {
      await this.#reached(prepared, "prepared");
      await this.#take(prepared);
      await this.#reached(prepared, "taken");
      await plan.confirm?.();
      hasFiles = true;
      for (const { disk, created } of plan.provision) {
        await this.#o.storage.provision(created, disk, control?.signal);
        await this.#reached(prepared, "provisioned");
      }
      unlessCancelled(control, `Cannot ${plan.op} ${named(plan)}`);
      isDefined = true;
      const defined = await this.#define(plan, plan.secret?.newXml ?? plan.newXml);
      isDefined = defined !== undefined;
      if (defined === undefined) throw overtaken(plan, "other tools have changed its definition meanwhile");
      await this.#reached(prepared, "defined");
      await this.#register(plan.vm);
      await this.#reached(prepared, "registered");
      doubt = await this.#doubtOf(plan, prepared, defined);
    } catch (error) {
      // What another host has just made at these paths, directories without a file too, is not to be tidied away.
      return await this.#abandon(hasFiles ? prepared : { ...prepared, created: [] }, error, isDefined);
    }
    return withWarning(await this.#decide(prepared), doubt);
  }

  /**
   * Finishes or undoes every change that the journal holds, each under `locked` for its VM. Those that cannot be
   * settled yet stay there, and {@link unsettled} says so.
   */
  async settleAll(locked: (vm: string, task: () => Promise<void>) => Promise<void>): Promise<void> {
    const vms = new Set(this.#unsettled.keys());
    for (const { vm } of await this.#o.journal.list()) vms.add(vm);
    for (const vm of vms) await locked(vm, () => this.#settleAllOf(vm));
  }

  /**
   * Settles what has stopped half-way of a VM, whose lock is held, before anything else is done with it: undone later, it would
   * take that along.
   * @returns whether there was anything
   * @throws VirtxError why it cannot be settled yet
   */
  async settle(vm: string): Promise<boolean> {
    if (!this.#unsettled.has(vm)) return false;
    await this.#settleAllOf(vm);
    if (!this.#unsettled.has(vm)) return true;
    const what = "an earlier change of it stopped half-way and cannot be settled yet";
    throw VirtxError.wrap(this.#unsettled.get(vm), what);
  }

  async #settleAllOf(vm: string): Promise<void> {
    const found = (await this.#o.journal.list()).filter((change) => change.vm === vm);
    this.#unsettled.delete(vm);
    for (const gone of this.#gone(vm, found)) {
      this.#ended(gone, gone.phase === "committed" ? "finished" : "undone", {});
    }
    for (const change of found) {
      const { id, op, phase } = change;
      try {
        const { end, outcome } = await this.#settle(change);
        this.#o.log.info("settled a change found half done", { vm, op, phase, outcome: end });
        this.#ended(change, end, outcome);
      } catch (error) {
        if (calledOff(change, error)) {
          this.#failed(id, error);
          continue;
        }
        this.#unsettled.set(vm, error);
        logFailure(this.#o.log, "warn", "cannot settle a change found half done yet", error, {
          vm,
          op,
          phase,
        });
      }
    }
  }

  async #settle(change: Change): Promise<{ readonly end: ChangeEnd; readonly outcome: ChangeOutcome }> {
    const holder = await this.#o.holders.elsewhere(change.vm);
    if (holder !== undefined) {
      await this.#giveUp(change, holder);
      return { end: "given up", outcome: {} };
    }
    await this.#requireTrusted(change);
    const others = await this.#othersOf(change);
    if (change.phase === "prepared") {
      if (!await this.#cannotRevert(change) && await this.#undo(change, others)) {
        return { end: "undone", outcome: {} };
      }
      await this.#o.journal.write({ ...change, phase: "committed" });
      await this.#register(change.vm);
    }
    return { end: "finished", outcome: await this.#finish(change, others) };
  }

  /** Whether a guest has what an undecided change made: started by other tools, or by libvirt when its host came up. */
  async #hasStarted({ vm, op, created }: Change): Promise<boolean> {
    const { hypervisor } = this.#o;
    if (!await this.#defined(vm) || !await hypervisor.isActive(vm)) return false;
    const disks = disksOf(await hypervisor.liveXml(vm));
    return op === "create" || disks === undefined || created.some(({ path }) => disks.includes(path));
  }

  /** The open changes of a VM whose records are not there any more: only the removal of a record had failed. */
  #gone(vm: string, found: readonly Change[]): readonly Change[] {
    return [...this.#open.values()].map(({ change }) => change)
      .filter((change) => change.vm === vm && found.every(({ id }) => id !== change.id));
  }

  /** Tells who waits how a change has ended. */
  #ended({ id, op, vm }: Change, end: ChangeEnd, outcome: ChangeOutcome): void {
    const open = this.#open.get(id);
    if (!open) return;
    this.#open.delete(id);
    if (end === "finished") return open.end.resolve(op === "create" ? vm : outcome);
    open.end.reject(
      VirtxError.wrap(open.reason, `The ${op} of ${named(open.change)} stopped half-way and was ${end}`),
    );
  }

  /** Tells who waits that a change could not be, and is off. */
  #failed(id: string, error: unknown): void {
    this.#open.get(id)?.end.reject(error);
    this.#open.delete(id);
  }

  /** Writes the first record of a change. If that fails, nothing has happened. */
  async #begin(change: Change): Promise<void> {
    try {
      await this.#o.journal.write(change);
    } catch (error) {
      const failure = VirtxError.wrap(error, `The ${change.op} of ${named(change)} was not begun`);
      try {
        await this.#forget(change); // it may have been written all the same
      } catch (unremoved) {
        logFailure(this.#o.log, "warn", "cannot tell yet whether a change was recorded", unremoved, {
          vm: change.vm,
          op: change.op,
        });
        throw this.#pending({ ...change, phase: "prepared" }, error);
      }
      throw failure;
    }
  }

  /** The journal lies where others can write, too. */
  async #requireTrusted({ vm, phase, oldXml, newXml }: Change): Promise<void> {
    const known = await this.#definition(vm);
    const defines = phase === "prepared" ? oldXml : known === undefined ? newXml : undefined;
    if (defines !== undefined) this.#o.shared.require(defines, { vm, from: "journal", known });
  }

  /** From here on the change holds, whatever happens. */
  async #decide(prepared: Change): Promise<ChangeOutcome> {
    const committed: Change = { ...prepared, phase: "committed" };
    try {
      await this.#o.journal.write(committed);
    } catch (error) {
      throw this.#pending(prepared, error);
    }
    return await this.#carryOut(committed);
  }

  async #carryOut(committed: Change): Promise<ChangeOutcome> {
    try {
      await this.#reached(committed, "committed");
      return await this.#finish(committed);
    } catch (error) {
      throw calledOff(committed, error) ? error : this.#pending(committed, error);
    }
  }

  /** @param others see {@link #othersOf}, for a change that is not of just now */
  async #finish(change: Change, others = NOBODY): Promise<ChangeOutcome> {
    const { hypervisor, storage, registry, owners, holders } = this.#o;
    if (change.newXml === undefined) {
      await this.#release(change);
      await this.#reached(change, "undefined");
      await registry.remove(change.vm);
      await this.#reached(change, "unregistered");
    } else if (!await this.#defined(change.vm)) {
      await hypervisor.define((await this.#secretOf(change))?.newXml ?? this.#locked(change, change.newXml));
      await this.#register(change.vm);
    }
    for (const created of change.created) await storage.commit(created);
    await this.#reached(change, "kept");
    const taken = await owners.hold(change.vm, lost(change).filter((path) => change.removed.includes(path)));
    const running = await this.#startedWith(change);
    const removed = this.#unlessTaken(change, change.removed, new Map([...others, ...taken, ...running]));
    const outcome = await this.#discard({ ...change, removed });
    if (change.newXml === undefined && outcome.trash === undefined) {
      await this.#o.trashSecrets.remove(change.id);
    }
    await this.#reached(change, "deleted");
    if (change.newXml === undefined) await storage.deleteSeed(change.vm);
    if (change.newXml === undefined) await holders.release(change.vm);
    await owners.release(change.vm, lost(change).filter((path) => !others.has(path) && !running.has(path)));
    await this.#reached(change, "released");
    await this.#forget(change);
    if (running.size === 0) return outcome;
    const kept = `kept, as other tools started the VM with it meanwhile: ${[...running.keys()].join(", ")}`;
    return withWarning(outcome, kept);
  }

  /** The disks that an update is to delete and that a guest has, which other tools started before the new definition was there. */
  async #startedWith({ vm, newXml, removed }: Change): Promise<ReadonlyMap<string, string>> {
    const { hypervisor } = this.#o;
    if (newXml === undefined || removed.length === 0 || !await hypervisor.isActive(vm)) return NOBODY;
    const used = disksOf(await hypervisor.liveXml(vm));
    const kept = removed.filter((path) => used?.includes(path) ?? true);
    return new Map(kept.map((path) => [path, "the VM itself, which runs with it"]));
  }

  /** Takes the disks away that the change has decided on. One that cannot be removed does not keep the change from its end. */
  async #discard(change: Change): Promise<ChangeOutcome> {
    const { id, vm, oldXml, newXml, removed, marks, now } = change;
    if (removed.length === 0) return {};
    if (marks === undefined) {
      const warning = `an earlier version did not record which files are to be deleted, so they stay: ${
        removed.join(", ")
      }`;
      this.#o.log.warn(warning, { vm });
      return { warning };
    }
    const files = removed.flatMap((path) => {
      const mark = marks[path];
      return mark === undefined ? [] : [{ path, mark }];
    });
    try {
      const { failures, until } = await this.#o.storage.discard({
        id,
        vm,
        name: nameIn(oldXml) ?? vm,
        host: this.#o.host,
        xml: newXml === undefined ? oldXml : undefined,
        files,
        now: now === true,
      });
      const left = [...failures, ...await this.#endLeases(removed)];
      return {
        ...(left.length > 0 && { warning: left.join("; ") }),
        ...(until !== undefined && { trash: { id, until } }),
      };
    } catch (error) {
      logFailure(this.#o.log, "warn", "cannot remove a VM's disks", error, { vm });
      return { warning: errorMessage(error) };
    }
  }

  /** Ends the leases of disks that are away; what has such a path by now, if anything, keeps its own. Why one is left. */
  async #endLeases(paths: readonly string[]): Promise<string[]> {
    const { storage, log } = this.#o;
    const failures: string[] = [];
    for (const path of paths) {
      try {
        if (await storage.mark(path) === undefined) await storage.leases.end(path);
      } catch (error) {
        failures.push(errorMessage(error));
        logFailure(log, "warn", "cannot end the lease of a deleted disk", error, { path });
      }
    }
    return failures;
  }

  /**
   * @param others see {@link #othersOf}, for a change that is not of just now
   * @param isDefined whether libvirt may have the new definition
   * @returns false: a guest has what the change made, so it is to be finished
   */
  async #undo(change: Change, others = NOBODY, isDefined = true): Promise<boolean> {
    if (isDefined && !await this.#retract(change)) return false;
    if (change.oldXml === undefined) await this.#o.registry.remove(change.vm);
    else await this.#register(change.vm);
    await this.#reached(change, "reverted");
    const own = new Set(this.#unlessTaken(change, change.created.map(({ path }) => path), others));
    for (const created of change.created.toReversed()) {
      await (own.has(created.path) ? this.#o.storage.undo(created) : this.#o.storage.commit(created));
    }
    if (change.oldXml === undefined) await this.#o.holders.release(change.vm);
    await this.#o.owners.release(change.vm, gained(change), change.id);
    await this.#reached(change, "released");
    await this.#forget(change);
    return true;
  }

  /**
   * Takes what an undecided change made of a VM out of libvirt, unless a guest has it: then libvirt is left with it, or gets it
   * back. Whoever starts the VM once this is done gets what it was before.
   */
  async #retract(change: Change): Promise<boolean> {
    const { vm, oldXml, newXml } = change;
    if (await this.#hasStarted(change)) return false;
    if (oldXml === undefined) await this.#undefine(vm);
    else if (!await this.#hasOld(change)) await this.#revert(change, oldXml);
    if (newXml === undefined || !await this.#hasStarted(change)) return true;
    await this.#o.hypervisor.define((await this.#secretOf(change))?.newXml ?? this.#locked(change, newXml));
    return false;
  }

  /** Has libvirt define the VM as before. */
  async #revert(change: Change, oldXml: string): Promise<void> {
    const secret = await this.#secretOf(change);
    if (change.secret && secret === undefined && await this.#defined(change.vm)) {
      const { log, secrets } = this.#o;
      const why = `its passwords, of before the change, are not in ${secrets.directory} any more`;
      return log.warn("what libvirt has of a VM stays as it is", { vm: change.vm, reason: why });
    }
    await this.#o.hypervisor.define(secret?.oldXml ?? this.#locked(change, oldXml));
  }

  /** The definitions of a change with their passwords; undefined: they have none, or the host has lost them. */
  async #secretOf({ id, secret }: Change): Promise<SecretDefinition | undefined> {
    return secret ? await this.#o.secrets.read(id) : undefined;
  }

  /** A definition whose passwords are gone, with which it is to be defined all the same. */
  #locked({ vm }: Change, xml: string): string {
    const warning = lockedScreensWarning(vm, xml);
    if (warning !== undefined) this.#o.log.warn("a VM has lost its passwords", { vm, reason: warning });
    return xml;
  }

  /** Whether libvirt has what a change made, and not what is needed to undo it. */
  async #cannotRevert(change: Change): Promise<boolean> {
    const { vm, oldXml, created, secret } = change;
    if (!secret || await this.#secretOf(change) !== undefined) return false;
    const now = await this.#definition(vm);
    const disks = now === undefined || now === oldXml ? [] : disksOf(now);
    return disks === undefined || (now !== oldXml && created.every(({ path }) => disks.includes(path)));
  }

  /** Forgets a change that is done, undone or off. */
  async #forget({ id, secret }: Change): Promise<void> {
    await this.#o.journal.remove(id);
    if (secret) await this.#o.secrets.remove(id);
  }

  /**
   * Whether a VM still has the definition that it had before a change, or what other tools have made of that since, which is to
   * stay. It can be told from the new one by the disks that this has.
   */
  async #hasOld(change: Change): Promise<boolean> {
    const now = await this.#definition(change.vm);
    if (now === undefined || now === change.oldXml) return now !== undefined;
    const disks = disksOf(now);
    const [fresh, gone] = [gained(change), lost(change)];
    if (disks === undefined) return false;
    if (fresh.length > 0) return !fresh.some((path) => disks.includes(path));
    return gone.length > 0 && gone.every((path) => disks.includes(path));
  }

  /**
   * Undoes a change whose step threw, and throws that on; or finishes it all the same, if other tools have started the VM with what
   * it made.
   */
  async #abandon(change: Change, error: unknown, isDefined: boolean): Promise<ChangeOutcome> {
    let isUndone = false;
    try {
      isUndone = await this.#undo(change, NOBODY, isDefined);
      if (!isUndone) await this.#register(change.vm);
    } catch (undoError) {
      logFailure(this.#o.log, "warn", "cannot undo a failed change yet", undoError, {
        vm: change.vm,
        op: change.op,
      });
      throw this.#pending(change, error);
    }
    if (isUndone) throw error;
    logFailure(this.#o.log, "warn", "a failed change holds, as the VM was started with it", error, {
      vm: change.vm,
    });
    const outcome = await this.#decide(change);
    return withWarning(
      outcome,
      `other tools started the VM with the change before it failed: ${errorMessage(error)}`,
    );
  }

  /**
   * Has libvirt take the new definition. Making disks may have taken long, and it knows nothing of what other tools have changed
   * meanwhile.
   * @returns what libvirt has made of it; undefined: what it had is not what was changed here
   */
  async #define({ vm, oldXml, secret }: ChangePlan, newXml: string): Promise<string | undefined> {
    const { hypervisor } = this.#o;
    if (oldXml === undefined) {
      await hypervisor.define(newXml);
      return await hypervisor.definition(vm);
    }
    try {
      return await hypervisor.replaceDefinition(vm, secret?.oldXml ?? oldXml, newXml);
    } catch (error) {
      if (error instanceof VirtxError && error.kind === "not_found") return undefined;
      throw error;
    }
  }

  /**
   * What is to be said if other tools have changed the definition that libvirt had taken.
   * @throws VirtxError conflict: they have made it one that has not the disks of the new one
   */
  async #doubtOf(plan: ChangePlan, change: Change, defined: string): Promise<string | undefined> {
    const now = await this.#definition(change.vm);
    if (now === defined) return undefined;
    const disks = disksOf(now ?? "") ?? [];
    const isTaken = gained(change).every((path) => disks.includes(path)) &&
      !lost(change).some((path) => disks.includes(path));
    if (!isTaken) throw overtaken(plan, "other tools have overwritten its new definition");
    return "other tools have changed its definition at the same time; look whether it is as wanted";
  }

  async #take(change: Change): Promise<void> {
    if (change.op === "create") await this.#o.holders.take(change.vm, change.op);
    try {
      await this.#o.owners.take(change.vm, gained(change), change.id);
    } catch (error) {
      throw VirtxError.wrap(error, `Cannot ${change.op} ${named(change)}`);
    }
  }

  /**
   * Another host holds the VM by now, so that neither its definition nor its disks are this host's to change: only the second
   * names of new disks go, by which they could be told from others' until now.
   */
  async #giveUp(change: Change, holder: string): Promise<void> {
    const { storage, log } = this.#o;
    const { vm, op, created, removed } = change;
    for (const disk of created) await storage.commit(disk);
    const kept = [...created.map(({ path }) => path), ...removed].join(", ");
    log.warn("gave up a change of a VM that another host has by now", { vm, op, host: holder, kept });
    await this.#forget(change);
  }

  /** Whose the disks of an old change have become since, in words. */
  async #othersOf({ vm, phase, newXml, created, removed }: Change): Promise<ReadonlyMap<string, string>> {
    const users = await this.#o.owners.users([...created.map(({ path }) => path), ...removed], vm);
    if (phase === "prepared" || newXml === undefined) return users;
    const again = disksOf(await this.#o.hypervisor.definition(vm).catch(unlessGone) ?? "") ?? [];
    return new Map([...users, ...again.map((path) => [path, "the VM itself, which got it again"] as const)]);
  }

  /** Those of a change's disks that no other VM has by now. */
  #unlessTaken(
    change: Change,
    paths: readonly string[],
    others: ReadonlyMap<string, string>,
  ): readonly string[] {
    return paths.filter((path) => {
      const user = others.get(path);
      if (user === undefined) return true;
      this.#o.log.warn("keeping a disk that another VM has by now", { vm: change.vm, path, user });
      return false;
    });
  }

  async #register(vm: string): Promise<void> {
    await this.#o.registry.write(vm, await this.#o.hypervisor.definition(vm));
  }

  async #undefine(vm: string, options?: UndefineOptions): Promise<void> {
    try {
      await this.#o.hypervisor.undefine(vm, options);
    } catch (error) {
      if (!(error instanceof VirtxError) || error.kind !== "not_found") throw error;
    }
  }

  /**
   * Takes a domain that is to be deleted out of libvirt. If libvirt keeps it, nothing has happened yet, and the deletion
   * is off. So it is if the domain is active, which by being undefined would go on without a definition, on disks that are about
   * to go: libvirt cannot be told to undefine only what is off, so who starts it just then has it defined again.
   */
  async #release(change: Change): Promise<void> {
    const { vm, oldXml = "", keepsFirmware = false } = change;
    const { hypervisor } = this.#o;
    const refusal = () =>
      new VirtxError("conflict", `Cannot delete ${named(change)}: it was started meanwhile; stop it first`);
    try {
      if (!await this.#defined(vm)) return;
      if (await hypervisor.isActive(vm)) throw refusal();
      // Those on shared storage leave it as the disks do.
      const keepVariables = keepsFirmware || !hasLocalVariables(oldXml);
      const withSecrets = await hypervisor.definitionWithSecrets(vm);
      if (change.removed.length > 0) await this.#keepSecrets(change, withSecrets);
      await this.#undefine(vm, { keepVariables, keepTpm: keepsFirmware });
      if (!await this.#defined(vm)) return;
      await hypervisor.define(withSecrets);
      throw refusal();
    } catch (error) {
      if (calledOff(change, error)) await this.#forget(change);
      throw error;
    }
  }

  /** Keeps the passwords of a VM for as long as the trash has the rest. That they cannot be is no reason to keep the VM. */
  async #keepSecrets({ id, vm }: Change, xml: string): Promise<void> {
    if (withholdSecrets(xml) === xml) return;
    try {
      await this.#o.trashSecrets.write(id, { newXml: xml });
    } catch (error) {
      logFailure(this.#o.log, "warn", "cannot keep the passwords of a deleted VM", error, { vm });
    }
  }

  async #defined(vm: string): Promise<boolean> {
    return await this.#definition(vm) !== undefined;
  }

  async #definition(vm: string): Promise<string | undefined> {
    try {
      return await this.#o.hypervisor.definition(vm);
    } catch (error) {
      if (error instanceof VirtxError && error.kind === "not_found") return undefined;
      throw error;
    }
  }

  /** The error of a change that is neither done nor undone yet, but journalled; in which phase, if nobody knows better. */
  #pending(change: Change, error: unknown): UnsettledChange {
    this.#unsettled.set(change.vm, error);
    const what = `The ${change.op} of ${named(change)} stopped half-way and will be finished or undone soon`;
    const end = Promise.withResolvers<unknown>();
    const reason = VirtxError.wrap(error, what);
    this.#open.set(change.id, { change, reason: error instanceof VirtxError ? error : reason, end });
    return new UnsettledChange(reason, end.promise);
  }

  async #reached(change: Change, step: string): Promise<void> {
    await this.#o.fault?.(`${change.op}.${step}`);
  }
}

function isMarked(entry: [string, FileMark | undefined]): entry is [string, FileMark] {
  return entry[1] !== undefined;
}

const NOBODY: ReadonlyMap<string, string> = new Map();

function overtaken(plan: ChangePlan, why: string): VirtxError {
  return new VirtxError("conflict", `Cannot ${plan.op} ${named(plan)}: ${why}; try again`);
}

/** The disks that a change gives to its VM. */
function gained({ oldXml, newXml }: Change): readonly string[] {
  const before = new Set(oldXml === undefined ? [] : disksOf(oldXml));
  return newXml === undefined ? [] : disksOf(newXml)?.filter((path) => !before.has(path)) ?? [];
}

/** The disks that a change takes from its VM; none, if that cannot be told. */
function lost({ oldXml, newXml }: Change): readonly string[] {
  const after = newXml === undefined ? [] : disksOf(newXml);
  return oldXml === undefined || after === undefined
    ? []
    : disksOf(oldXml)?.filter((path) => !after.includes(path)) ?? [];
}

/** The VM that a change is about, by its name if its definition can be read. */
function named({ vm, oldXml, newXml }: Pick<ChangePlan, "vm" | "oldXml" | "newXml">): string {
  const name = nameIn(oldXml ?? newXml);
  return name === undefined ? `VM ${vm}` : `VM "${name}"`;
}

/** The name in a definition; undefined if it cannot be read. */
function nameIn(xml: string | undefined): string | undefined {
  return ifReadable(() => parseSummary(xml ?? "").name);
}

/** Whether a deletion failed because the domain may not go, rather than half-way. */
function calledOff(change: Change, error: unknown): boolean {
  return change.newXml === undefined && error instanceof VirtxError &&
    (error.kind === "conflict" || error.kind === "refused");
}
