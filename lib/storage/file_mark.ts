import { z } from "zod";
import type { FileIdentity } from "../posix/libc.ts";

/**
 * Which file a path named at one moment, as it can be written down. It holds across hosts that share the file system, and in it
 * wherever the file is moved to. Numbers of 64 bits are texts, since JSON has no exact ones.
 */
export const FileMark = z.strictObject({
  inode: z.string(),
  bytes: z.int().min(0),
  /** Nanoseconds since the epoch; left out where the file system does not tell. */
  born: z.string().optional(),
  modified: z.string(),
}).readonly();
export type FileMark = z.output<typeof FileMark>;

/** The mark of a file that is there. */
export function markOf({ inode, bytes, born, modified }: FileIdentity): FileMark {
  return {
    inode: String(inode),
    bytes: Number(bytes),
    ...(born !== undefined && { born: String(born) }),
    modified: String(modified),
  };
}

/**
 * Whether two marks are of one file. An inode alone does not tell, as it is soon given to a new file. Where no birth time is
 * told the last change of the content has to do: so a disk that somebody wrote to in between counts as another, and stays.
 */
export function isSameFile(one: FileMark, two: FileMark): boolean {
  if (one.inode !== two.inode || one.bytes !== two.bytes) return false;
  const isBirthTold = one.born !== undefined && two.born !== undefined;
  return isBirthTold ? one.born === two.born : one.modified === two.modified;
}
