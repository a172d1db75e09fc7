/** Where things are on the storage that the hosts share (protocol.md §3). */

/** All of it. */
export const SHARED_ROOT = "/vms";

/** Disk images and ISO images. */
export const IMAGES_ROOT = "/vms/ds";

/** The cloud-init seeds: virtxd's own, closed to definitions. */
export const SEEDS_ROOT = "/vms/ds/ci";

/**
 * What virtxd keeps beside images, such as the trash: a directory of this name in /vms/ds, and in each file system that is
 * mounted below it. Closed to definitions.
 */
export const OWN_DIRECTORY = ".virtxd";

/** Block devices. */
export const DEVICES_ROOT = "/dev";

/** Where the NoCloud seed of a VM is. */
export function seedPath(uuid: string): string {
  return `${SEEDS_ROOT}/${uuid}/seed.iso`;
}

/** Where libvirt keeps the UEFI variables of VMs that do not say another place: on the host itself. */
export const LOCAL_VARIABLES_ROOT = "/var/lib/libvirt/qemu/nvram";

/** The UEFI variables of VMs that virtxd makes; beside images, so that they can be deleted and restored like these. */
export const VARIABLES_ROOT = "/vms/ds/nvram";

/** Where those of a VM are. */
export function variablesPath(uuid: string): string {
  return `${VARIABLES_ROOT}/${uuid}.fd`;
}

/** Whether a path lies below a directory. Both must be normalised. */
export function isBelow(path: string, directory: string): boolean {
  return path.startsWith(`${directory}/`);
}

/** Whether a path leads into one of virtxd's own directories. */
export function isOwn(path: string): boolean {
  return path.split("/").includes(OWN_DIRECTORY);
}
