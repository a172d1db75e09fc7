import { PosixError } from "./errno.ts";
import type { Files } from "./files.ts";

/**
 * A directory tree on shared storage (/vms), in which names may not lead elsewhere: no "..", and no directory on the
 * way to a file may be a symbolic link.
 *
 * The check comes before the use, by path, and is not openat2(2) with a directory handle: a call of libc's on the
 * thread pool loses its errno, Deno's own file functions take paths, and so do qemu-img and QEMU anyway.
 * So this guards against mistakes and against links that lie about, not against somebody who is root on another host
 * of the cluster and swaps a directory within a millisecond.
 */
export class Tree {
  constructor(readonly root: string, readonly files: Files) {}

  /** The absolute path of a name in the tree. PosixError EINVAL unless it is plain: `a/b/c`. */
  at(name: string): string {
    for (const part of name.split("/")) {
      if (part === "" || part === "." || part === ".." || part.includes("\0")) {
        throw new PosixError("EINVAL", `"${name}" is not a plain name below ${this.root}`, "invalid");
      }
    }
    return `${this.root}/${name}`;
  }

  /**
   * Checks a directory of the tree ("" is the root), which need not exist, and names its parts that do not,
   * outermost first.
   * PosixError: ENOENT for the root itself, ELOOP for a symbolic link, ENOTDIR for another file on the way.
   */
  async missing(directory: string): Promise<readonly string[]> {
    const parts = directory === "" ? [] : directory.split("/");
    const names = parts.map((_, index) => parts.slice(0, index + 1).join("/"));
    const paths = names.map((name) => this.at(name));
    const [root, ...found] = await this.files.lstatDown([this.root, ...paths]);
    if (!root) {
      throw new PosixError(
        "ENOENT",
        `"${this.root}" does not exist: is the shared storage mounted?`,
        "storage",
      );
    }
    for (const [index, path] of paths.entries()) {
      const facts = found[index];
      if (!facts) return names.slice(index);
      if (facts.isSymlink) throw new PosixError("ELOOP", `"${path}" is a symbolic link`, "storage");
      if (!facts.isDirectory) throw new PosixError("ENOTDIR", `"${path}" is not a directory`, "storage");
    }
    return [];
  }

  /** The names of the directories in a directory of the tree, none if there is no such; the same errors. */
  async directories(directory: string): Promise<string[]> {
    if ((await this.missing(directory)).length > 0) return [];
    return await this.files.directories(this.at(directory));
  }

  /** Makes a directory of the tree and what is missing above it, but never the root, durably; the same errors. */
  async make(directory: string, mode: number): Promise<void> {
    for (const name of await this.missing(directory)) await this.files.mkdir(this.at(name), mode);
  }
}
