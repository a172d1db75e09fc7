import type { VirtxError } from "../model/error.ts";
import type { FileIdentity, MountedFile } from "./libc.ts";

/** What lstat(2) tells of a file. */
export interface FileFacts {
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly isSymlink: boolean;
  /** Bytes. */
  readonly size: number;
  /** What it takes on the storage, in 512 bytes; 0 if the file system does not tell. */
  readonly blocks: number;
  /** When it was last written to, UTC milliseconds on the clock of the storage; 0 if the file system does not tell. */
  readonly modifiedAt: number;
}

/**
 * File operations on shared storage, with absence as a value and durability made explicit. Paths are absolute, and are those of
 * one file system. Errors carry an errno's name, see errnoCode; where an operation is refused because the storage does not
 * answer: VirtxError `unavailable`.
 *
 * Each is asked for as a whole, so that it can be carried out elsewhere: see RemoteFiles.
 */
export interface Files {
  /** lstat(2): the file itself, a symbolic link not followed; undefined if there is none. */
  lstat(path: string): Promise<FileFacts | undefined>;
  /** The same of a directory, one in it, one in that, and so on, until one is absent or none; the first may be a link. */
  lstatDown(paths: readonly string[]): Promise<(FileFacts | undefined)[]>;
  /** The whole content of a regular file of at most so many bytes (else EFBIG); undefined if there is none. */
  read(path: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** The first bytes of a file, fewer if it is shorter. */
  readStart(path: string, bytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /** The names of the regular files in a directory. */
  names(directory: string): Promise<string[]>;
  /** The names of the directories in a directory. */
  directories(directory: string): Promise<string[]>;
  /** See Libc. */
  identity(path: string): Promise<FileIdentity | undefined>;
  /** See Libc. */
  mountedFile(path: string): Promise<MountedFile | undefined>;
  /** See Libc. */
  availableBytes(path: string): Promise<number | undefined>;
  /** See Libc. */
  isReadOnly(path: string): Promise<boolean | undefined>;

  /** Makes an empty file of a name that must be free. */
  create(path: string, mode: number): Promise<void>;
  /** Makes a file with that content and mode, whatever the umask, on stable storage; one of that name is removed before. */
  write(path: string, content: Uint8Array<ArrayBuffer>, mode: number): Promise<void>;
  /**
   * Makes a file with that content unless there is one, which then stays, and the directory that it is in, durably: written
   * to a temporary file, and link(2)ed. Whoever else does so at the same instant, one content stands.
   */
  writeOnce(path: string, content: Uint8Array<ArrayBuffer>, mode: number): Promise<void>;
  /** rename(2) */
  rename(path: string, to: string): Promise<void>;
  /** link(2), which unlike rename(2) never replaces. */
  link(path: string, to: string): Promise<void>;
  /** unlink(2); whether there was such a name. */
  unlink(path: string): Promise<boolean>;
  /** mkdir(2), durable; whether it was missing. */
  mkdir(path: string, mode: number): Promise<boolean>;
  /** rmdir(2) of a directory that may be gone, or in use by others by now: then nothing happens. Whether it was removed. */
  rmdirIfEmpty(path: string): Promise<boolean>;
  /** fsync(2) of a directory: names made, changed or removed in it before last from now on. */
  syncDirectory(path: string): Promise<void>;
  /** The same, of a directory that may be gone. */
  syncDirectoryIfAny(path: string): Promise<void>;

  /** fsync(2) of a file that may be large. */
  sync(path: string): Promise<void>;

  /** Why nothing can be read or written now, as far as is known; undefined: it can. At once, from memory. */
  refusal(): VirtxError | undefined;
}

/** Whether a storage answers, for who has to wait for it. */
export interface Responsive {
  /** See {@link Files.refusal}. */
  refusal(): VirtxError | undefined;
  /**
   * The task's outcome, unless the storage turns out to hang before: then VirtxError `timeout`, and the task goes on by itself.
   * @param describe makes the error's message of why
   */
  whileAnswering<T>(task: Promise<T>, describe?: (reason: string) => string): Promise<T>;
}

/** Storage that always answers. */
export const ALWAYS_RESPONSIVE: Responsive = {
  refusal: () => undefined,
  whileAnswering: (task) => task,
};

/** The operations of {@link Files} that touch the storage. */
export type FileCall = Exclude<keyof Files, "refusal">;

/**
 * How an operation behaves that does not come back: a read can be given up, since nothing comes of it; a write cannot, since it
 * may take effect at any time; and how long a bulk write takes tells nothing about the storage.
 */
export type CallKind = "read" | "write" | "bulk";

export const CALL_KINDS: Readonly<Record<FileCall, CallKind>> = {
  lstat: "read",
  lstatDown: "read",
  read: "read",
  readStart: "read",
  names: "read",
  directories: "read",
  identity: "read",
  mountedFile: "read",
  availableBytes: "read",
  isReadOnly: "read",
  create: "write",
  write: "write",
  writeOnce: "write",
  rename: "write",
  link: "write",
  unlink: "write",
  mkdir: "write",
  rmdirIfEmpty: "write",
  syncDirectory: "write",
  syncDirectoryIfAny: "write",
  sync: "bulk",
};

/** The directory of a path that is not "/". */
export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
