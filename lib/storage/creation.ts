import { VirtxError } from "../model/error.ts";
import type { FaultHook } from "../model/fault.ts";
import { errnoCode } from "../posix/errno.ts";
import { type Files, parentOf } from "../posix/files.ts";
import type { Tree } from "../posix/tree.ts";
import type { CreatedDisk } from "./created_disk.ts";
import { locateDisk, nameBelowRoot, pathOf, splitName } from "./location.ts";

/** What a temporary name may carry to be unique among all changes of all hosts. */
const TAG = /^[0-9a-zA-Z.-]{1,80}$/;

/** Only root and QEMU, to which libvirt gives the file, may see what a guest keeps. */
const FILE_MODE = 0o600;
/** QEMU has to get through. */
const DIRECTORY_MODE = 0o755;

/** The unit of st_blocks (stat(2)). */
const BLOCK_BYTES = 512;

/** A created disk's names: path and temp absolute, the directories below /vms/ds. */
interface Names extends CreatedDisk {
  readonly directory: string;
}

/**
 * How files come into being below /vms/ds, which all hosts share, so that none is ever overwritten and each step can
 * be taken back, even by another process after a crash: the file is made under a temporary name (O_EXCL) in its
 * directory and link(2)ed to its own, which fails if that is taken. As long as both names are there, one inode proves
 * that the file is ours; `commit` removes the temporary name, `undo` removes both. Both may be repeated.
 */
export class Creation {
  readonly #tree: Tree;
  readonly #fault: FaultHook;

  /** The tree is /vms/ds. Fault points: `reserved`, `created`, `linked`, `committed`, `unlinked`, `undone`. */
  constructor(tree: Tree, fault: FaultHook) {
    this.#tree = tree;
    this.#fault = fault;
  }

  /** The names for a new file, whose own must not be taken; nothing is made yet. */
  async plan(path: string, tag: string): Promise<CreatedDisk> {
    if (!TAG.test(tag)) throw new VirtxError("internal", `"${tag}" cannot be part of a file name`);
    const { directory, base } = splitName(fileName(path));
    const temp = pathOf(join(directory, `.${base}.${tag}.tmp`));
    nameBelowRoot(temp); // may be too long
    const missing = await this.#tree.missing(directory);
    if (missing.length === 0 && await this.#files.lstat(this.#tree.at(fileName(path)))) throw taken();
    return { path, temp, directories: missing.map(pathOf) };
  }

  /**
   * Makes the file: `fill` gets its temporary absolute path, where an empty file lies. If anything fails, it is undone
   * as far as possible; whoever has a journal repeats that with {@link undo}, which tells if it was not.
   */
  async create(created: CreatedDisk, fill: (path: string) => Promise<void>): Promise<void> {
    const names = this.#resolve(created);
    const { path, temp } = names;
    await this.#reserve(names);
    try {
      await this.#fault("reserved");
      await fill(temp);
      await this.#files.sync(temp);
      await this.#fault("created");
      await this.#link(temp, path);
      await this.#fault("linked");
      await this.#files.syncDirectory(parentOf(path));
    } catch (error) {
      await this.undo(created).catch(() => {});
      throw error;
    }
  }

  /** How much space the file has by now, in MiB. */
  async writtenMiB(created: CreatedDisk): Promise<number> {
    const { blocks } = await this.#files.lstat(this.#resolve(created).temp) ?? {};
    return Math.floor((blocks ?? 0) * BLOCK_BYTES / (1 << 20));
  }

  /** Keeps the file. */
  async commit(created: CreatedDisk): Promise<void> {
    const { temp } = this.#resolve(created);
    await this.#files.unlink(temp);
    await this.#fault("committed");
    await this.#files.syncDirectoryIfAny(parentOf(temp));
  }

  /** Removes the file if it is the one that was made, and then the directories if they were and nobody uses them. */
  async undo(created: CreatedDisk): Promise<void> {
    const { path, temp, directory, directories } = this.#resolve(created);
    await this.#tree.missing(directory); // for what it throws: no symbolic link on the way
    if (await this.#files.lstat(temp)) {
      if (await this.#isSame(temp, path)) {
        await this.#files.unlink(path);
        await this.#files.syncDirectory(parentOf(path)); // or a power failure might leave it without the proof that it is ours
      }
      await this.#fault("unlinked");
      await this.#files.unlink(temp);
    }
    await this.#files.syncDirectoryIfAny(parentOf(temp));
    await this.#fault("undone");
    await this.#removeDirectories(directories);
  }

  /** Makes the temporary file. What has its name already is not ours, and must not be undone. */
  async #reserve({ path, temp, directory, directories }: Names): Promise<void> {
    try {
      await this.#tree.make(directory, DIRECTORY_MODE);
      if (await this.#files.lstat(path)) throw taken();
      await this.#createTemp(temp, directory);
    } catch (error) {
      await this.#removeDirectories(directories);
      throw error;
    }
  }

  /** Another host that deletes the last disk in a directory may take it away just now. */
  async #createTemp(temp: string, directory: string): Promise<void> {
    try {
      await this.#files.create(temp, FILE_MODE);
    } catch (error) {
      if (errnoCode(error) !== "ENOENT") throw error;
      await this.#tree.make(directory, DIRECTORY_MODE);
      await this.#files.create(temp, FILE_MODE);
    }
  }

  async #removeDirectories(names: readonly string[]): Promise<void> {
    for (const name of names.toReversed()) await this.#files.rmdirIfEmpty(this.#tree.at(name));
  }

  async #link(temp: string, path: string): Promise<void> {
    try {
      await this.#files.link(temp, path);
    } catch (error) {
      if (errnoCode(error) !== "EEXIST") throw error;
      // NFS repeats a call whose answer was lost, and then finds what the first one did.
      if (!await this.#isSame(temp, path)) throw taken();
    }
  }

  get #files(): Files {
    return this.#tree.files;
  }

  /** Whether both names are of one file; of the first it is known that it exists. */
  async #isSame(path: string, other: string): Promise<boolean> {
    if (!await this.#files.lstat(other)) return false;
    const [one, two] = await Promise.all([this.#files.identity(path), this.#files.identity(other)]);
    if (!one || !two) {
      throw new VirtxError("storage", `cannot tell whether "${other}" is the file that was created`);
    }
    return one.device === two.device && one.inode === two.inode;
  }

  /**
   * The names of a created disk, absolute and relative. They may come from a journal, so they are only accepted as
   * {@link plan} makes them: VirtxError `invalid`.
   */
  #resolve({ path, temp, directories }: CreatedDisk): Names {
    const name = fileName(path);
    const tempName = nameBelowRoot(temp);
    const { directory, base } = splitName(name);
    const tempBase = splitName(tempName).base;
    const sound = splitName(tempName).directory === directory && tempBase.startsWith(`.${base}.`) &&
      tempBase.endsWith(".tmp") && directories.every((at) => name.startsWith(`${nameBelowRoot(at)}/`));
    if (!sound) throw new VirtxError("invalid", `the names of "${path}" under creation do not fit together`);
    return {
      path: this.#tree.at(name),
      temp: this.#tree.at(tempName),
      directory,
      directories: directories.map(nameBelowRoot),
    };
  }
}

function taken(): VirtxError {
  return new VirtxError("storage", "it already exists; without a size it is used as it is");
}

function fileName(path: string): string {
  const location = locateDisk(path);
  if (location.kind === "file") return location.name;
  throw new VirtxError("invalid", "block devices are never created");
}

function join(directory: string, base: string): string {
  return directory === "" ? base : `${directory}/${base}`;
}
