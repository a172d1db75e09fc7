import { logFailure } from "../model/defect.ts";
import { errorMessage } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import type { Logger } from "../model/log.ts";
import { errnoCode, systemReason } from "../posix/errno.ts";
import { type Files, parentOf } from "../posix/files.ts";
import { onStorage } from "../posix/storage_error.ts";
import type { Tree } from "../posix/tree.ts";
import { type FileMark, isSameFile } from "./file_mark.ts";
import { IMAGE_DIRECTORY_MODE, imageAt, ImageFiles } from "./image_files.ts";
import { nameBelowRoot, splitName } from "./location.ts";
import { entryName } from "./trash_claims.ts";
import { trashedName, type TrashEntries } from "./trash_entries.ts";
import type { TrashedFile, TrashInfo } from "./trash_info.ts";

/** How long what is to be gone at once is left to the host that is moving it; if that is cut off, others empty it then. */
const MOVING_MS = 600_000;

/** What a change takes away from storage, as it was decided. */
export interface Removal {
  /** The change, a UUID. */
  readonly id: string;
  /** The VM's UUID and name. */
  readonly vm: string;
  readonly name: string;
  /** The UUID of the host that carries it out. */
  readonly host: string;
  /** The VM's definition, if that is deleted too. */
  readonly xml: string | undefined;
  /** The files, each with its path as a definition has it, and with which file that was; always in the same order. */
  readonly files: readonly { readonly path: string; readonly mark: FileMark }[];
  /** To be gone at once. */
  readonly now: boolean;
}

/** What became of a {@link Removal}. */
export interface RemovalOutcome {
  /** What could not be removed, and why. */
  readonly failures: readonly string[];
  /** Until when it can be restored, UTC milliseconds by the storage's clock; undefined: it cannot. */
  readonly until: number | undefined;
}

export interface TrashRemovalOptions {
  /** /vms/ds */
  readonly tree: Tree;
  readonly entries: TrashEntries;
  /** How long what is deleted can be restored; 0: not at all. */
  readonly graceMs: number;
  /** Removes an entry for good. */
  readonly empty: (id: string) => Promise<void>;
  /** Removes entries that could still be restored; whether there was any. */
  readonly makeRoom: () => Promise<boolean>;
  /** Has it reported that an entry has files that nobody has deleted. */
  readonly reportForeign: (id: string, paths: readonly string[]) => void;
  readonly log: Logger;
  /** Fault points: `recorded`, `renamed`, `linked`, `unlinked`, `moved`. */
  readonly fault: FaultHook;
}

/**
 * How files leave /vms/ds, which all hosts share, so that none goes that was not meant: a path may name another file by the
 * time at which a deletion is carried out, be it a moment or a week later. So each file is first renamed into the trash, where
 * nobody else changes it, and only there compared with what was decided. Another's is put back by link(2), which replaces
 * nothing; if its name is taken again, it is kept, and reported until somebody restores or empties it.
 */
export class TrashRemoval {
  readonly #o: TrashRemovalOptions;
  readonly #images: ImageFiles;

  constructor(options: TrashRemovalOptions) {
    this.#o = options;
    this.#images = new ImageFiles(options.tree);
  }

  /** Takes the files of a change away. May be repeated, also after a crash at any point, and then does what is left. */
  async put(removal: Removal): Promise<RemovalOutcome> {
    const { id } = removal;
    const failures: string[] = [];
    const known = await this.#entries.info(entryName(id));
    const files = known?.files ?? await this.#decided(removal, failures);
    if (files.length === 0) return { failures, until: undefined };
    const { graceMs, log } = this.#o;
    const isKept = graceMs > 0 && !removal.now;
    const info = known ?? await this.#record(removal, files, isKept ? graceMs : MOVING_MS);
    for (const file of files) {
      try {
        await onStorage(`Cannot delete disk "${file.path}"`, async () => {
          if (info === undefined) await this.#unlink(removal, file);
          else await this.#move(removal, file);
          await this.#images.prune(splitName(nameBelowRoot(file.path)).directory);
        });
      } catch (error) {
        failures.push(errorMessage(error));
        logFailure(log, "warn", "cannot remove a disk's storage", error, {
          vm: removal.vm,
          path: file.path,
        });
      }
      await this.#o.fault("moved");
    }
    if (info !== undefined && isKept) return { failures, until: info.until };
    if (info !== undefined) await this.#o.empty(id).catch((error) => failures.push(errorMessage(error)));
    return { failures, until: undefined };
  }

  /** The files that are still there to be taken away; of another that is there instead, nothing but a line in the log. */
  async #decided(removal: Removal, failures: string[]): Promise<TrashedFile[]> {
    const files: TrashedFile[] = [];
    for (const [n, { path, mark }] of removal.files.entries()) {
      try {
        const found = await this.#images.mark(path);
        if (found === undefined) continue;
        if (isSameFile(found, mark)) {
          const pool = await this.#images.poolOf(imageAt(path).directory);
          files.push({ n, path, sizeBytes: mark.bytes, mark, pool });
        } else this.#tellOfAnother(removal, path);
      } catch (error) {
        failures.push(`Cannot delete disk "${path}": ${systemReason(error)}`);
      }
    }
    return files;
  }

  /** Begins an entry; undefined: there is no room even for that, nor can any be made. */
  async #record(
    { id, vm, name, host, xml }: Removal,
    files: readonly TrashedFile[],
    graceMs: number,
  ): Promise<TrashInfo | undefined> {
    try {
      const deletedAt = await this.#entries.now();
      const until = deletedAt + graceMs;
      const definition = xml !== undefined && { xml };
      const info = await this.#entries.begin(id, { vm, name, host, deletedAt, until, ...definition, files });
      await this.#o.fault("recorded");
      return info;
    } catch (error) {
      if (!isFull(error)) throw error;
      if (await this.#o.makeRoom()) {
        return await this.#record({ id, vm, name, host, xml, files, now: false }, files, graceMs);
      }
      this.#o.log.warn("the storage is so full that nothing can be kept in its trash", { vm });
      return undefined;
    }
  }

  /** Moves one file into the trash, and puts it back if it turns out to be another. */
  async #move(removal: Removal, file: TrashedFile): Promise<void> {
    const path = this.#tree.at(nameBelowRoot(file.path));
    const trashed = this.#tree.at(trashedName(removal.id, entryName(removal.id), file));
    if (await this.#files.lstat(trashed) === undefined) {
      if (!await this.#isStill(removal, file)) return;
      try {
        await this.#files.rename(path, trashed);
      } catch (error) {
        // A directory that is bound elsewhere has the device of its file system, so its trash cannot be told.
        if (errnoCode(error) !== "EXDEV") throw error;
        return await this.#unlink(removal, file);
      }
      await this.#o.fault("renamed");
    }
    await this.#files.syncDirectory(parentOf(trashed));
    await this.#files.syncDirectoryIfAny(parentOf(path));
    if (isSameFile(await this.#images.markAt(trashed), file.mark)) {
      this.#o.log.info("disk deleted", { path: file.path, change: removal.id });
    } else await this.#putBack(removal, file, trashed, path);
  }

  /**
   * Removes a file that cannot be moved into the trash. All that protects another one is that the comparison is made just
   * before: a file that gets the path within that moment is lost.
   */
  async #unlink(removal: Removal, file: TrashedFile): Promise<void> {
    if (!await this.#isStill(removal, file)) return;
    const path = this.#tree.at(nameBelowRoot(file.path));
    await this.#files.unlink(path);
    await this.#files.syncDirectory(parentOf(path));
    this.#o.log.warn("disk deleted at once, as it cannot be moved into the trash", {
      path: file.path,
      change: removal.id,
    });
  }

  /** Whether a path still has the file that is to go; none is fine. */
  async #isStill(removal: Removal, { path, mark }: TrashedFile): Promise<boolean> {
    const found = await this.#images.mark(path);
    if (found === undefined) return false;
    if (isSameFile(found, mark)) return true;
    this.#tellOfAnother(removal, path);
    return false;
  }

  async #putBack(removal: Removal, file: TrashedFile, trashed: string, path: string): Promise<void> {
    this.#tellOfAnother(removal, file.path);
    try {
      await this.#tree.make(splitName(nameBelowRoot(file.path)).directory, IMAGE_DIRECTORY_MODE);
      await this.#images.link(trashed, path);
    } catch (error) {
      if (errnoCode(error) !== "EEXIST") throw error;
      const { log } = this.#o;
      log.error("a file that nobody has deleted is kept in the trash, as its name is taken", {
        path: file.path,
        entry: removal.id,
      });
      return this.#o.reportForeign(removal.id, [file.path]);
    }
    await this.#o.fault("linked");
    await this.#files.syncDirectory(parentOf(path));
    await this.#files.unlink(trashed);
    await this.#o.fault("unlinked");
    await this.#files.syncDirectory(parentOf(trashed));
  }

  #tellOfAnother({ vm, id }: Removal, path: string): void {
    this.#o.log.warn("a disk stays: another file has its path than the one that was deleted", {
      vm,
      path,
      change: id,
    });
  }

  get #entries(): TrashEntries {
    return this.#o.entries;
  }

  get #tree(): Tree {
    return this.#o.tree;
  }

  get #files(): Files {
    return this.#o.tree.files;
  }
}

function isFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(errnoCode(error) ?? "");
}
