import type {
  MigrationInfo,
  Vm,
  VmBootOptions,
  VmCreateOptions,
  VmDeleteOptions,
  VmMigrateOptions,
  Vmruninfo,
  VmShutdownOptions,
  VmUpdateOptions,
} from "../model/vm.ts";

/** What a change to a VM's storage left undone although the change itself took effect. */
export interface ChangeOutcome {
  /** Why some storage could not be removed; undefined: all is as asked. */
  readonly warning?: string;
}

/**
 * What can be done with the VMs of this host: interop.md §1, one method per operation. Each resolves only when it
 * is done (a shutdown by ACPI: when the guest was asked) and throws a VirtxError when it is not; then nothing has changed.
 * None takes an AbortSignal: a client that goes away does not stop a change half-way.
 */
export interface VmUseCases {
  /** Provisions, defines and registers a VM; its new UUID. */
  create(options: VmCreateOptions): Promise<string>;
  get(uuid: string): Promise<Vm>;
  /** Needs POWEROFF or CRASHED. */
  update(uuid: string, options: VmUpdateOptions): Promise<ChangeOutcome>;
  /** Needs POWEROFF or CRASHED. */
  delete(uuid: string, options: VmDeleteOptions): Promise<ChangeOutcome>;
  /** From the inventory: any host's VM. */
  runstate(uuid: string): Vmruninfo;
  boot(uuid: string, options: VmBootOptions): Promise<void>;
  shutdown(uuid: string, options: VmShutdownOptions): Promise<void>;
  pause(uuid: string): Promise<void>;
  resume(uuid: string): Promise<void>;
  /** Refreshes the registry from libvirt, or defines in libvirt what only the registry has. */
  register(uuid: string): Promise<"refreshed" | "defined">;
  migrate(uuid: string, options: VmMigrateOptions): Promise<void>;
  migration(uuid: string): Promise<MigrationInfo>;
  abortMigration(uuid: string): Promise<void>;
}
