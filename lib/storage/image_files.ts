import { VirtxError } from "../model/error.ts";
import { isBelow, VARIABLES_ROOT } from "../model/paths.ts";
import { errnoCode } from "../posix/errno.ts";
import type { Files } from "../posix/files.ts";
import type { Tree } from "../posix/tree.ts";
import { type FileMark, markOf } from "./file_mark.ts";
import { locateDisk, nameBelowRoot, pathOf, splitName } from "./location.ts";

/** QEMU has to get through. */
export const IMAGE_DIRECTORY_MODE = 0o755;

/**
 * One file below /vms/ds at a time: which file a name has, and how a name is given and taken so that no other file is lost.
 */
export class ImageFiles {
  readonly #tree: Tree;

  /** @param tree /vms/ds */
  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** Which file a path names; undefined if there is none. VirtxError `invalid` if it is no regular file. */
  async mark(path: string): Promise<FileMark | undefined> {
    const { name, directory } = imageAt(path);
    if ((await this.#tree.missing(directory)).length > 0) return undefined;
    const file = this.#tree.at(name);
    const facts = await this.#files.lstat(file);
    if (facts === undefined) return undefined;
    if (!facts.isFile) throw new VirtxError("invalid", "it is not a regular file");
    return await this.markAt(file);
  }

  /** Which file is at an absolute path, where there is one. */
  async markAt(path: string): Promise<FileMark> {
    const identity = await this.#files.identity(path);
    if (identity === undefined) {
      throw new VirtxError("storage", "the storage does not tell which file it is");
    }
    return markOf(identity);
  }

  /** Whether two paths are names of one file; both exist. */
  async isOne(path: string, other: string): Promise<boolean> {
    const [one, two] = await Promise.all([this.#files.identity(path), this.#files.identity(other)]);
    return one !== undefined && one.device === two?.device && one.inode === two.inode;
  }

  /**
   * link(2), for which a name that is one of the file already is fine: a crash, or an answer that NFS lost.
   * @returns whether it was not
   */
  async link(file: string, to: string): Promise<boolean> {
    try {
      await this.#files.link(file, to);
      return true;
    } catch (error) {
      if (errnoCode(error) !== "EEXIST" || !await this.isOne(file, to)) throw error;
      return false;
    }
  }

  /** Removes the directories that a file has left empty, but never /vms/ds itself; where storage is mounted, none can go. */
  async prune(directory: string): Promise<void> {
    for (let at = directory; at !== "" && pathOf(at) !== VARIABLES_ROOT; at = splitName(at).directory) {
      if (!await this.#files.rmdirIfEmpty(this.#tree.at(at))) return;
    }
  }

  /** The directory at or above this one at which its file system is mounted; empty: that is the one of /vms/ds. */
  async poolOf(directory: string): Promise<string> {
    const deviceAt = async (path: string) => (await this.#files.identity(path))?.device;
    const own = directory === "" ? undefined : await deviceAt(this.#tree.at(directory));
    if (own === undefined || own === await deviceAt(this.#tree.root)) return "";
    let pool = directory;
    for (let at = splitName(directory).directory; at !== ""; at = splitName(at).directory) {
      if (await deviceAt(this.#tree.at(at)) !== own) break;
      pool = at;
    }
    return pool;
  }

  get #files(): Files {
    return this.#tree.files;
  }
}

/** Where the file of a disk, or of UEFI variables, is below /vms/ds. VirtxError `invalid`, if it cannot be there. */
export function imageAt(path: string): { readonly name: string; readonly directory: string } {
  if (isBelow(path, VARIABLES_ROOT) && path.endsWith(".fd")) {
    const name = nameBelowRoot(path);
    return { name, directory: splitName(name).directory };
  }
  const location = locateDisk(path);
  if (location.kind === "file") return location;
  throw new VirtxError("invalid", "block devices are never deleted");
}
