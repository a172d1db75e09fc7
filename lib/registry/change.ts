import type { CreatedDisk } from "../storage/created_disk.ts";

/**
 * A change to a VM that is under way, as the journal keeps it: all that is needed to finish it or to undo it after
 * a crash.
 */
export interface Change {
  /** A UUID of its own. */
  readonly id: string;
  readonly op: "create" | "update" | "delete";
  /** The VM's UUID. */
  readonly vm: string;
  /** `prepared`: to be undone; `committed`: to be finished. */
  readonly phase: "prepared" | "committed";
  /** UTC milliseconds. */
  readonly startedAt: number;
  /** The domain definition before and after; undefined: none. */
  readonly oldXml: string | undefined;
  readonly newXml: string | undefined;
  /** Disks that the change creates, recorded before they are. */
  readonly created: readonly CreatedDisk[];
  /** Paths of disks to delete once committed. */
  readonly removed: readonly string[];
  /** A deletion leaves UEFI variables and the TPM's memory, as it does the disks. */
  readonly keepsFirmware?: true | undefined;
}
