import { isDeepStrictEqual } from "node:util";
import { DiskDevice, DiskManagement, DiskProvisioning } from "../model/enums.ts";
import { type ErrorKind, VirtxError } from "../model/error.ts";
import { isKeptDisk } from "../model/kept.ts";
import { allDisks, type Disk, ownsStorage, type Vmdef } from "../model/vm.ts";
import type { Storage } from "../storage/storage.ts";
import type { PlannedDisk } from "./change.ts";
import type { DefinitionObstacle } from "./definition_check.ts";
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
  return ownsStorage(disk) && disk.prov !== DiskProvisioning.none && disk.size > 0;
}

/**
 * Compares the disks of a new definition with those of the old one (undefined: a new VM) and with what storage has.
 * `tag` makes the temporary names of this change unique. Each disk that cannot be as it is to be is an obstacle: one that
 * exists and is to change its size or provisioning, or cannot be used, and one to be made whose path is taken.
 * @throws VirtxError when storage cannot be asked
 */
export async function planDisks(
  storage: Pick<Storage, "plan" | "inspect">,
  def: Vmdef,
  old: Vmdef | undefined,
  tag: string,
): Promise<{ readonly plan: DiskPlan; readonly obstacles: readonly DefinitionObstacle[] }> {
  const before = new Map(old === undefined ? [] : allDisks(old).map((disk) => [disk.path, disk]));
  const provision: PlannedDisk[] = [];
  const obstacles: DefinitionObstacle[] = [];
  const disks: Disk[] = [];
  for (const [field, disk] of namedDisks(def)) {
    const kept = before.get(disk.path);
    before.delete(disk.path);
    if (disk.path === "") {
      disks.push(disk);
      continue;
    }
    try {
      if (kept === undefined && isProvisioned(disk)) {
        provision.push({ disk, created: await storage.plan(disk, `${tag}.${provision.length}`) });
        disks.push(disk);
        continue;
      }
      const facts = await storage.inspect(disk);
      const isLun = disk.device === DiskDevice.lun; // whose prov says nothing of it, and is kept as it is asked for
      const prov = isLun ? disk.prov : ownsStorage(disk) ? kept?.prov || facts.prov : DiskProvisioning.none;
      if (disk.size !== 0 && disk.size !== facts.sizeMiB) {
        const message = `is ${facts.sizeMiB} MiB and cannot be changed`;
        obstacles.push({ kind: "invalid", field: `${field}.size`, message });
      }
      if (kept !== undefined && disk.prov !== DiskProvisioning.none && disk.prov !== prov) {
        const message = "cannot be changed once the disk exists";
        obstacles.push({ kind: "invalid", field: `${field}.prov`, message });
      }
      disks.push({ ...disk, prov, size: facts.sizeMiB });
    } catch (error) {
      if (!(error instanceof VirtxError) || !TELLING.includes(error.kind)) throw error;
      disks.push(disk);
      if (kept !== undefined && staysAsItIs(disk, kept)) continue;
      obstacles.push({ kind: error.kind, field: `${field}.path`, message: error.message });
    }
  }
  const [osdisk, ...rest] = disks;
  const plan = {
    def: { ...def, osdisk: osdisk ?? def.osdisk, disks: rest },
    provision,
    dropped: [...before.values()].filter(ownsStorage),
  };
  return { plan, obstacles };
}

/** Whether nothing of a disk is to change, so that its storage need not be looked at: it may be where virtxd cannot. */
function staysAsItIs(disk: Disk, old: Disk): boolean {
  return isKeptDisk(disk) && disk.size === 0 && isDeepStrictEqual({ ...disk, size: 0 }, { ...old, size: 0 });
}

/** Failures that say something of the disk rather than of the storage or of us. */
const TELLING: readonly ErrorKind[] = ["invalid", "denied", "not_found", "conflict", "storage"];

/** What the prototype would have wiped of these disks, in words for a warning; undefined: nothing. */
export function unwiped(disks: readonly Disk[]): string | undefined {
  const luns = disks.filter(({ device, man }) => device === DiskDevice.lun && man === DiskManagement.managed);
  if (luns.length === 0) return undefined;
  return `not wiped, as virtxd never wipes a LUN: ${luns.map(({ path }) => `"${path}"`).join(", ")}`;
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
