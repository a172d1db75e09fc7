/**
 * The enumerations of protocol.md §1, as the integers that travel in JSON and in gossip records.
 * Each is a constant object and a type of the same name: `Runstate.running` is 4, `Runstate` is 0 | 1 | … | 9.
 */

/** Cluster state of a host. */
export const HostState = { invalid: 0, active: 1, left: 2, failed: 3 } as const;
export type HostState = (typeof HostState)[keyof typeof HostState];

/** Run state of a VM. */
export const Runstate = {
  none: 0,
  deleted: 1,
  poweroff: 2,
  startup: 3,
  running: 4,
  paused: 5,
  migrating: 6,
  terminating: 7,
  pmsuspended: 8,
  crashed: 9,
} as const;
export type Runstate = (typeof Runstate)[keyof typeof Runstate];

/** What the guest sees a disk as. */
export const DiskDevice = { disk: 0, cdrom: 1, lun: 2 } as const;
export type DiskDevice = (typeof DiskDevice)[keyof typeof DiskDevice];

/** The bus that a disk is attached to; `scsi` is the lsilogic controller. */
export const DiskBus = { virtioBlk: 0, virtioScsi: 1, sata: 2, scsi: 3 } as const;
export type DiskBus = (typeof DiskBus)[keyof typeof DiskBus];

/** Whether virtxd creates and deletes the disk's storage. */
export const DiskManagement = { unmanaged: 0, managed: 1 } as const;
export type DiskManagement = (typeof DiskManagement)[keyof typeof DiskManagement];

/** How a disk's storage is (to be) provisioned; `none`: it exists already. */
export const DiskProvisioning = { none: 0, thin: 1, thick: 2 } as const;
export type DiskProvisioning = (typeof DiskProvisioning)[keyof typeof DiskProvisioning];

/** What a network interface connects to: a libvirt network or a host bridge. */
export const NetType = { network: 0, bridge: 1 } as const;
export type NetType = (typeof NetType)[keyof typeof NetType];

export const NetModel = { virtio: 0, e1000e: 1, e1000: 2 } as const;
export type NetModel = (typeof NetModel)[keyof typeof NetModel];

/** `bios` implies machine type pc, `uefi` q35. */
export const Firmware = { bios: 0, uefi: 1 } as const;
export type Firmware = (typeof Firmware)[keyof typeof Firmware];

export const MigrationType = { cold: 0, live: 1 } as const;
export type MigrationType = (typeof MigrationType)[keyof typeof MigrationType];

export const MigrationState = {
  none: 0,
  setup: 1,
  cancelling: 2,
  cancelled: 3,
  active: 4,
  preSwitchover: 5,
  device: 6,
  waitUnplug: 7,
  completed: 8,
  failed: 9,
} as const;
export type MigrationState = (typeof MigrationState)[keyof typeof MigrationState];

/** The word for an enumeration's value, for messages and logs: `enumName(Runstate, 4)` is "running". */
export function enumName(enumeration: Readonly<Record<string, number>>, value: number): string {
  for (const [name, candidate] of Object.entries(enumeration)) if (candidate === value) return name;
  return String(value);
}
