import { DiskBus, DiskManagement, DiskProvisioning } from "../model/enums.ts";
import type { Disk } from "../model/vm.ts";

/**
 * Disk aliases (protocol.md §4): `ua-<man>_<prov>_<controller type>_<controller model>_<index>`. libvirt keeps aliases
 * that begin with "ua-" in inactive XML, so what the XML has no place for is written there.
 */

/** Controller type (libvirt's bus) and model of each bus; virtio-blk and sata disks have no model to choose. */
export const CONTROLLERS: Readonly<Record<DiskBus, { readonly type: string; readonly model: string }>> = {
  [DiskBus.virtioBlk]: { type: "virtio", model: "" },
  [DiskBus.virtioScsi]: { type: "scsi", model: "virtio-scsi" },
  [DiskBus.sata]: { type: "sata", model: "" },
  [DiskBus.scsi]: { type: "scsi", model: "lsilogic" },
};

const MANAGEMENT = { U: DiskManagement.unmanaged, M: DiskManagement.managed } as const;
const PROVISIONING = {
  U: DiskProvisioning.none,
  t: DiskProvisioning.thin,
  T: DiskProvisioning.thick,
} as const;

const ALIAS = /^ua-([UM])_([UtT])_[a-z]*_[a-z-]*_[0-9]+$/;

/** The alias of a disk; `index` counts within the controller type, so that aliases differ. */
export function diskAlias(disk: Disk, index: number): string {
  const { type, model } = CONTROLLERS[disk.bus];
  return `ua-${letter(MANAGEMENT, disk.man)}_${letter(PROVISIONING, disk.prov)}_${type}_${model}_${index}`;
}

/** What an alias says of a disk; one that is not ours says: unmanaged, not provisioned by us. */
export function parseDiskAlias(alias: string | undefined): Pick<Disk, "man" | "prov"> {
  const [, man, prov] = ALIAS.exec(alias ?? "") ?? [];
  return {
    man: MANAGEMENT[man as keyof typeof MANAGEMENT] ?? DiskManagement.unmanaged,
    prov: PROVISIONING[prov as keyof typeof PROVISIONING] ?? DiskProvisioning.none,
  };
}

/** Whether virtxd, or the prototype, gave a device this alias. */
export function isOwnAlias(alias: string | undefined): boolean {
  return ALIAS.test(alias ?? "");
}

function letter(letters: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(letters).find((key) => letters[key] === value) ?? "U";
}
