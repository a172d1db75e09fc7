import type {
  DefinitionPermissions,
  DefinitionVerdict,
  MigrationInfo,
  MigrationVerdict,
  Vm,
  VmBootOptions,
  VmCreateOptions,
  VmDeleteOptions,
  VmMigrateOptions,
  VmShutdownOptions,
  VmUpdateOptions,
} from "../model/vm.ts";
import type { Precondition } from "./definition_tag.ts";
import type { DomainLook, TargetCheck } from "./migration_exchange.ts";
import type { OperationControl } from "./operation_course.ts";

/** What a change to a VM left of its storage. */
export interface ChangeOutcome {
  /** Why some storage could not be removed; undefined: all is as asked. */
  readonly warning?: string;
  /** Where what was deleted waits, and until when (UTC milliseconds); undefined: nothing does. */
  readonly trash?: { readonly id: string; readonly until: number };
}

/** A migration that goes on. */
export interface BegunMigration {
  /** The host that has the VM when it is over; throws why it is still this one, cancelled if somebody wanted that. */
  readonly ended: Promise<{ readonly host: string }>;
}

/**
 * What can be done with the VMs of this host: interop.md §1, one method per operation. Each resolves only when it
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
  /** What {@link create} would come to; nothing is done. */
  checkCreate(options: VmCreateOptions & DefinitionPermissions): Promise<DefinitionVerdict>;
  /** What {@link update} would come to; nothing is done. */
  checkUpdate(
    uuid: string,
    options: VmUpdateOptions & DefinitionPermissions,
    precondition?: Precondition,
  ): Promise<DefinitionVerdict>;
  get(uuid: string): Promise<Vm>;
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
  /** Refreshes the registry from libvirt, or defines in libvirt what only the registry has. */
  register(uuid: string): Promise<"refreshed" | "defined">;
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
