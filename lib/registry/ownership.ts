import { z } from "zod";
import type { FaultHook } from "../model/fault.ts";
import { isUuid } from "../model/uuid.ts";
import type { Tree } from "../posix/tree.ts";
import { Generations } from "./generations.ts";

/** Which VM may write to a disk. */
export interface DiskRecord {
  /** As definitions have it. */
  readonly path: string;
  /** The VM's UUID. */
  readonly vm: string;
  /** The UUID of the host that has written this; the VM may be on another by now. */
  readonly host: string;
  /** The change that gave the disk to the VM; undefined: it had the disk before there were records. */
  readonly change?: string | undefined;
}

/** Which host may have a VM defined. */
export interface VmRecord {
  readonly vm: string;
  readonly host: string;
}

export type DiskRecords = Generations<DiskRecord>;
export type VmRecords = Generations<VmRecord>;

interface Place {
  /** The shared storage, /vms. */
  readonly tree: Tree;
  readonly fault?: FaultHook | undefined;
}

const Uuid = z.string().refine(isUuid);

/** The owners of the disks below /vms/ds, by imageKey (others have no record: what only one host can see, or what
 * arbitrates by itself); fault points: those of Generations, with `disks.` before. */
export function diskRecords({ tree, fault }: Place): DiskRecords {
  return new Generations<DiskRecord>({
    tree,
    directory: ".virtxd/disks",
    schema: z.strictObject({ path: z.string(), vm: Uuid, host: Uuid, change: Uuid.optional() }),
    called: "whose a disk is",
    fault: fault && ((point) => fault(`disks.${point}`)),
  });
}

/** The holders of the VMs, by their UUID; fault points: those of Generations, with `vms.` before. */
export function vmRecords({ tree, fault }: Place): VmRecords {
  return new Generations<VmRecord>({
    tree,
    directory: ".virtxd/vms",
    schema: z.strictObject({ vm: Uuid, host: Uuid }),
    called: "which host has a VM",
    fault: fault && ((point) => fault(`vms.${point}`)),
  });
}
