import type { FileFacts, Files } from "../../lib/posix/files.ts";
import { parentOf } from "../../lib/posix/files.ts";
import { LocalFiles } from "../../lib/posix/local_files.ts";

/**
 * Files as an NFS client with caches has them, for the worst: what a directory has, and that a name is absent, is answered as
 * it was when first asked for, until this client itself changes something in that directory.
 */
export class StaleFiles extends LocalFiles {
  readonly #names = new Map<string, string[]>();
  readonly #absent = new Set<string>();

  override async names(directory: string): Promise<string[]> {
    const known = this.#names.get(directory) ?? await super.names(directory);
    this.#names.set(directory, known);
    return known;
  }

  override async lstat(path: string): Promise<FileFacts | undefined> {
    if (this.#absent.has(path)) return undefined;
    const facts = await super.lstat(path);
    if (facts === undefined) this.#absent.add(path);
    return facts;
  }

  override create(...args: Parameters<Files["create"]>): Promise<void> {
    return this.#changing(args[0], () => super.create(...args));
  }

  override write(...args: Parameters<Files["write"]>): Promise<void> {
    return this.#changing(args[0], () => super.write(...args));
  }

  override link(...args: Parameters<Files["link"]>): Promise<void> {
    return this.#changing(args[1], () => super.link(...args));
  }

  override unlink(path: string): Promise<boolean> {
    return this.#changing(path, () => super.unlink(path));
  }

  override mkdir(...args: Parameters<Files["mkdir"]>): Promise<boolean> {
    return this.#changing(args[0], () => super.mkdir(...args));
  }

  /** The server answers, with the directory as it is now. */
  async #changing<T>(path: string, change: () => Promise<T>): Promise<T> {
    this.#forget(parentOf(path));
    try {
      return await change();
    } finally {
      this.#forget(parentOf(path));
    }
  }

  #forget(directory: string): void {
    this.#names.delete(directory);
    for (const path of this.#absent) if (parentOf(path) === directory) this.#absent.delete(path);
  }
}
