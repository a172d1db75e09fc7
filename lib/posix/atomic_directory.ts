import { type FaultHook, noFault } from "../model/fault.ts";
import { KeyedMutex } from "../model/mutex.ts";
import { errnoCode } from "./errno.ts";
import { type Files, parentOf } from "./files.ts";
import type { Tree } from "./tree.ts";

const TEMP_NAME = /^\..+\.tmp$/;
/** How often a directory is made that is removed again. */
const ATTEMPTS = 3;

export interface AtomicDirectoryOptions {
  readonly tree: Tree;
  /** Named from the tree's root. */
  readonly directory: string;
  /** Of the directory, when it is made. */
  readonly mode?: number;
  /** Fault points: `written`, `renamed`, `linked`, `removed`. */
  readonly fault?: FaultHook;
}

/**
 * A directory on shared storage with small files that are replaced as a whole, so that after a crash at any moment
 * each has its old or its new content (protocol.md §3): written to a temporary file beside it, fsynced, renamed over
 * it, directory fsynced. The directory is made when first written to, and again if another host removes it just then, as it is
 * empty. Only one program may write to a name at a time; writers in this one take turns.
 */
export class AtomicDirectory {
  readonly #tree: Tree;
  readonly #directory: string;
  readonly #mode: number;
  readonly #fault: FaultHook;
  readonly #turns = new KeyedMutex();
  /** The files whose temporary file stayed behind when a write failed, since the storage refused its removal, too. */
  readonly #littered = new Set<string>();

  constructor({ tree, directory, mode = 0o750, fault = noFault }: AtomicDirectoryOptions) {
    this.#tree = tree;
    this.#directory = directory;
    this.#mode = mode;
    this.#fault = fault;
  }

  /**
   * Writes a file anew, with that mode whatever the umask; it is on stable storage when this resolves.
   * @param compose makes its content once its turn has come
   */
  async write(name: string, compose: () => Uint8Array<ArrayBuffer>, mode = 0o640): Promise<void> {
    await this.#turns.run(name, async () => {
      const content = compose();
      const path = this.#path(name);
      const temp = this.#path(`.${name}.tmp`);
      try {
        await this.#making(this.#directory, () => this.#files.write(temp, content, mode));
        await this.#fault("written");
        await this.#files.rename(temp, path);
      } catch (error) {
        await this.#files.unlink(temp).catch(() => this.#littered.add(name)); // the first failure is the one to tell
        throw error;
      }
      await this.#fault("renamed");
      await this.#files.syncDirectory(parentOf(path));
    });
    await this.#tidy();
  }

  /** That a file is absent means something only if the storage is there: as all that writes, this fails otherwise. */
  async #requireStorage(): Promise<void> {
    await this.#files.syncDirectoryIfAny(this.#tree.at(this.#directory));
  }

  /** Removes what earlier writes left, as while storage hung; what still cannot be removed stays for the next time. */
  async #tidy(): Promise<void> {
    for (const name of [...this.#littered]) {
      await this.#turns.run(name, async () => {
        if (!this.#littered.delete(name)) return;
        await this.#files.unlink(this.#path(`.${name}.tmp`)).catch(() => this.#littered.add(name));
      });
    }
  }

  /** The content of a file; undefined if there is none. */
  async read(name: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (!await this.#exists()) return undefined;
    return await this.#files.read(this.#path(name), limitBytes);
  }

  /** Removes a file, durably; whether there was one. */
  async remove(name: string): Promise<boolean> {
    return await this.#turns.run(name, async () => {
      if (!await this.#exists()) {
        await this.#requireStorage();
        return false;
      }
      const path = this.#path(name);
      const removed = await this.#files.unlink(path);
      await this.#fault("removed");
      await this.#files.syncDirectory(parentOf(path)); // also if it was gone: an earlier removal may not have come this far
      return removed;
    });
  }

  /** Renames a file, over another if there is one, durably. */
  async rename(name: string, to: string): Promise<void> {
    await this.#files.rename(this.#path(name), this.#path(to));
    await this.#files.syncDirectory(this.#tree.at(this.#directory));
  }

  /**
   * Moves a file to another directory of the tree, which is made if need be, durably; one of that name that is there
   * stays, and then this one only goes. None is fine. A crash in between leaves both.
   */
  async moveUnlessThere(name: string, directory: string): Promise<void> {
    await this.#turns.run(name, async () => {
      if (!await this.#exists() || !await this.#files.lstat(this.#path(name))) {
        return await this.#requireStorage();
      }
      const target = this.#tree.at(`${directory}/${name}`);
      await this.#making(directory, () => this.#linkUnlessThere(this.#path(name), target));
      await this.#fault("linked");
      await this.#files.syncDirectory(parentOf(target));
      await this.#files.unlink(this.#path(name));
      await this.#fault("removed");
      await this.#files.syncDirectory(parentOf(this.#path(name)));
    });
  }

  /** Makes the directory itself, if there is none. */
  async make(): Promise<void> {
    await this.#tree.make(this.#directory, this.#mode);
  }

  /** The names of its files, in order; symbolic links and names that begin with a dot are none. */
  async names(): Promise<string[]> {
    return (await this.#entries()).filter((name) => !name.startsWith(".")).sort();
  }

  /** Removes what interrupted writes left behind; only for when nobody writes. Their number. */
  async sweep(): Promise<number> {
    let removed = 0;
    for (const name of await this.#entries()) {
      if (TEMP_NAME.test(name) && await this.#files.unlink(this.#path(name))) removed++;
    }
    return removed;
  }

  async #entries(): Promise<string[]> {
    if (!await this.#exists()) return [];
    return await this.#files.names(this.#tree.at(this.#directory));
  }

  async #exists(): Promise<boolean> {
    return (await this.#tree.missing(this.#directory)).length === 0;
  }

  #path(name: string): string {
    return this.#tree.at(`${this.#directory}/${name}`);
  }

  /** Makes a directory and then a name in it; anew, if the directory is removed in between. */
  async #making(directory: string, task: () => Promise<void>): Promise<void> {
    for (let attempt = 1;; attempt++) {
      await this.#tree.make(directory, this.#mode);
      try {
        return await task();
      } catch (error) {
        if (errnoCode(error) !== "ENOENT" || attempt === ATTEMPTS) throw error;
      }
    }
  }

  async #linkUnlessThere(path: string, target: string): Promise<void> {
    try {
      await this.#files.link(path, target);
    } catch (error) {
      if (errnoCode(error) !== "EEXIST") throw error;
    }
  }

  get #files(): Files {
    return this.#tree.files;
  }
}
