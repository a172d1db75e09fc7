import type { FileMark } from "../storage/file_mark.ts";
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
  /** The domain definition before and after, without passwords; undefined: none. */
  readonly oldXml: string | undefined;
  readonly newXml: string | undefined;
  /**
   * They have passwords, and this host keeps both with them ({@link SecretDefinitions}). Written only if they have: a version that
   * does not know the field would define them without, so it is to set such a record aside, and leave what libvirt has.
   */
  readonly secret?: true | undefined;
  /** Disks that the change creates, recorded before they are. */
  readonly created: readonly CreatedDisk[];
  /** Paths of disks to delete once committed. */
  readonly removed: readonly string[];
  /** A deletion leaves UEFI variables and the TPM's memory, as it does the disks. */
  readonly keepsFirmware?: true | undefined;
  /**
   * Which file each of them was when that was decided, by path; what has none was no file then. Written only if there are disks
   * to delete: the version before knows no such field, and sets such a record aside as broken (and reports it) rather than delete
   * by path alone, so that after a roll-back these disks stay. Undefined in a record of that version, whose disks stay, too.
   */
  readonly marks?: Readonly<Record<string, FileMark>> | undefined;
  /** The disks are to be gone at once. Written only if they are. */
  readonly now?: true | undefined;
}
