import { DiskDevice, DiskManagement, DiskProvisioning } from "../model/enums.ts";
import { type FieldIssue, VirtxError } from "../model/error.ts";
import { allDisks, type Disk, type Vmdef } from "../model/vm.ts";
import type { Storage } from "../storage/storage.ts";
import type { PlannedDisk } from "./change.ts";
import type { OperationProgress } from "./operation_course.ts";

/** A definition whose disks are known: which exist, which are to be made, which fall away. */
export interface DiskPlan {
  /** The definition with size and provisioning of existing disks as they are found. */
  readonly def: Vmdef;
  readonly provision: readonly PlannedDisk[];
  /** Managed disks of the old definition that the new one no longer has. */
  readonly dropped: readonly Disk[];
}

/** The disks of a definition under the names that its fields have in a request. */
export function namedDisks(def: Vmdef): [field: string, disk: Disk][] {
  return allDisks(def).map((
    disk,
    index,
  ) => [index === 0 ? "vmdef.osdisk" : `vmdef.disks[${index - 1}]`, disk]);
}

/** Whether the disk is to be created: it is managed, and says how and how large. */
export function isProvisioned(disk: Disk): boolean {
  return disk.man === DiskManagement.managed && disk.prov !== DiskProvisioning.none && disk.size > 0;
}

/**
 * Compares the disks of a new definition with those of the old one (undefined: a new VM) and with what storage has.
 * `tag` makes the temporary names of this change unique. Throws invalid, with each field at fault, if a disk that the
 * VM already has is to change its size or provisioning, and storage errors if an existing image cannot be used.
 */
export async function planDisks(
  storage: Storage,
  def: Vmdef,
  old: Vmdef | undefined,
  tag: string,
): Promise<DiskPlan> {
  const before = new Map(old === undefined ? [] : allDisks(old).map((disk) => [disk.path, disk]));
  const provision: PlannedDisk[] = [];
  const issues: FieldIssue[] = [];
  const disks: Disk[] = [];
  for (const [field, disk] of namedDisks(def)) {
    const kept = before.get(disk.path);
    before.delete(disk.path);
    if (kept === undefined && isProvisioned(disk)) {
      provision.push({ disk, created: await storage.plan(disk, `${tag}.${provision.length}`) });
      disks.push(disk);
      continue;
    }
    const facts = await storage.inspect(disk);
    const prov = ownsStorage(disk) ? kept?.prov || facts.prov : DiskProvisioning.none;
    if (disk.size !== 0 && disk.size !== facts.sizeMiB) {
      issues.push({ field: `${field}.size`, message: `is ${facts.sizeMiB} MiB and cannot be changed` });
    }
    if (kept !== undefined && disk.prov !== DiskProvisioning.none && disk.prov !== prov) {
      issues.push({ field: `${field}.prov`, message: "cannot be changed once the disk exists" });
    }
    disks.push({ ...disk, prov, size: facts.sizeMiB });
  }
  if (issues.length > 0) {
    throw new VirtxError("invalid", `Cannot change an existing disk of VM "${def.name}"`, { issues });
  }
  const [osdisk, ...rest] = disks;
  return {
    def: { ...def, osdisk: osdisk ?? def.osdisk, disks: rest },
    provision,
    dropped: [...before.values()].filter(ownsStorage),
  };
}

/** How much of the space for thick disks is there; undefined: there are none, and the rest takes no time. */
export async function provisioned(
  storage: Storage,
  planned: readonly PlannedDisk[],
): Promise<OperationProgress | undefined> {
  const thick = planned.filter(({ disk }) => disk.prov === DiskProvisioning.thick);
  if (thick.length === 0) return undefined;
  const total = thick.reduce((sum, { disk }) => sum + disk.size, 0);
  const written = await Promise.all(
    thick.map(async ({ disk, created }) => Math.min(disk.size, await storage.writtenMiB(created))),
  );
  return { total, done: written.reduce((sum, mib) => sum + mib, 0), rate: 0, timeleft: 0 };
}

/** Whether deleting the VM with its storage deletes this disk's: a managed one that is no CD-ROM. */
export function ownsStorage(disk: Disk): boolean {
  return disk.man === DiskManagement.managed && disk.device === DiskDevice.disk;
}
