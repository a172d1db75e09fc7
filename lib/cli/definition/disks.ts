import { DiskBus, DiskDevice, DiskManagement, DiskProvisioning } from "../../model/enums.ts";
import { DISK_MAX_MIB } from "../../model/limits.ts";
import { DEVICES_ROOT, IMAGES_ROOT, isBelow, SEEDS_ROOT } from "../../model/paths.ts";
import type { Disk } from "../../model/vm.ts";
import type { Field } from "./field.ts";
import type { Naming } from "./names.ts";

/** What somebody said of a disk. */
export interface DiskDraft {
  readonly said: Partial<Disk>;
  readonly naming: Naming;
  readonly field: Field;
}

/** The keys of a disk, and how the API spells them. */
export const DISK_KEYS = {
  path: [],
  size: [],
  device: [],
  bus: [],
  management: ["man"],
  provisioning: ["prov"],
} as const;

/** A disk as its path alone, or as a table. */
export function readDisk(field: Field): DiskDraft {
  if (typeof field.value === "string") return { said: { path: field.value }, naming: field.naming, field };
  const table = field.table(DISK_KEYS, "a path or a table such as {size: 20GiB}");
  const path = table?.get("path")?.text();
  const size = table?.get("size")?.size(0, DISK_MAX_MIB);
  const device = table?.get("device")?.word(DiskDevice);
  const bus = table?.get("bus")?.word(DiskBus);
  const man = table?.get("management")?.word(DiskManagement);
  const prov = table?.get("provisioning")?.word(DiskProvisioning);
  return {
    said: {
      ...(path !== undefined && { path }),
      ...(size !== undefined && { size }),
      ...(device !== undefined && { device }),
      ...(bus !== undefined && { bus }),
      ...(man !== undefined && { man }),
      ...(prov !== undefined && { prov }),
    },
    naming: table?.naming ?? field.naming,
    field,
  };
}

/** The bus that suits a device: CD-ROMs and LUNs cannot be on virtio-blk, and installers know SATA. */
const BUS_FOR: Readonly<Record<DiskDevice, DiskBus>> = {
  [DiskDevice.disk]: DiskBus.virtioBlk,
  [DiskDevice.cdrom]: DiskBus.sata,
  [DiskDevice.lun]: DiskBus.virtioScsi,
};

/**
 * Completes a disk by what is usually meant. An .iso image is a CD-ROM. A disk with a size is to be made, thin, and virtxd's
 * to manage; one without exists, and virtxd never deletes what it was not told to manage.
 */
export function completeDisk(said: Partial<Disk> & { readonly path: string }): Disk {
  const { path, size = 0, man } = said;
  const file = !isBelow(path, DEVICES_ROOT);
  const device = said.device ?? (file && path.endsWith(".iso") ? DiskDevice.cdrom : DiskDevice.disk);
  const made = size > 0 && file && device === DiskDevice.disk && man !== DiskManagement.unmanaged;
  const prov = said.prov ?? (made ? DiskProvisioning.thin : DiskProvisioning.none);
  return {
    path,
    device,
    bus: said.bus ?? BUS_FOR[device],
    man: man ?? (prov === DiskProvisioning.none ? DiskManagement.unmanaged : DiskManagement.managed),
    prov,
    size,
  };
}

/** The disk of a definition in the API's own words, where what is left out is 0. */
function zeroDisk(said: Partial<Disk> & { readonly path: string }): Disk {
  return { device: 0, bus: 0, man: 0, prov: 0, size: 0, ...said };
}

/** A disk and how whoever wrote it calls its fields. */
export interface NamedDisk {
  readonly disk: Disk;
  readonly naming: Naming;
}

/** Puts the OS disk of a list first: the first that is no CD-ROM, or of CD-ROMs alone the first. */
export function osDiskFirst(disks: readonly NamedDisk[]): readonly NamedDisk[] {
  const position = Math.max(0, disks.findIndex(({ disk }) => disk.device !== DiskDevice.cdrom));
  return [...disks.slice(position, position + 1), ...disks.toSpliced(position, 1)];
}

/**
 * Completes the disks of a VM; those that are new and have no path get one that is not taken.
 *
 * @param sparse whether they are in the API's own words
 */
export function completeDisks(
  drafts: readonly DiskDraft[],
  vmName: string,
  taken: Iterable<string>,
  sparse = false,
): readonly NamedDisk[] {
  const paths = new Set(taken);
  for (const { said } of drafts) if (said.path !== undefined) paths.add(said.path);
  return drafts.map(({ said, naming, field }) => {
    const path = said.path ?? (sparse ? undefined : newPath(said, vmName, paths)) ?? "";
    const empty = said.path === "" && said.device === DiskDevice.cdrom;
    if (path === "" && !empty && !field.faulty) {
      field.refuse(`must have a path${sparse ? "" : whyPath(said, vmName)}`);
    }
    paths.add(path);
    return { disk: sparse ? zeroDisk({ ...said, path }) : completeDisk({ ...said, path }), naming };
  });
}

function whyPath(said: Partial<Disk>, vmName: string): string {
  if (!isNew(said)) return ", or a size if it is a new disk";
  return `: none can be made from the VM's name ${JSON.stringify(vmName)}`;
}

function isNew({ size = 0, device = DiskDevice.disk }: Partial<Disk>): boolean {
  return size > 0 && device === DiskDevice.disk;
}

/** /vms/ds/web1/disk0.qcow2, or the next; undefined if the VM's name is none that a directory can have. */
export function newPath(said: Partial<Disk>, vmName: string, taken: ReadonlySet<string>): string | undefined {
  const directory = `${IMAGES_ROOT}/${vmName}`;
  if (!isNew(said) || directory === SEEDS_ROOT || vmName.includes("/") || ["", ".", ".."].includes(vmName)) {
    return undefined;
  }
  for (let number = 0;; number++) {
    const path = `${directory}/disk${number}.qcow2`;
    if (!taken.has(path)) return path;
  }
}
