import type { Inventory } from "../cluster/inventory.ts";
import { operationsOf } from "../domain_xml/parse.ts";
import type { HostMonitor } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { inBackground } from "../model/background.ts";
import { logFailure } from "../model/defect.ts";
import { HostState, Runstate } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { Operation } from "../model/operation.ts";
import type { Registry } from "../registry/registry.ts";
import { originOf, startsWithHost } from "./migration_progress.ts";
import type { Oplog } from "./oplog.ts";
import type { VmHolders } from "./vm_holders.ts";

/** What a {@link RegistryKeeper} stands on. */
export interface RegistryKeeperOptions {
  readonly hypervisor: Hypervisor;
  readonly monitor: HostMonitor;
  readonly inventory: Inventory;
  readonly registry: Registry;
  readonly oplog: Oplog;
  readonly holders: Pick<VmHolders, "migrated">;
  /** Runs a task while nothing else is done to the VM. */
  readonly locked: (vm: string, task: () => Promise<void>) => Promise<void>;
  /** Whether a change or migration of the VM is open, which will see to the registry itself. */
  readonly isOpen: (vm: string) => boolean;
  readonly log: Logger;
}

/**
 * Keeps this host's directory of the registry true to its libvirt, whoever changed that: virsh, a migration, an earlier life.
 * - A definition here without a file gets one, and with another file a new one.
 * - A file here without a definition is given over to the host that has the VM, if one does; if nobody has it, the file
 *   stays: it may be all that is left, and can be registered.
 * Nothing is ever defined or removed in libvirt for it, and each host touches its own directory only, but for giving over,
 * which never replaces a file. So whatever two hosts believe, no definition is lost.
 *
 * A VM's lock is held while libvirt is asked, so that what is written is in the order of what happened; it is not held while
 * storage is read or written, which may hang: the guest can be worked on meanwhile.
 */
export class RegistryKeeper implements AsyncDisposable {
  readonly #o: RegistryKeeperOptions;
  readonly #held = new DisposableStack();
  /** Files without a definition here, as far as is known. */
  readonly #orphans = new Set<string>();
  /** What is being done now. */
  readonly #work = new Set<Promise<void>>();
  #started = false;
  #stopped = false;

  constructor(options: RegistryKeeperOptions) {
    this.#o = options;
  }

  /** Follows what changes from now on, and begins to look at everything, which may take a while. */
  async start(): Promise<void> {
    const { inventory, monitor, registry } = this.#o;
    this.#held.use(
      inventory.watch({ claim: (host, vm, claim) => this.#changed(host, vm, claim?.lastrunstate) }),
    );
    const here = new Set(Array.from(monitor.domains(), ({ uuid }) => uuid));
    for (const vm of await registry.list()) if (!here.has(vm)) this.#orphans.add(vm);
    this.#started = true;
    this.recheck();
  }

  /** Begins to look at everything again. */
  recheck(): void {
    if (!this.#started || this.#stopped) return;
    const here = Array.from(this.#o.monitor.domains(), ({ uuid }) => uuid);
    this.#background(this.#keepAll([...here, ...this.#orphans]));
  }

  /**
   * Writes down what a VM's definition has become; to be called under its lock, which need not be held any longer. Whoever
   * worked on the guest is done, and does not wait for storage; what cannot be written now, a later look finds.
   */
  record(vm: string, xml: string): void {
    this.#background(this.#logged(vm, () => this.#o.registry.write(vm, xml)));
  }

  /** Leaves off following; returns when nothing is touched any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#held.dispose();
    while (this.#work.size > 0) await Promise.all(this.#work); // what ends may begin to write what it found
  }

  #background(work: Promise<void>): void {
    this.#work.add(work);
    inBackground(work.finally(() => this.#work.delete(work)));
  }

  async #keepAll(vms: readonly string[]): Promise<void> {
    for (const vm of vms) await this.#keep(vm);
  }

  /** Who has the VM, or whether, has changed; a domain that is only arriving is not here yet. */
  #changed(host: string, vm: string, runstate: Runstate | undefined): void {
    if (host !== this.#o.monitor.uuid) {
      if (runstate !== undefined && this.#orphans.has(vm)) this.#background(this.#keep(vm));
    } else if (runstate === undefined) {
      this.#orphans.add(vm);
      this.#background(this.#keep(vm));
    } else if (!NOT_HERE.includes(runstate)) {
      this.#orphans.delete(vm);
      this.#background(this.#keep(vm));
    }
  }

  async #keep(vm: string): Promise<void> {
    await this.#logged(vm, async () => {
      if (this.#stopped) return;
      const recorded = await this.#o.registry.read(vm);
      await this.#o.locked(vm, async () => {
        if (this.#stopped || this.#o.isOpen(vm)) return;
        if (this.#o.monitor.domain(vm) === undefined) await this.#giveOver(vm);
        else await this.#bringUpToDate(vm, recorded);
      });
    });
  }

  async #logged(vm: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // That storage or libvirt is away is told once, elsewhere.
      const isAway = error instanceof VirtxError && error.kind === "unavailable";
      logFailure(this.#o.log, isAway ? "debug" : "warn", "cannot bring the registry up to date", error, {
        vm,
      });
    }
  }

  /**
   * Has written what libvirt has. A domain without a definition that stays (it is arriving, or transient) gets no file.
   * @param recorded what the registry had shortly before
   */
  async #bringUpToDate(vm: string, recorded: string | undefined): Promise<void> {
    const { hypervisor, monitor, oplog, holders } = this.#o;
    const xml = monitor.domain(vm)?.xml;
    const arrived = xml?.includes(STARTED) && operationsOf(xml).find(isOpenMigration);
    if (xml === undefined || (!arrived && xml === recorded)) return;
    const known = (await hypervisor.domains()).find(({ uuid }) => uuid === vm);
    if (!known?.persistent) return;
    if (arrived && startsWithHost(arrived.msg)) await hypervisor.setAutostart(vm, true);
    if (arrived) {
      this.#background(
        this.#logged(vm, () => holders.migrated(vm, { from: originOf(arrived.msg), to: monitor.uuid })),
      );
    }
    if (arrived) await oplog.end("VmMigrate", vm, arrived.ts, undefined, arrived.msg);
    this.record(vm, await hypervisor.definition(vm));
  }

  async #giveOver(vm: string): Promise<void> {
    const { inventory, monitor, registry, log } = this.#o;
    if (await registry.read(vm) === undefined) return void this.#orphans.delete(vm);
    const claim = inventory.vm(vm);
    if (claim === undefined || claim.host === monitor.uuid || claim.cstate !== HostState.active) return;
    if (claim.lastrunstate === Runstate.startup || claim.lastrunstate === Runstate.migrating) return;
    await registry.handOver(vm, claim.host);
    this.#orphans.delete(vm);
    log.info("gave a definition over to the host that has the VM", { vm, host: claim.host });
  }
}

/** What this host says of a VM that is on its way, or that only the registry has (see UndefinedVms). */
const NOT_HERE: readonly Runstate[] = [Runstate.startup, Runstate.migrating, Runstate.none];

/** How the record of an operation that is open looks in a definition; a cheap look before parsing it. */
const STARTED = ">started<";

/** One that is open here, where no migration is, is that of the migration that brought the VM. */
function isOpenMigration({ op, status }: Operation): boolean {
  return op === "VmMigrate" && status === "started";
}
