import type {
  DefinitionPermissions,
  DefinitionVerdict,
  ImportVerdict,
  MigrationInfo,
  MigrationVerdict,
  Vm,
  VmBootOptions,
  VmCreateOptions,
  VmDeleteOptions,
  VmImportOptions,
  VmMigrateOptions,
  VmShutdownOptions,
  VmUpdateOptions,
} from "../model/vm.ts";
import type { TrashedState } from "../storage/trash_entries.ts";
import type { Precondition } from "./definition_tag.ts";
import type { DomainLook, TargetCheck } from "./migration_exchange.ts";
import type { OperationControl } from "./operation_course.ts";

/** What can be told of hosts that are away and of their VMs, and how an administrator has the cluster forget one. */
export interface HostUseCases {
  /** Why VMs may be registered that this host does not know yet; undefined: it knows them all. */
  readonly unsure: string | undefined;
  /** Whether the host of a VM is away, so that only the registry can tell of the VM. */
  hasAway(vm: string): boolean;
  /**
   * Such a VM, as its host has registered it.
   * @throws VirtxError not_found, storage, unavailable
   */
  getAway(vm: string): Promise<Vm>;
  /**
   * Takes a host that is away out of the inventory, until it is there again; again is fine.
   * @param options force: also if VMs are registered there, whose files stay
   * @throws VirtxError not_found; conflict: it is active, or has VMs; storage, unavailable
   */
  remove(host: string, options: { readonly force: boolean }): Promise<void>;
}

/** What a change to a VM left of its storage. */
export interface ChangeOutcome {
  /** What is not as asked, such as storage that could not be removed; undefined: all is. */
  readonly warning?: string;
  /** Where what was deleted waits, and until when (UTC milliseconds); undefined: nothing does. */
  readonly trash?: { readonly id: string; readonly until: number };
}

/** The outcome, with one more thing to be said of it. */
export function withWarning(outcome: ChangeOutcome, message: string | undefined): ChangeOutcome {
  if (message === undefined) return outcome;
  return { ...outcome, warning: outcome.warning === undefined ? message : `${outcome.warning}; ${message}` };
}

/** A migration that goes on. */
export interface BegunMigration {
  /** The host that has the VM when it is over; throws why it is still this one, cancelled if somebody wanted that. */
  readonly ended: Promise<{ readonly host: string }>;
}

/**
 * What can be done with the VMs of this host: protocol.md §1, one method per operation. Each resolves only when it
 * is done (a shutdown by ACPI: when the guest was asked) and throws a VirtxError when it is not; then nothing has changed.
 * A client that goes away does not stop a change half-way; only who asks for that does, by the control.
 */
export interface VmUseCases {
  /**
   * Provisions, defines and registers a VM; its UUID.
   * @param uuid the one that it is to have, which must be new; left out: one is made
   */
  create(
    options: VmCreateOptions & DefinitionPermissions,
    uuid?: string,
    control?: OperationControl,
  ): Promise<string>;
  /**
   * Makes a VM of another tool one of the cluster, see Imports; its UUID.
   * @param uuid of the VM: see importedUuid
   */
  import(options: VmImportOptions, uuid: string, control?: OperationControl): Promise<string>;
  /** What {@link import} would come to; nothing is done. */
  checkImport(options: VmImportOptions, uuid: string): Promise<ImportVerdict>;
  /** What {@link create} would come to; nothing is done. */
  checkCreate(options: VmCreateOptions & DefinitionPermissions): Promise<DefinitionVerdict>;
  /** What {@link update} would come to; nothing is done. */
  checkUpdate(
    uuid: string,
    options: VmUpdateOptions & DefinitionPermissions,
    precondition?: Precondition,
  ): Promise<DefinitionVerdict>;
  get(uuid: string): Promise<Vm>;
  /** The VMs of this host that libvirt calls so, from memory. */
  named(libvirtName: string): readonly string[];
  /** Needs POWEROFF or CRASHED, and a definition that meets the precondition (`stale`). */
  update(
    uuid: string,
    options: VmUpdateOptions & DefinitionPermissions,
    control?: OperationControl,
    precondition?: Precondition,
  ): Promise<ChangeOutcome>;
  /** As {@link update}. */
  delete(uuid: string, options: VmDeleteOptions, precondition?: Precondition): Promise<ChangeOutcome>;
  boot(uuid: string, options: VmBootOptions): Promise<void>;
  shutdown(uuid: string, options: VmShutdownOptions): Promise<void>;
  pause(uuid: string): Promise<void>;
  resume(uuid: string): Promise<void>;
  /**
   * Refreshes the registry from libvirt, or defines in libvirt what only the registry has. Locked: the same, and its screens let
   * nobody in, as their passwords are not in the registry.
   */
  register(uuid: string): Promise<"refreshed" | "defined" | "locked">;
  /**
   * Begins a migration, once the target has been found able to take the VM; it goes on when this has resolved. Live needs
   * RUNNING or PAUSED, cold POWEROFF or CRASHED.
   */
  migrate(uuid: string, options: VmMigrateOptions, control?: OperationControl): Promise<BegunMigration>;
  /** What each host that could be the target says, the best one first. */
  migrationTargets(uuid: string, options: VmMigrateOptions): Promise<readonly MigrationVerdict[]>;
  /** The migration that is under way, else the last one. */
  migration(uuid: string): Promise<MigrationInfo>;
  /** Resolves when it has ended, and the VM is where it was. */
  abortMigration(uuid: string): Promise<void>;
}

/** What other hosts may ask of this one about migrations that lead to it; see MigrationPeers. */
export interface MigrationTargetUseCases {
  /** Whether this host can take a VM, with all that is in the way. */
  checkTarget(request: TargetCheck): Promise<MigrationVerdict>;
  /** What this host's libvirt has of a VM at this moment. */
  lookAt(uuid: string): Promise<DomainLook>;
  /** Resumes a VM that waits here, paused, after a migration; one that runs already is fine. */
  resumeArrived(uuid: string): Promise<void>;
  /**
   * Removes what a failed migration left of a VM here; nothing is fine.
   * @throws VirtxError conflict, if it runs here, or is no leftover
   */
  discardLeftover(uuid: string): Promise<void>;
}

/** What one change has deleted, as far as can be told. */
export interface TrashedVm {
  readonly id: string;
  /** UUIDs of the VM and of the host that deleted it, and the VM's name; empty: unknown. */
  readonly vm: string;
  readonly name: string;
  readonly host: string;
  /** UTC milliseconds by the storage's clock; 0: unknown. */
  readonly deleted: number;
  /** From when on it may be emptied. */
  readonly until: number;
  /** Whether the VM itself was deleted, rather than some of its disks. */
  readonly definition: boolean;
  /** MiB. */
  readonly size: number;
  readonly files: readonly { readonly path: string; readonly state: TrashedState }[];
  /** A host is at work on it. */
  readonly busy: boolean;
  /** Why not all of it can be told; empty: nothing is wrong. */
  readonly damage: string;
}

/** What came back. */
export interface RestoredVm {
  /** The UUID of the VM that is defined again; empty: none is. */
  readonly vm: string;
  readonly files: readonly string[];
  readonly warnings: readonly string[];
}

/** What is gone for good, by the ids, and what is left. */
export interface EmptiedTrash {
  readonly emptied: readonly string[];
  readonly left: readonly { readonly id: string; readonly reason: string }[];
}

/** What can be done with what was deleted; the trash is on the shared storage, so any host can. */
export interface TrashUseCases {
  /** How long this host keeps what is deleted on it; 0: not at all. */
  readonly hours: number;
  list(): Promise<readonly TrashedVm[]>;
  /** Puts all files back, or none, and defines the VM on this host if it was deleted and is nowhere. */
  restore(id: string): Promise<RestoredVm>;
  /** @param options force: also files that nobody meant to delete, and what cannot be read */
  empty(id: string, options: { readonly force?: boolean | undefined }): Promise<void>;
  /** Empties all that can be emptied without force. */
  emptyAll(): Promise<EmptiedTrash>;
}
