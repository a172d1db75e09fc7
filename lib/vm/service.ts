import { setTimeout as delay } from "node:timers/promises";
import { v4 as newUuid } from "uuid";
import type { Inventory } from "../cluster/inventory.ts";
import { buildDomainXml } from "../domain_xml/build.ts";
import { editDomainXml } from "../domain_xml/edit.ts";
import { libvirtName } from "../domain_xml/libvirt_name.ts";
import { operationsOf, type ParsedDomain, parseDomainXml } from "../domain_xml/parse.ts";
import { outline, showDomain } from "../domain_xml/show.ts";
import { lockedScreensWarning, withholdSecrets } from "../domain_xml/secrets.ts";
import { variablesFile } from "../domain_xml/variables.ts";
import { readDefinition } from "../host/definition.ts";
import type { DefinedDomain, HostMonitor, LocalDomain } from "../host/monitor.ts";
import { isPausedByIoError, runstateOf } from "../host/runstate.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { inBackground } from "../model/background.ts";
import type { Clock } from "../model/clock.ts";
import { logFailure, unlessDefect } from "../model/defect.ts";
import { enumName, Firmware, MigrationState, MigrationType, Runstate } from "../model/enums.ts";
import { errorMessage, isInvalid, VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import type { Logger } from "../model/log.ts";
import { KeyedMutex } from "../model/mutex.ts";
import type { RecordedOperation } from "../model/operation.ts";
import { IMAGES_ROOT, isBelow, variablesPath } from "../model/paths.ts";
import {
  allDisks,
  type DefinitionPermissions,
  type DefinitionVerdict,
  type Disk,
  type ImportVerdict,
  type MigrationInfo,
  type MigrationVerdict,
  ownsStorage,
  type Vm,
  type VmBootOptions,
  type VmCreateOptions,
  type Vmdef,
  type VmDeleteOptions,
  type VmImportOptions,
  type VmMigrateOptions,
  type VmShutdownOptions,
  type VmUpdateOptions,
} from "../model/vm.ts";
import { within } from "../model/within.ts";
import type { HostRecords } from "../registry/host_record.ts";
import type { Journal } from "../registry/journal.ts";
import type { MigrationRecords } from "../registry/migration_record.ts";
import type { DiskRecords, VmRecords } from "../registry/ownership.ts";
import type { RecordedDefinition, Registry } from "../registry/registry.ts";
import type { FileMark } from "../storage/file_mark.ts";
import type { SecretDefinitions } from "../registry/secret_definitions.ts";
import type { Storage } from "../storage/storage.ts";
import { aftermathOf } from "./aftermath.ts";
import { Changes } from "./change.ts";
import { DiskClaims } from "./claims.ts";
import { DefinitionChecker, requireNone } from "./definition_check.ts";
import { type Precondition, requireTag } from "./definition_tag.ts";
import { DiskOwners } from "./disk_owners.ts";
import { anyOf } from "./disk_users.ts";
import { unwiped } from "./disks.ts";
import { Imports } from "./imports.ts";
import { explainLease } from "./lease_failure.ts";
import { Migrations } from "./migration.ts";
import type { DomainLook, TargetCheck } from "./migration_exchange.ts";
import type { MigrationPeers } from "./migration_peers.ts";
import { MigrationPlanner } from "./migration_planner.ts";
import { lastMigration, remainder } from "./migration_progress.ts";
import { MigrationTarget } from "./migration_target.ts";
import { type OperationControl, unlessCancelled } from "./operation_course.ts";
import type { TrackedOperation } from "./operation_record.ts";
import { Oplog } from "./oplog.ts";
import { PowerOffs } from "./power_off.ts";
import { LocalDisks } from "./local_disks.ts";
import { disksOf, RegisteredDisks } from "./registered_disks.ts";
import { RegisteredVms } from "./registered_vms.ts";
import { RegistryKeeper } from "./registry_keeper.ts";
import { Seed } from "./seed.ts";
import { SharedDefinitions } from "./shared_definitions.ts";
import { VmTurns } from "./turns.ts";
import { Variables } from "./variables.ts";
import { requireValidChange } from "./valid_change.ts";
import { VmHolders } from "./vm_holders.ts";
import {
  type BegunMigration,
  type ChangeOutcome,
  type MigrationTargetUseCases,
  type VmUseCases,
  withWarning,
} from "./use_cases.ts";

/** What {@link VmService} stands on; `fault` is called at each named step of a change. */
export interface VmServiceOptions {
  readonly hypervisor: Hypervisor;
  readonly monitor: HostMonitor;
  readonly inventory: Inventory;
  readonly storage: Storage;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly secrets: SecretDefinitions;
  readonly trashSecrets: SecretDefinitions;
  readonly diskRecords: DiskRecords;
  readonly vmRecords: VmRecords;
  readonly hostRecords: Pick<HostRecords, "read">;
  readonly migrations: MigrationRecords;
  readonly peers: MigrationPeers;
  readonly clock: Clock;
  readonly log: Logger;
  readonly fault?: FaultHook | undefined;
}

/** Definition and storage may only change while the guest is off. */
const OFF = [Runstate.poweroff, Runstate.crashed] as const;
/** Everything that has a QEMU process; but for a guest that migrates, which may be about to run elsewhere: abort that first. */
const ACTIVE = [
  Runstate.startup,
  Runstate.running,
  Runstate.paused,
  Runstate.terminating,
  Runstate.pmsuspended,
  Runstate.crashed,
] as const;

/** How long a look at a VM waits for the sizes of its images. */
const SIZE_TIMEOUT_MS = 1_000;

/** How often a guest is looked at that was paused by an I/O error and resumed, and how long it is between two looks. */
const GOING_ON_LOOKS = 5;
const GOING_ON_LOOK_MS = 200;
/** How long until changes that could not be settled (libvirt is away, say) are tried again. */
const SETTLE_RETRY_MS = 5_000;

/** How long an operation waits for others on the same VM. */
const TURN_TIMEOUT_MS = 60_000;

/**
 * The use cases for the VMs of this host. Operations on one VM happen one after the other; but for a power-off by force, which
 * waits for nothing.
 */
export class VmService implements VmUseCases, MigrationTargetUseCases, AsyncDisposable {
  readonly #o: VmServiceOptions;
  readonly #shared: SharedDefinitions;
  readonly #changes: Changes;
  readonly #oplog: Oplog;
  readonly #seed: Seed;
  readonly #claims: DiskClaims;
  readonly #checker: DefinitionChecker;
  readonly #imports: Imports;
  readonly #variables: Variables;
  readonly #owners: DiskOwners;
  readonly #holders: VmHolders;
  readonly #planner: MigrationPlanner;
  readonly #migrations: Migrations;
  readonly #target: MigrationTarget;
  readonly #keeper: RegistryKeeper;
  readonly #registeredVms: RegisteredVms;
  readonly #locks = new KeyedMutex();
  readonly #turns = new VmTurns(this.#locks, TURN_TIMEOUT_MS);
  readonly #powerOffs: PowerOffs;
  /** VMs whose definition libvirt has not told since the start, so that what an earlier run left of them is still there. */
  readonly #untidied = new Set<string>();
  /** VMs whose migration is just being recorded. */
  readonly #departing = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();
  #watch: Disposable | undefined;
  #closing = false;
  #settleTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: VmServiceOptions) {
    this.#o = options;
    this.#shared = new SharedDefinitions(options);
    this.#registeredVms = new RegisteredVms(options);
    this.#oplog = new Oplog(options);
    this.#seed = new Seed(options);
    this.#claims = new DiskClaims(options.monitor);
    const hostName = (uuid: string) => options.inventory.host(uuid)?.def.name ?? uuid;
    const registered = new RegisteredDisks({ registry: options.registry, hostName });
    const localDisks = new LocalDisks(options);
    const diskUsers = anyOf(localDisks, registered);
    const names = { vmName: (vm: string) => this.#nameOf(vm), hostName };
    this.#owners = new DiskOwners({
      ...options,
      ...names,
      records: options.diskRecords,
      claims: this.#claims,
      diskUsers,
    });
    this.#holders = new VmHolders({ ...options, ...names, records: options.vmRecords });
    this.#changes = new Changes({
      ...options,
      shared: this.#shared,
      host: options.monitor.uuid,
      owners: this.#owners,
      holders: this.#holders,
    });
    this.#checker = new DefinitionChecker({
      ...options,
      diskUsers,
      owners: this.#owners,
    });
    this.#imports = new Imports({
      ...options,
      shared: this.#shared,
      claims: this.#claims,
      checker: this.#checker,
      owners: this.#owners,
    });
    const locked = (vm: string, task: () => Promise<void>) => this.#locks.run(vm, task);
    const parts = {
      ...options,
      oplog: this.#oplog,
      claims: this.#claims,
      owners: this.#owners,
      holders: this.#holders,
      locked,
    };
    this.#planner = new MigrationPlanner(options);
    this.#variables = new Variables(options);
    this.#migrations = new Migrations({
      ...parts,
      records: options.migrations,
      variables: this.#variables,
    });
    this.#target = new MigrationTarget({
      ...parts,
      localDisks,
      isLeaving: (vm) => this.#migrations.isUnderWay(vm),
    });
    this.#keeper = new RegistryKeeper({ ...parts, isOpen: (vm) => this.#migrations.isUnderWay(vm) });
    this.#powerOffs = new PowerOffs({
      ...options,
      nameOf: (vm) => this.#nameOf(vm),
      isLeaving: (vm) => this.#departing.has(vm) || this.#migrations.isUnderWay(vm),
      cutOff: (vm, powerOff) => this.#turns.cutOff(vm, powerOff),
      record: (vm, ts, failure) =>
        locked(vm, async () => {
          await this.#oplog.end("VmShutdown", vm, ts, failure);
          await this.#published(vm);
        }),
    });
  }

  /**
   * Settles what an earlier run left half done: changes are undone or finished, open operation records closed,
   * forgotten seeds detached; migrations are taken up again, the registry is brought up to date. Call it once the monitor
   * has started, before the first request; or, if the storage is not there then, when it is: until then nothing is
   * to be changed that needs it.
   */
  async recover(): Promise<void> {
    await this.#o.registry.sweep();
    await this.#o.journal.sweep();
    await this.#settle();
    await this.#o.secrets.sweep(new Set(await this.openChanges()));
    await this.#migrations.recover();
    const { inventory, monitor } = this.#o;
    for (const domain of monitor.domains()) await this.#tidy(domain);
    this.#watch = inventory.watch({ claim: (host, vm) => host === monitor.uuid && this.#tidyLater(vm) });
    for (const vm of this.#untidied) this.#tidyLater(vm); // told meanwhile
    await this.#keeper.start();
  }

  /** Closes what an earlier run left open of a VM; of one whose definition libvirt does not tell yet, once it does. */
  async #tidy({ uuid, xml }: LocalDomain): Promise<void> {
    if (xml === undefined) return void this.#untidied.add(uuid);
    this.#untidied.delete(uuid);
    const interrupted = Oplog.mayBeInterrupted(xml);
    if (!interrupted && !Seed.isAttached(uuid, xml)) return;
    await this.#locks.run(uuid, async () => {
      try {
        await this.#seed.detach(uuid, xml);
        if (interrupted) await this.#oplog.closeInterrupted(uuid, operationsOf(xml));
        await this.#published(uuid);
      } catch (error) {
        logFailure(this.#o.log, "warn", "cannot close an interrupted operation", error, { vm: uuid });
      }
    });
  }

  /** Does that for a VM that was left out at the start, if libvirt tells its definition by now. */
  #tidyLater(uuid: string): void {
    const domain = this.#untidied.has(uuid) ? this.#o.monitor.domain(uuid) : undefined;
    if (domain?.xml !== undefined && !this.#closing) inBackground(this.#counted(this.#tidy(domain)));
  }

  /** The storage answers again, or is there again: what could not be written meanwhile is, and what is half done settled. */
  storageReturned(): void {
    this.#keeper.recheck();
    this.#settleLater();
  }

  /** Whether a change or a migration of a VM is open on this host. */
  async isOpen(vm: string): Promise<boolean> {
    return this.#migrations.isUnderWay(vm) ||
      (await this.#o.journal.list()).some((change) => change.vm === vm);
  }

  /** The changes that are open on this host, by their ids. */
  async openChanges(): Promise<readonly string[]> {
    return (await this.#o.journal.list()).map(({ id }) => id);
  }

  /** What an operation comes to that the end of an earlier life cut off; to be asked once all is recovered. */
  async takeUp(operation: TrackedOperation, control: OperationControl): Promise<unknown> {
    const { op, vm } = operation;
    if (op !== "VmMigrate" || !this.#migrations.isUnderWay(vm)) {
      return aftermathOf(operation, this.#o.monitor.domain(vm));
    }
    control.begun();
    return await this.#attend(vm, control);
  }

  /** Refuses what is new and waits for what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#settleTimer);
    this.#watch?.[Symbol.dispose]();
    await Promise.allSettled(this.#running);
    await this.#keeper[Symbol.asyncDispose]();
    await this.#migrations[Symbol.asyncDispose]();
  }

  async create(
    { vmdef, host, duplicateName }: VmCreateOptions & DefinitionPermissions,
    uuid = newUuid(),
    control?: OperationControl,
  ): Promise<string> {
    const { hypervisor, monitor, log, clock } = this.#o;
    const verb = `create VM "${vmdef.name}"`;
    this.#requireHere(verb, host);
    return await this.#onStorage(uuid, verb, async () => {
      const started = clock();
      using claim = this.#claims.take(uuid, vmdef);
      const checked = await this.#checker.check({
        vm: uuid,
        def: vmdef,
        old: undefined,
        tag: uuid,
        taken: claim.issues,
        duplicateName,
      });
      requireNone(checked.obstacles, verb);
      const { plan } = checked;
      if (plan.def.firmware === Firmware.uefi) await this.#o.storage.variables.prepare();
      await this.#changes.apply({
        op: "create",
        vm: uuid,
        oldXml: undefined,
        newXml: buildDomainXml(uuid, plan.def, monitor.context(plan.def.firmware)),
        provision: plan.provision,
        remove: new Map(),
        confirm: async () => requireNone(await this.#checker.taken(uuid, vmdef, undefined, plan), verb),
      }, control);
      await this.#refresh(uuid);
      log.info("VM created", {
        vm: uuid,
        name: vmdef.name,
        libvirt: hypervisor.connected,
        warnings: checked.warnings.map(({ message }) => message).join("; ") || undefined,
        ms: clock() - started,
      });
      return uuid;
    });
  }

  async checkCreate(
    { vmdef, host, duplicateName }: VmCreateOptions & DefinitionPermissions,
  ): Promise<DefinitionVerdict> {
    const verb = `create VM "${vmdef.name}"`;
    this.#requireHere(verb, host);
    const uuid = newUuid();
    return await this.#onStorage(uuid, verb, async () => {
      const taken = this.#claims.issues(uuid, vmdef);
      return this.#checker.verdict(
        await this.#checker.check({ vm: uuid, def: vmdef, old: undefined, tag: uuid, taken, duplicateName }),
      );
    });
  }

  async import(options: VmImportOptions, uuid: string, control?: OperationControl): Promise<string> {
    const { registry, log } = this.#o;
    const verb = options.xml === "" ? "import" : "import a VM";
    this.#requireHere(verb, options.host);
    return await this.#onStorage(uuid, verb, async () => {
      const { xml, secretXml, checked, obstacles, vmname } = await this.#imports.plan(uuid, options);
      requireNone(obstacles, `import VM "${vmname}"`);
      if (checked === undefined) {
        await this.#holders.require(uuid, verb);
        await this.#owners.take(uuid, disksOf(xml) ?? []);
        await registry.write(uuid, xml);
      } else {
        const { def, definition } = checked;
        using claim = this.#claims.take(uuid, def);
        requireNone(claim.issues.map((issue) => ({ ...issue, kind: "conflict" })), `import VM "${vmname}"`);
        await this.#changes.apply({
          op: "create",
          vm: uuid,
          oldXml: undefined,
          newXml: xml,
          ...(xml !== secretXml && { secret: { newXml: secretXml } }),
          provision: [],
          remove: new Map(),
          confirm: async () =>
            requireNone(
              await this.#checker.taken(uuid, def, undefined, definition.plan),
              `import VM "${vmname}"`,
            ),
        }, control);
      }
      await this.#refresh(uuid);
      log.info("VM imported", { vm: uuid, name: vmname, from: checked === undefined ? "libvirt" : "a file" });
      return uuid;
    });
  }

  async checkImport(options: VmImportOptions, uuid: string): Promise<ImportVerdict> {
    const verb = options.xml === "" ? "import" : "import a VM";
    this.#requireHere(verb, options.host);
    return await this.#onStorage(uuid, verb, async () => {
      const plan = await this.#imports.plan(uuid, options);
      const { host, name, vm, vmname, fits, keeps, changes, warnings } = plan;
      const obstacles = plan.obstacles.map(({ field, message }) => ({ field, message }));
      return { host, name, vm, vmname, fits, keeps, changes, obstacles, warnings };
    });
  }

  async checkUpdate(
    uuid: string,
    { vmdef, duplicateName }: VmUpdateOptions & DefinitionPermissions,
    precondition?: Precondition,
  ): Promise<DefinitionVerdict> {
    return await this.#onStorage(uuid, "update", async () => {
      const domain = await this.#require(uuid, "update", OFF);
      await this.#requireTag(uuid, precondition, "update");
      const { def: old } = readable(domain, "update");
      requireValidChange(vmdef, old);
      const taken = this.#claims.issues(uuid, vmdef, old);
      return this.#checker.verdict(
        await this.#checker.check({ vm: uuid, def: vmdef, old, tag: uuid, taken, duplicateName }),
      );
    });
  }

  async get(uuid: string): Promise<Vm> {
    if (this.#isUndefined(uuid)) {
      return await this.#registeredVms.get(this.#o.monitor.uuid, uuid, "not_defined");
    }
    const domain = this.#local(uuid, "get");
    const { def, operations } = shown(domain);
    const flaw = domain.xml === undefined ? this.#whyUntold(uuid) : domain.flaw;
    const name = domain.xml === undefined ? undefined : libvirtName(domain.xml);
    return {
      uuid,
      def: await this.#sized(def),
      ...(name !== undefined && ![uuid, def.name].includes(name) && { libvirtname: name }),
      ...(flaw !== undefined && { flaw }),
      runinfo: {
        runstate: domain.runstate,
        host: this.#o.monitor.uuid,
        ...(this.#o.monitor.isPausedByIoError(uuid) && { reason: "io_error" }),
      },
      stats: { ...domain.stats, oplog: { items: operations } },
      ts: domain.ts,
    };
  }

  named(name: string): readonly string[] {
    const domains = Array.from(this.#o.monitor.domains());
    return domains.filter(({ xml }) => xml !== undefined && libvirtName(xml) === name).map(({ uuid }) =>
      uuid
    );
  }

  async update(
    uuid: string,
    { vmdef, deletestorage, duplicateName }: VmUpdateOptions & DefinitionPermissions,
    control?: OperationControl,
    precondition?: Precondition,
  ): Promise<ChangeOutcome> {
    const { monitor, log, clock } = this.#o;
    return await this.#onStorage(uuid, "update", async () => {
      const started = clock();
      const domain = await this.#require(uuid, "update", OFF);
      await this.#holders.requireIdle(uuid, "update");
      await this.#requireTag(uuid, precondition, "update");
      const { xml, secretXml } = await this.#editable(domain);
      const { def: old } = parseDomainXml(xml);
      requireValidChange(vmdef, old);
      using claim = this.#claims.take(uuid, vmdef, old);
      const tag = `${uuid}.${started}`;
      const checked = await this.#checker.check({
        vm: uuid,
        def: vmdef,
        old,
        tag,
        taken: claim.issues,
        duplicateName,
      });
      requireNone(checked.obstacles, `change VM "${old.name}"`);
      const { plan } = checked;
      const { remove, kept: keptDisks } = await this.#deletable(uuid, deletestorage ? plan.dropped : []);
      const edited = (before: string) => editDomainXml(before, plan.def, monitor.context(plan.def.firmware));
      const outcome = await this.#changes.apply({
        op: "update",
        vm: uuid,
        oldXml: xml,
        newXml: edited(xml),
        ...(secretXml !== undefined && { secret: { oldXml: secretXml, newXml: edited(secretXml) } }),
        provision: plan.provision,
        remove,
        confirm: async () =>
          requireNone(await this.#checker.taken(uuid, vmdef, old, plan), `change VM "${old.name}"`),
      }, control);
      await this.#refresh(uuid);
      log.info("VM updated", { vm: uuid, name: vmdef.name, ms: clock() - started });
      const kept = new Set(allDisks(vmdef).map(({ path }) => path));
      const dropped = allDisks(old).filter(({ path }) => !kept.has(path));
      return withWarning(withWarning(outcome, keptDisks), deletestorage ? unwiped(dropped) : undefined);
    }, { signal: control?.signal });
  }

  async delete(
    uuid: string,
    { deletestorage, now }: VmDeleteOptions,
    precondition?: Precondition,
  ): Promise<ChangeOutcome> {
    const { log, clock } = this.#o;
    return await this.#onStorage(uuid, "delete", async () => {
      const started = clock();
      const domain = await this.#require(uuid, "delete", OFF);
      await this.#holders.requireIdle(uuid, "delete");
      await this.#requireTag(uuid, precondition, "delete");
      await this.#endCrashed(domain);
      const { def } = readable(domain, "delete");
      const own = deletestorage ? allDisks(def).filter(ownsStorage) : [];
      const { remove, kept } = await this.#deletable(uuid, own);
      const outcome = await this.#changes.apply({
        op: "delete",
        vm: uuid,
        oldXml: domain.xml,
        newXml: undefined,
        provision: [],
        remove: deletestorage ? new Map([...remove, ...await this.#ownVariables(domain)]) : new Map(),
        removeNow: now === true,
        keepsFirmware: !deletestorage,
      });
      await this.#refresh(uuid);
      log.info("VM deleted", { vm: uuid, name: def.name, storage: deletestorage, ms: clock() - started });
      return withWarning(withWarning(outcome, kept), deletestorage ? unwiped(allDisks(def)) : undefined);
    });
  }

  async boot(uuid: string, options: VmBootOptions): Promise<void> {
    await this.#requireStorageToBoot(uuid, options);
    await this.#operate("VmBoot", uuid, "start", OFF, async (domain) => {
      await this.#endCrashed(domain);
      if (domain.xml.includes(variablesPath(uuid))) await this.#o.storage.variables.prepare();
      await this.#holders.requireIdle(uuid, "start");
      await this.#secureDisks(domain, "start");
      await this.#seed.around(domain, options, () => this.#start(domain));
    });
  }

  async #start({ uuid, xml }: DefinedDomain): Promise<void> {
    try {
      await this.#o.hypervisor.start(uuid);
    } catch (error) {
      throw explainLease(error, xml);
    }
  }

  async shutdown(uuid: string, { force }: VmShutdownOptions): Promise<void> {
    const { hypervisor } = this.#o;
    if (force !== 0) return await this.#powerOff(uuid, force === 1);
    await this.#operate("VmShutdown", uuid, "stop", [Runstate.running], () => hypervisor.shutdown(uuid));
  }

  async pause(uuid: string): Promise<void> {
    await this.#operate("VmPause", uuid, "pause", [Runstate.running], () => this.#o.hypervisor.suspend(uuid));
  }

  async resume(uuid: string): Promise<void> {
    const { hypervisor } = this.#o;
    await this.#operate("VmResume", uuid, "resume", [Runstate.paused], async () => {
      const before = await hypervisor.state(uuid);
      await hypervisor.resume(uuid);
      if (isPausedByIoError(before.state, before.reason)) await this.#requireGoingOn(uuid);
    });
  }

  /** A guest whose disk is still full or broken is paused again by its next write. */
  async #requireGoingOn(uuid: string): Promise<void> {
    for (let looks = GOING_ON_LOOKS; looks > 0; looks--) {
      await delay(GOING_ON_LOOK_MS);
      const { state, reason } = await this.#o.hypervisor.state(uuid);
      if (!isPausedByIoError(state, reason)) continue;
      const why = "it was paused again by an I/O error: is its storage full, or away?";
      throw new VirtxError("conflict", `Cannot resume VM "${this.#nameOf(uuid)}": ${why}`);
    }
  }

  async register(uuid: string): Promise<"refreshed" | "defined" | "locked"> {
    const { registry, log } = this.#o;
    return await this.#onStorage(uuid, "register", async () => {
      const xml = await this.#definition(uuid);
      if (xml !== undefined) {
        await this.#holders.insist(uuid, "register");
        await registry.write(uuid, xml);
        log.info("registry refreshed from libvirt", { vm: uuid });
        return "refreshed";
      }
      const recorded = await registry.everywhere(uuid);
      const chosen = await this.#registered(uuid, recorded);
      this.#shared.require(chosen.xml, { vm: uuid, from: "registry" });
      await this.#takeOver(uuid, chosen.xml, recorded.map(({ host }) => host));
      await this.#refresh(uuid);
      if (chosen.host !== this.#o.monitor.uuid) await this.#moveHere(chosen);
      const locked = lockedScreensWarning(uuid, chosen.xml);
      log.info("VM defined from the registry", { vm: uuid, file: chosen.file, warning: locked });
      return locked === undefined ? "defined" : "locked";
    });
  }

  /**
   * The definition that the registry has of a VM: this host's own; else that of the only other host that has one, or of the one
   * that holds the VM.
   * @throws VirtxError not_found; conflict: several hosts have one
   */
  async #registered(uuid: string, recorded: readonly RecordedDefinition[]): Promise<RecordedDefinition> {
    const own = recorded.find(({ host }) => host === this.#o.monitor.uuid);
    const [first, ...others] = recorded;
    if (own !== undefined || first === undefined || others.length === 0) {
      const only = own ?? first;
      if (only === undefined) throw unknownVm(uuid, "register");
      return only;
    }
    const holder = (await this.#o.vmRecords.read(uuid))?.value?.host;
    const held = recorded.find(({ host }) => host === holder);
    if (held !== undefined) return held;
    throw new VirtxError(
      "conflict",
      `Cannot register VM ${uuid}: several hosts have registered it: ${
        recorded.map(({ file }) => file).join(", ")
      }; remove those that are not to be used`,
    );
  }

  /** Takes the file along of a VM that another host had registered. That it stays there as well is no reason to fail. */
  async #moveHere({ host, vm }: RecordedDefinition): Promise<void> {
    try {
      await this.#o.registry.takeFrom(host, vm);
    } catch (error) {
      logFailure(this.#o.log, "warn", "cannot move a VM's file out of another host's registry", error, {
        vm,
        from: host,
      });
    }
  }

  /**
   * Defines a VM that the registry has, once this host holds it and its disks; else nothing has changed.
   * @param hosts those that have registered it
   */
  async #takeOver(uuid: string, xml: string, hosts: readonly string[]): Promise<void> {
    const { hypervisor } = this.#o;
    const held = await this.#holders.take(uuid, "register", hosts);
    const taking = newUuid();
    const disks = disksOf(xml) ?? [];
    try {
      await this.#owners.take(uuid, disks, taking);
      await hypervisor.define(xml);
      if (await this.#holders.holds(uuid)) return;
      // It took so long that another host could not know that this one was about to.
      await hypervisor.undefine(uuid, { keepVariables: true, keepTpm: true });
      throw new VirtxError("conflict", "another host has taken it meanwhile; try again");
    } catch (error) {
      await this.#owners.release(uuid, disks, taking);
      await held.giveBack();
      throw VirtxError.wrap(error, `Cannot register VM ${uuid}`);
    }
  }

  /** Those of the files that a VM has, here or elsewhere, each with whose it is, in words. */
  async diskUsers(paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return await this.#owners.users(paths, "");
  }

  /** Ends what stopped half-way of a VM, be it there or not. @throws VirtxError why that cannot be yet */
  async settle(uuid: string): Promise<void> {
    const verb = "settle what is half done with";
    await this.#exclusively(uuid, verb, () => this.#settled(uuid, verb));
  }

  /**
   * Defines a VM again that was deleted, by the definition that it had; its disks are there.
   * @param secretXml the same with its passwords, if they are known
   * @throws VirtxError invalid, conflict, storage: what stands against it here
   */
  async redefine(uuid: string, xml: string, secretXml?: string): Promise<void> {
    this.#shared.require(xml, { vm: uuid, from: "trash" });
    const { def } = parseDomainXml(xml);
    const verb = `define VM "${def.name}" again`;
    await this.#exclusively(uuid, verb, async () => {
      if (await this.#definition(uuid) !== undefined) {
        throw new VirtxError("conflict", `Cannot ${verb}: it is there`);
      }
      using claim = this.#claims.take(uuid, def);
      const checked = await this.#checker.check({
        vm: uuid,
        def,
        old: undefined,
        tag: uuid,
        taken: claim.issues,
        duplicateName: true,
      });
      requireNone(checked.obstacles, verb);
      await this.#changes.apply({
        op: "create",
        vm: uuid,
        oldXml: undefined,
        newXml: xml,
        ...(secretXml !== undefined && { secret: { newXml: secretXml } }),
        provision: [],
        remove: new Map(),
        confirm: async () => requireNone(await this.#checker.taken(uuid, def, undefined, checked.plan), verb),
      });
      await this.#refresh(uuid);
      this.#o.log.info("VM defined again", { vm: uuid, name: def.name });
    });
  }

  async migrate(
    uuid: string,
    options: VmMigrateOptions,
    control?: OperationControl,
  ): Promise<BegunMigration> {
    const { monitor, clock } = this.#o;
    return await this.#onStorage(uuid, "migrate", async () => {
      const domain = await this.#require(uuid, "migrate", migratable(options));
      const { def: { name } } = readable(domain, "migrate");
      const isLive = options.migration_type === MigrationType.live;
      await (isLive ? this.#holders.require(uuid, "migrate") : this.#holders.requireIdle(uuid, "migrate"));
      await this.#secureDisks(domain, "migrate");
      const { target, unlocked, autostart } = await this.#planner.plan(
        uuid,
        domain.xml,
        options,
        `migrate VM "${name}"`,
      );
      unlessCancelled(control, `Cannot migrate VM "${name}"`);
      // What was true before may have changed while hosts were asked.
      const now = await this.#require(uuid, "migrate", migratable(options));
      await this.#endCrashed(now);
      if (this.#powerOffs.isUnderWay(uuid)) {
        throw new VirtxError("conflict", `Cannot migrate VM "${name}": it is being powered off`);
      }
      if (options.migration_type === MigrationType.cold) await this.#variables.share(uuid);
      this.#departing.add(uuid);
      try {
        await this.#migrations.begin({
          vm: uuid,
          source: monitor.uuid,
          target,
          running: now.runstate === Runstate.running,
          held: unlocked,
          startedAt: clock(),
          options: { ...options, host: target },
        }, { autostart });
      } finally {
        this.#departing.delete(uuid);
      }
      const ended = this.#attend(uuid, control);
      ended.catch(() => {}); // its end is recorded, whether or not somebody waits for it
      return { ended };
    }, { signal: control?.signal });
  }

  async migrationTargets(uuid: string, options: VmMigrateOptions): Promise<readonly MigrationVerdict[]> {
    const domain = await this.#require(uuid, "migrate", migratable(options));
    readable(domain, "migrate");
    await this.#requireStorage(this.#what(uuid, "migrate"));
    return await this.#planner.verdicts(uuid, domain.xml, options);
  }

  async migration(uuid: string): Promise<MigrationInfo> {
    const domain = this.#local(uuid, "get the migration of");
    const known = this.#migrations.info(uuid);
    if (known !== undefined) return known;
    const { hypervisor, monitor, inventory } = this.#o;
    const xml = domain.xml ?? await this.#learned(uuid, "get the migration of");
    const record = operationsOf(xml).find(({ op }) => op === "VmMigrate");
    const arrived = record && record.status !== "failed" && ACTIVE.some((state) => state === domain.runstate);
    const job = arrived ? await hypervisor.completedJob(uuid) : undefined;
    const isLeaving = (host: string) => inventory.claimsOf(host).get(uuid)?.runstate === Runstate.migrating;
    return lastMigration(record, { here: monitor.uuid, job, isLeaving });
  }

  async abortMigration(uuid: string): Promise<void> {
    this.#local(uuid, "abort the migration of");
    await this.#migrations.abort(uuid);
  }

  async checkTarget(request: TargetCheck): Promise<MigrationVerdict> {
    return await this.#target.check(request);
  }

  async lookAt(uuid: string): Promise<DomainLook> {
    return await this.#target.look(uuid);
  }

  async resumeArrived(uuid: string): Promise<void> {
    await this.#exclusively(uuid, "resume", () => this.#target.resume(uuid));
  }

  async discardLeftover(uuid: string): Promise<void> {
    await this.#exclusively(uuid, "discard", () => this.#target.discard(uuid));
  }

  /** Stays with a migration until it has ended, and aborts it when that is wanted. */
  async #attend(vm: string, control: OperationControl | undefined): Promise<{ host: string }> {
    const migration = this.#migrations.ended(vm);
    const name = this.#o.inventory.vm(vm)?.name ?? vm;
    // Why an abort is not possible is told by how the migration ends.
    const abort = () => {
      this.#migrations.abort(vm).catch(unlessDefect(this.#o.log, "cannot abort a migration", { vm }));
    };
    control?.follow(() => remainder(this.#migrations.info(vm)));
    control?.signal.addEventListener("abort", abort, { once: true });
    if (control?.signal.aborted) abort();
    const { state, target, reason } = await migration;
    if (state === MigrationState.completed) return { host: target };
    const kind = state === MigrationState.cancelled ? "cancelled" : "refused";
    throw new VirtxError(kind, `Cannot migrate VM "${name}": ${reason}`);
  }

  /** An operation on the guest of one VM: checked against libvirt's own state, recorded, published. */
  async #operate(
    op: RecordedOperation,
    uuid: string,
    verb: string,
    allowed: readonly Runstate[],
    work: (domain: DefinedDomain) => Promise<void>,
  ): Promise<void> {
    await this.#exclusively(uuid, verb, async () => {
      if (allowed === OFF) await this.#settled(uuid, verb);
      const domain = await this.#require(uuid, verb, allowed);
      try {
        await this.#oplog.around(op, uuid, () => work(domain));
      } finally {
        await this.#published(uuid);
      }
    }, { onGuest: true });
  }

  /** Ends the guest, whatever else is done with it. */
  async #powerOff(uuid: string, graceful: boolean): Promise<void> {
    const verb = graceful ? "stop" : "kill";
    this.#requireService(this.#what(uuid, verb));
    const { runstate } = this.#local(uuid, verb);
    const check = (found: Runstate) => this.#requireState(uuid, verb, found, ACTIVE);
    await this.#counted(this.#powerOffs.run(uuid, { graceful, runstate, check }));
  }

  /** Runs a task that changes something on the storage, or tells whether it could, when nothing else is done with the VM. */
  async #onStorage<T>(
    uuid: string,
    verb: string,
    task: () => Promise<T>,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    return await this.#exclusively(uuid, verb, async () => {
      await this.#requireStorage(this.#what(uuid, verb));
      await this.#settled(uuid, verb);
      return await task();
    }, options);
  }

  /** Runs the task when nothing else is done with the VM. */
  async #exclusively<T>(
    uuid: string,
    verb: string,
    task: () => Promise<T>,
    options: { readonly onGuest?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    const what = this.#what(uuid, verb);
    this.#requireService(what);
    try {
      this.#o.hypervisor.requireAnswers(uuid);
    } catch (error) {
      throw VirtxError.wrap(error, `Cannot ${what}`);
    }
    try {
      return await this.#counted(this.#turns.run(uuid, task, { ...options, what }));
    } finally {
      if (this.#changes.unsettled) this.#settleLater();
    }
  }

  /** @throws VirtxError unavailable, when nothing can be done with any VM now */
  #requireService(what: string): void {
    const { monitor, inventory, hypervisor } = this.#o;
    const here = `host "${inventory.host(monitor.uuid)?.def.name ?? monitor.uuid}"`;
    if (this.#closing) {
      throw new VirtxError("unavailable", `Cannot ${what}: virtxd is stopping on ${here}`, {
        retryAfterS: 10,
      });
    }
    if (!hypervisor.connected) {
      const why = `libvirt is away on ${here}; systemctl status libvirtd there may tell why`;
      throw new VirtxError("unavailable", `Cannot ${what}: ${why}`, { retryAfterS: 5 });
    }
  }

  /** What is to be done with which VM, by its name. */
  #what(uuid: string, verb: string): string {
    return verb.includes("VM") ? verb : `${verb} VM "${this.#nameOf(uuid)}"`;
  }

  /** Counts the work among what a shutdown waits for. */
  async #counted<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }

  #nameOf(uuid: string): string {
    return this.#o.inventory.vm(uuid)?.name ?? uuid;
  }

  #local(uuid: string, verb: string): LocalDomain {
    const domain = this.#o.monitor.domain(uuid);
    if (domain !== undefined) return domain;
    if (!this.#isUndefined(uuid)) throw unknownVm(uuid, verb);
    throw new VirtxError(
      "conflict",
      `Cannot ${this.#what(uuid, verb)}: libvirt does not have it, only its file in the registry is left; ` +
        `virtx vm register ${uuid} defines it again`,
    );
  }

  /** Whether a VM is shown as this host's that only the registry has. */
  #isUndefined(uuid: string): boolean {
    const { monitor, inventory } = this.#o;
    return monitor.domain(uuid) === undefined && inventory.claimsOf(monitor.uuid).has(uuid);
  }

  /** This host's VM, if libvirt says right now that it is in one of these states. */
  async #require(uuid: string, verb: string, allowed: readonly Runstate[]): Promise<DefinedDomain> {
    const domain = this.#local(uuid, verb);
    const runstate = await this.#runstate(uuid);
    this.#requireState(uuid, verb, runstate, allowed);
    return { ...domain, xml: domain.xml ?? await this.#learned(uuid, verb), runstate };
  }

  /** The definition of a VM whose libvirt did not tell it before. @throws VirtxError why it still does not */
  async #learned(uuid: string, verb: string): Promise<string> {
    let domain: LocalDomain | undefined;
    try {
      domain = await this.#o.monitor.refresh(uuid);
    } catch (error) {
      throw VirtxError.wrap(error, `Cannot ${this.#what(uuid, verb)}`);
    }
    if (domain?.xml === undefined) throw unknownVm(uuid, verb);
    return domain.xml;
  }

  /** Why libvirt does not tell a definition, as far as that is known at once. */
  #whyUntold(uuid: string): string {
    const what = "libvirt does not tell it now";
    try {
      this.#o.hypervisor.requireAnswers(uuid);
      return `${what}; try again when the VM's migration or other work has ended`;
    } catch (error) {
      if (error instanceof VirtxError) return `${what}: ${error.message}`;
      throw error;
    }
  }

  /** By what libvirt has now, whoever has changed it. */
  async #requireTag(uuid: string, precondition: Precondition, verb: string): Promise<void> {
    if (precondition === undefined) return;
    requireTag(showDomain(uuid, await this.#o.hypervisor.definition(uuid)).def, precondition, verb);
  }

  #requireState(uuid: string, verb: string, runstate: Runstate, allowed: readonly Runstate[]): void {
    if (allowed.includes(runstate)) return;
    throw new VirtxError(
      "conflict",
      `Cannot ${verb} VM "${this.#nameOf(uuid)}": it is ${stateName(runstate)}, not ${
        allowed.map(stateName).join(" or ")
      }${firstStep(verb, runstate, allowed)}`,
    );
  }

  async #runstate(uuid: string): Promise<Runstate> {
    if (this.#migrations.isUnderWay(uuid)) return Runstate.migrating;
    const { state, reason } = await this.#o.hypervisor.state(uuid);
    return runstateOf(state, reason);
  }

  /** A guest whose disks are on storage that hangs would hang as well, and libvirt with it. */
  async #requireStorageToBoot(uuid: string, { cloud_init }: VmBootOptions): Promise<void> {
    const { xml, summary } = this.#local(uuid, "start");
    const needsIt = xml === undefined || cloud_init.length > 0 ||
      allDisks(showDomain(uuid, xml).def).some(({ path }) => isBelow(path, IMAGES_ROOT));
    if (needsIt) await this.#requireStorage(`start VM "${summary.name}"`);
  }

  /** @throws VirtxError unavailable, when nothing can be changed that is on the storage */
  async #requireStorage(what: string): Promise<void> {
    const refusal = await this.#o.storage.refusal();
    if (refusal !== undefined) throw VirtxError.wrap(refusal, `Cannot ${what}`);
  }

  #requireHere(verb: string, host: string): void {
    if (host !== "" && host !== this.#o.monitor.uuid) throw inactiveHost(verb, host);
  }

  /** A guest that crashed may still have its QEMU process; nothing but ending it can follow. */
  async #endCrashed(domain: LocalDomain): Promise<void> {
    if (domain.runstate !== Runstate.crashed || !await this.#o.hypervisor.isActive(domain.uuid)) return;
    await this.#o.hypervisor.destroy(domain.uuid, { graceful: false });
  }

  /** Records that the VM's disks are its own. @throws VirtxError conflict, if one is another's */
  async #secureDisks({ uuid, xml }: LocalDomain, verb: string): Promise<void> {
    try {
      await this.#owners.take(uuid, disksOf(xml ?? await this.#o.hypervisor.definition(uuid)) ?? []);
    } catch (error) {
      throw VirtxError.wrap(error, `Cannot ${verb} VM "${this.#nameOf(uuid)}"`);
    }
  }

  /**
   * Those disks that no other VM uses, of this host or of another, with which files they are now (undefined: none); and which
   * are kept, and why, in words (undefined: none).
   * @throws VirtxError conflict: another host holds the lease of one
   */
  async #deletable(
    uuid: string,
    disks: readonly Disk[],
  ): Promise<{
    readonly remove: ReadonlyMap<string, FileMark | undefined>;
    readonly kept: string | undefined;
  }> {
    const { log, storage } = this.#o;
    const paths = disks.map((disk) => disk.path);
    const others = await this.#owners.secure(uuid, paths);
    const remove = new Map<string, FileMark | undefined>();
    const kept: string[] = [];
    for (const path of paths) {
      const user = others.get(path);
      if (user !== undefined) {
        log.warn("keeping a disk that another VM uses", { vm: uuid, path, user });
        kept.push(`disk "${path}" is kept: it is one of ${user}`);
        continue;
      }
      try {
        await storage.leases.requireFree(path);
        remove.set(path, await storage.mark(path));
      } catch (error) {
        if (!isInvalid(error)) throw error;
        logFailure(log, "warn", "keeping a disk that is no file", error, { vm: uuid, path });
        kept.push(`disk "${path}" is kept: ${errorMessage(error)}`);
      }
    }
    return { remove, kept: kept.length === 0 ? undefined : kept.join("; ") };
  }

  /** The UEFI variables of a VM, if they are on shared storage and its own, as {@link #deletable} has disks. */
  async #ownVariables({ uuid, xml }: DefinedDomain): Promise<ReadonlyMap<string, FileMark | undefined>> {
    const path = variablesPath(uuid);
    return new Map(variablesFile(xml) === path ? [[path, await this.#o.storage.mark(path)]] : []);
  }

  /** The definition with the sizes that its images have; a size that cannot be told now is 0. */
  async #sized(def: Vmdef): Promise<Vmdef> {
    const sized = async (disk: Disk): Promise<Disk> => {
      let { size } = disk;
      const looked = this.#o.storage.inspect(disk).then(({ sizeMiB }) => {
        size = sizeMiB;
      }).catch((error) => {
        logFailure(this.#o.log, "debug", "cannot inspect disk", error, { path: disk.path });
      });
      await within(SIZE_TIMEOUT_MS, looked);
      return { ...disk, size };
    };
    const [osdisk, ...disks] = await Promise.all(allDisks(def).map(sized));
    return { ...def, osdisk: osdisk ?? def.osdisk, disks };
  }

  /**
   * The definition as libvirt has it now, whoever has changed it meanwhile; and, if it has passwords, with them, which is kept on
   * this host alone.
   */
  async #editable({ uuid }: LocalDomain): Promise<{ xml: string; secretXml: string | undefined }> {
    const full = await this.#o.hypervisor.definitionWithSecrets(uuid);
    const { flaw, summary } = readDefinition(full, uuid);
    const xml = withholdSecrets(full);
    if (flaw !== undefined || xml === undefined) throw unreadable(summary.name, "update", flaw ?? "");
    return { xml, secretXml: xml === full ? undefined : full };
  }

  async #definition(uuid: string): Promise<string | undefined> {
    try {
      return await this.#o.hypervisor.definition(uuid);
    } catch (error) {
      if (error instanceof VirtxError && error.kind === "not_found") return undefined;
      throw error;
    }
  }

  /** Shows what changed in the inventory at once, so that who asked reads their own write. */
  async #refresh(uuid: string): Promise<LocalDomain | undefined> {
    try {
      return await this.#o.monitor.refresh(uuid);
    } catch (error) {
      logFailure(this.#o.log, "warn", "cannot refresh VM", error, { vm: uuid });
      return undefined;
    }
  }

  /** Refreshes the inventory after an operation, whose record is part of the definition, and has the registry follow. */
  async #published(uuid: string): Promise<void> {
    const domain = await this.#refresh(uuid);
    if (domain?.xml !== undefined) this.#keeper.record(uuid, domain.xml);
  }

  /** Sees to it that no change of a VM is half done. @throws VirtxError why one is */
  async #settled(uuid: string, verb: string): Promise<void> {
    try {
      if (await this.#changes.settle(uuid)) await this.#refresh(uuid);
    } catch (error) {
      throw VirtxError.wrap(error, `Cannot ${this.#what(uuid, verb)}`);
    }
  }

  async #settle(): Promise<void> {
    await this.#changes.settleAll((vm, task) =>
      this.#locks.run(vm, async () => {
        await task();
        await this.#refresh(vm);
      })
    );
    if (this.#changes.unsettled) this.#settleLater();
  }

  /** Where the storage is not there, its journal seems to be empty. */
  async #settleNow(): Promise<void> {
    await this.#requireStorage("settle what is half done");
    await this.#settle();
  }

  #settleLater(): void {
    if (this.#closing || this.#settleTimer !== undefined) return;
    this.#settleTimer = setTimeout(() => {
      this.#settleTimer = undefined;
      this.#settleNow().catch((error) => {
        const isAway = error instanceof VirtxError && error.kind === "unavailable"; // told once, elsewhere
        logFailure(this.#o.log, isAway ? "debug" : "warn", "cannot read the journal", error);
        this.#settleLater();
      });
    }, SETTLE_RETRY_MS);
  }
}

function migratable({ migration_type }: VmMigrateOptions): readonly Runstate[] {
  return migration_type === MigrationType.live ? [Runstate.running, Runstate.paused] : OFF;
}

/** What makes of the state that a VM is in one that is wanted. */
function firstStep(verb: string, runstate: Runstate, allowed: readonly Runstate[]): string {
  if (runstate === Runstate.migrating) return "; wait for its migration to end, or abort it";
  if (allowed.includes(Runstate.poweroff)) return "; stop it first";
  const isOff = runstate === Runstate.poweroff || runstate === Runstate.crashed;
  if (allowed.length !== 1 || !allowed.includes(Runstate.running)) return "";
  if (isOff) return verb === "stop" ? "" : "; start it first";
  return runstate === Runstate.paused && verb !== "pause" ? "; resume it first, or do it by force" : "";
}

function stateName(runstate: Runstate): string {
  return enumName(Runstate, runstate);
}

/** What can be told of a VM's definition. */
function shown({ uuid, xml, summary: { name, vcpus }, stats }: LocalDomain): ParsedDomain {
  return xml === undefined
    ? outline({ uuid, name, vcpus, memoryMiB: stats.memory_capacity })
    : showDomain(uuid, xml);
}

/** What a VM's definition says, for an operation that cannot do without it. */
function readable({ uuid, xml }: DefinedDomain, verb: string): ParsedDomain {
  try {
    return parseDomainXml(xml);
  } catch (error) {
    if (!(error instanceof VirtxError)) throw error;
    throw unreadable(showDomain(uuid, xml).def.name, verb, error.message);
  }
}

function unreadable(name: string, verb: string, flaw: string): VirtxError {
  return new VirtxError("conflict", `Cannot ${verb} VM "${name}": its definition cannot be read: ${flaw}`);
}

function unknownVm(uuid: string, verb: string): VirtxError {
  return new VirtxError("not_found", `Cannot ${verb} VM ${uuid}: there is no such VM`);
}

function inactiveHost(verb: string, host: string): VirtxError {
  return new VirtxError(
    "unavailable",
    `Cannot ${verb}: host ${host} is not known or not active; GET /hosts has all`,
  );
}
