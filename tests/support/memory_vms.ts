import type { Inventory } from "../../lib/cluster/inventory.ts";
import { Runstate } from "../../lib/model/enums.ts";
import { VirtxError } from "../../lib/model/error.ts";
import type {
  DefinitionVerdict,
  ImportVerdict,
  MigrationInfo,
  MigrationVerdict,
  Vm,
  VmBootOptions,
  VmCreateOptions,
  Vmdef,
  VmDeleteOptions,
  VmImportOptions,
  VmMigrateOptions,
  VmShutdownOptions,
  VmUpdateOptions,
} from "../../lib/model/vm.ts";
import { vcpus } from "../../lib/model/vm.ts";
import { type Precondition, requireTag } from "../../lib/vm/definition_tag.ts";
import { NO_MIGRATION } from "../../lib/vm/migration_progress.ts";
import { type OperationControl, unlessCancelled } from "../../lib/vm/operation_course.ts";
import type { BegunMigration, ChangeOutcome, VmUseCases } from "../../lib/vm/use_cases.ts";
import { requireValidChange } from "../../lib/vm/valid_change.ts";

const NO_STATS = {
  cpu_utilization: 0,
  mhz_used: 0,
  memory_capacity: 0,
  memory_used: 0,
  disk_capacity: 0,
  disk_allocation: 0,
  disk_physical: 0,
  net_rx_bw: 0,
  net_tx_bw: 0,
  oplog: { items: [] },
};

/**
 * The use cases' port without a hypervisor: definitions in a map, states in the inventory, and the state rules of protocol.md §1.
 * `outcome` stands for what storage may leave behind, `obstacle` for a failure of what is below.
 */
export class MemoryVms implements VmUseCases {
  readonly #defs = new Map<string, Vmdef>();
  readonly #inventory: Inventory;
  readonly #host: string;
  /** What libvirt calls VMs. */
  readonly libvirtNames = new Map<string, readonly string[]>();
  outcome: ChangeOutcome = {};
  /** Why definitions are not all there. */
  flaw: string | undefined;
  obstacle: Error | undefined;
  /** What definitions are told that are only looked at. */
  verdict: DefinitionVerdict;
  /** Resolved before anything is done; lets a test hold an operation. */
  gate: Promise<void> = Promise.resolve();
  /** How migrations that have begun end; undefined: none can begin. */
  migrationEnd: Promise<{ host: string }> | undefined;

  constructor(inventory: Inventory, host: string) {
    this.#inventory = inventory;
    this.#host = host;
    this.verdict = { host, name: "virt1", fits: true, obstacles: [], warnings: [] };
  }

  async create(
    { vmdef }: VmCreateOptions,
    uuid: string = crypto.randomUUID(),
    control?: OperationControl,
  ): Promise<string> {
    await this.#begin(control);
    this.#put(uuid, vmdef, Runstate.poweroff);
    return uuid;
  }

  async import({ vm }: VmImportOptions, uuid: string): Promise<string> {
    await this.#begin();
    if (vm !== "") this.#find(uuid);
    return uuid;
  }

  async checkImport(_options: VmImportOptions, vm: string): Promise<ImportVerdict> {
    await this.#begin();
    return { ...this.verdict, vm, vmname: vm, keeps: [], changes: [] };
  }

  async checkCreate(_options: VmCreateOptions): Promise<DefinitionVerdict> {
    await this.#begin();
    return this.verdict;
  }

  async checkUpdate(
    uuid: string,
    { vmdef }: VmUpdateOptions,
    precondition?: Precondition,
  ): Promise<DefinitionVerdict> {
    await this.#begin();
    this.#find(uuid);
    requireTag(this.#def(uuid), precondition, "update");
    requireValidChange(vmdef, this.#def(uuid));
    return this.verdict;
  }

  async get(uuid: string): Promise<Vm> {
    await this.#begin();
    const { runstate, host, ts } = this.#find(uuid);
    const { flaw } = this;
    return {
      uuid,
      def: this.#def(uuid),
      ...(flaw !== undefined && { flaw }),
      runinfo: { runstate, host },
      stats: NO_STATS,
      ts,
    };
  }

  named(libvirtName: string): readonly string[] {
    return this.libvirtNames.get(libvirtName) ?? [];
  }

  async update(
    uuid: string,
    { vmdef }: VmUpdateOptions,
    _control?: OperationControl,
    precondition?: Precondition,
  ): Promise<ChangeOutcome> {
    await this.#begin();
    requireTag(this.#def(uuid), precondition, "update");
    requireValidChange(vmdef, this.#def(uuid));
    this.#put(uuid, vmdef, this.#require(uuid, Runstate.poweroff));
    return this.outcome;
  }

  async delete(
    uuid: string,
    _options: VmDeleteOptions,
    precondition?: Precondition,
  ): Promise<ChangeOutcome> {
    await this.#begin();
    if (this.#defs.has(uuid)) requireTag(this.#def(uuid), precondition, "delete");
    this.#require(uuid, Runstate.poweroff);
    this.#defs.delete(uuid);
    this.#inventory.removeVm(uuid, Infinity);
    return this.outcome;
  }

  async boot(uuid: string, _options: VmBootOptions): Promise<void> {
    await this.#change(uuid, Runstate.poweroff, Runstate.running);
  }

  async shutdown(uuid: string, { force }: VmShutdownOptions): Promise<void> {
    await this.#change(uuid, Runstate.running, force === 0 ? Runstate.running : Runstate.poweroff);
  }

  async pause(uuid: string): Promise<void> {
    await this.#change(uuid, Runstate.running, Runstate.paused);
  }

  async resume(uuid: string): Promise<void> {
    await this.#change(uuid, Runstate.paused, Runstate.running);
  }

  async register(uuid: string): Promise<"refreshed" | "defined" | "locked"> {
    await this.#begin();
    this.#find(uuid);
    return "refreshed";
  }

  async migrate(
    uuid: string,
    { host }: VmMigrateOptions,
    control?: OperationControl,
  ): Promise<BegunMigration> {
    await this.#begin(control);
    this.#find(uuid);
    if (this.migrationEnd) return { ended: orCancelled(this.migrationEnd, control) };
    if (host === "") throw new VirtxError("unimplemented", "Cannot migrate: no target host was given");
    throw new VirtxError("unavailable", `Cannot migrate: host ${host} is not known`);
  }

  async migrationTargets(uuid: string, _options: VmMigrateOptions): Promise<readonly MigrationVerdict[]> {
    await this.#begin();
    this.#find(uuid);
    return [];
  }

  async migration(uuid: string): Promise<MigrationInfo> {
    await this.#begin();
    this.#find(uuid);
    return NO_MIGRATION;
  }

  async abortMigration(uuid: string): Promise<void> {
    await this.#begin();
    this.#require(uuid, Runstate.migrating);
  }

  async #begin(control?: OperationControl): Promise<void> {
    await orCancelled(this.gate, control);
    if (this.obstacle) throw this.obstacle;
  }

  async #change(uuid: string, from: Runstate, to: Runstate): Promise<void> {
    await this.#begin();
    this.#require(uuid, from);
    this.#put(uuid, this.#def(uuid), to);
  }

  #find(uuid: string) {
    const vm = this.#inventory.vm(uuid);
    if (!vm) throw new VirtxError("not_found", `There is no VM ${uuid}`);
    return vm;
  }

  #def(uuid: string): Vmdef {
    const def = this.#defs.get(uuid);
    if (!def) throw new VirtxError("not_found", `There is no VM ${uuid} on this host`);
    return def;
  }

  #require(uuid: string, state: Runstate): Runstate {
    const { name, runstate } = this.#find(uuid);
    if (runstate !== state) {
      throw new VirtxError("conflict", `VM "${name}" is in state ${runstate}, not ${state}`);
    }
    return runstate;
  }

  #put(uuid: string, def: Vmdef, runstate: Runstate): void {
    this.#defs.set(uuid, def);
    const { name, vlanid, custom, cpudef } = def;
    const ts = Date.now();
    this.#inventory.putVm({
      uuid,
      name,
      host: this.#host,
      runstate,
      vlanid,
      custom,
      vcpus: vcpus(cpudef),
      ts,
    });
  }
}

async function orCancelled<T>(work: Promise<T>, control: OperationControl | undefined): Promise<T> {
  const { promise: cancelled, reject } = Promise.withResolvers<never>();
  cancelled.catch(() => {}); // there may be nobody to wait any more
  control?.signal.addEventListener("abort", () => reject(new VirtxError("cancelled", "Cannot: cancelled")));
  unlessCancelled(control, "Cannot");
  return await Promise.race([work, cancelled]);
}
