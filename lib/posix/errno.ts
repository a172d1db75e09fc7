import { type ErrorKind, errorMessage, VirtxError } from "../model/error.ts";

/** The names of errno(3) that files can bring, by asm-generic number (x86_64 and aarch64 agree on them). */
const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  18: "EXDEV",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  26: "ETXTBSY",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  31: "EMLINK",
  36: "ENAMETOOLONG",
  38: "ENOSYS",
  39: "ENOTEMPTY",
  40: "ELOOP",
  75: "EOVERFLOW",
  95: "EOPNOTSUPP",
  110: "ETIMEDOUT",
  116: "ESTALE",
  122: "EDQUOT",
};

/** The symbolic name of an errno, "errno 99" for one without a place in the table. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES[errno] ?? `errno ${errno}`;
}

/** A system call that failed; `code` is the errno's name, as in Deno's own file errors. */
export class PosixError extends VirtxError {
  readonly code: string;

  constructor(code: string, message: string, kind: ErrorKind = "internal") {
    super(kind, message);
    this.code = code;
  }

  override get isDefect(): boolean {
    return false;
  }
}

/**
 * The errno name ("ENOSPC") behind an error of ours or of Deno's file functions, through any causes; undefined if
 * no system call failed.
 */
export function errnoCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string" && /^E[A-Z0-9]+$/.test(at.code)) return at.code;
  }
  return undefined;
}

/** Why a file operation failed, for people: "No space left on device (ENOSPC)". */
export function systemReason(error: unknown): string {
  const code = errnoCode(error);
  const message = errorMessage(error);
  const words = /^(.*?) \(os error \d+\)/.exec(message)?.[1]; // Deno adds the number and the path
  return words && code ? `${words} (${code})` : message;
}
