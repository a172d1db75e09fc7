import type { Libc } from "../../lib/posix/libc.ts";
import { LocalFiles } from "../../lib/posix/local_files.ts";
import { Tree } from "../../lib/posix/tree.ts";

/** A directory that stands for shared storage, worked on here. */
export function localTree(root: string, libc?: Libc): Tree {
  return new Tree(root, new LocalFiles(libc));
}
