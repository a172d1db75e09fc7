import { DiskBus, DiskDevice, DiskManagement, DiskProvisioning } from "./enums.ts";
import { DISK_MAX_MIB } from "./limits.ts";
import { DEVICES_ROOT, IMAGES_ROOT, isBelow, isOwn, OWN_DIRECTORY, SEEDS_ROOT } from "./paths.ts";
import { type Issues, pathProblem } from "./rules.ts";
import type { Disk } from "./vm.ts";

/** The rules for one disk; `at` is where it stands, such as `disks[2]`. */
export function validateDisk(issues: Issues, at: string, disk: Disk): void {
  issues.range(`${at}.size`, disk.size, 0, DISK_MAX_MIB);
  validateDevice(issues, at, disk);
  if (disk.path === "" && disk.device === DiskDevice.cdrom) return validateProvisioning(issues, at, disk); // without a medium
  const sound = issues.report(`${at}.path`, pathProblem(disk.path));
  if (sound && validatePlace(issues, `${at}.path`, disk.path)) {
    validateKind(issues, at, disk);
    validateProvisioning(issues, at, disk);
  }
}

/** What each bus can carry. */
function validateDevice(issues: Issues, at: string, { device, bus }: Disk): void {
  const scsi = bus === DiskBus.virtioScsi || bus === DiskBus.scsi;
  issues.check(
    device !== DiskDevice.lun || scsi,
    `${at}.bus`,
    "must be virtio-scsi (1) or scsi (3) for a LUN",
  );
  issues.check(
    device !== DiskDevice.cdrom || bus !== DiskBus.virtioBlk,
    `${at}.bus`,
    "must not be virtio-blk (0) for a CD-ROM: it has no removable media",
  );
}

/** Whether a path is where disks may be (protocol.md §3). */
function validatePlace(issues: Issues, field: string, path: string): boolean {
  if (isBelow(path, DEVICES_ROOT)) return true;
  return issues.check(
    isBelow(path, IMAGES_ROOT) && /\.(qcow2|raw|iso)$/.test(path),
    field,
    `must be a .qcow2, .raw or .iso file below ${IMAGES_ROOT}, or a block device below ${DEVICES_ROOT}`,
  ) && issues.check(
    path !== SEEDS_ROOT && !isBelow(path, SEEDS_ROOT),
    field,
    `must not be below ${SEEDS_ROOT}: cloud-init seeds are kept there`,
  ) && issues.check(
    !isOwn(path),
    field,
    `must not be below a directory called ${OWN_DIRECTORY}, which is kept for virtxd itself`,
  );
}

/** Which device can be made of what the path names. */
function validateKind(issues: Issues, at: string, { path, device }: Disk): void {
  const iso = path.endsWith(".iso") && !isBelow(path, DEVICES_ROOT);
  if (device === DiskDevice.lun) {
    issues.check(isBelow(path, DEVICES_ROOT), `${at}.path`, `must be below ${DEVICES_ROOT} for a LUN`);
  } else if (device === DiskDevice.cdrom) {
    issues.check(iso, `${at}.path`, "must be a .iso file for a CD-ROM");
  } else {
    issues.check(!iso, `${at}.path`, "must not be a .iso file unless the device is a CD-ROM (1)");
  }
}

/**
 * Only files can be made; ISO images are never ours. A prov of none or a size of 0 means that the image exists. The prototype
 * wipes a LUN that has a prov; virtxd does not, but takes the definition.
 */
function validateProvisioning(issues: Issues, at: string, { path, device, man, prov }: Disk): void {
  if (device === DiskDevice.cdrom) {
    issues.check(man === DiskManagement.unmanaged, `${at}.man`, "must be unmanaged (0) for a CD-ROM");
  }
  if (prov === DiskProvisioning.none) return;
  issues.check(
    device === DiskDevice.lun || (device === DiskDevice.disk && !isBelow(path, DEVICES_ROOT)),
    `${at}.prov`,
    "must be none (0) for anything but a LUN, or a disk in a .qcow2 or .raw file: only those can be provisioned",
  );
  issues.check(
    man === DiskManagement.managed,
    `${at}.man`,
    "must be managed (1) for a disk that is to be provisioned",
  );
}
