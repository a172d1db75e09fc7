import { errnoCode, PosixError } from "./errno.ts";

/**
 * File operations on shared storage: Deno's asynchronous functions, which never stall the main thread, with absence
 * as a value and durability made explicit. Errors are Deno's own; see errnoCode.
 */

/** lstat(2): the file itself, a symbolic link not followed; undefined if there is none. */
export async function lstatIfAny(path: string): Promise<Deno.FileInfo | undefined> {
  return await absentAs(undefined, Deno.lstat(path));
}

/** unlink(2); whether there was such a name. */
export async function unlinkIfAny(path: string): Promise<boolean> {
  return await absentAs(false, Deno.remove(path).then(() => true));
}

/** mkdir(2), durable; whether it was missing. */
export async function mkdirIfAbsent(path: string, mode: number): Promise<boolean> {
  try {
    await Deno.mkdir(path, { mode });
  } catch (error) {
    if (errnoCode(error) === "EEXIST") return false;
    throw error;
  }
  await syncDirectory(parentOf(path));
  return true;
}

/** rmdir(2) of a directory that may be gone, or in use by others by now: then nothing happens. Whether it was removed. */
export async function rmdirIfEmpty(path: string): Promise<boolean> {
  const info = await lstatIfAny(path);
  if (!info?.isDirectory) return false; // Deno.remove would unlink a file of that name
  try {
    await Deno.remove(path);
  } catch (error) {
    if (["ENOENT", "ENOTEMPTY", "EEXIST", "EBUSY"].includes(errnoCode(error) ?? "")) return false;
    throw error;
  }
  await syncDirectory(parentOf(path));
  return true;
}

/** fsync(2) of a directory: names made, changed or removed in it before last from now on. */
export async function syncDirectory(path: string): Promise<void> {
  using directory = await Deno.open(path, { read: true });
  await directory.sync();
}

/** The same, of a directory that may be gone. */
export async function syncDirectoryIfAny(path: string): Promise<void> {
  await absentAs(undefined, syncDirectory(path));
}

/** The whole content of a regular file of at most so many bytes; undefined if there is none. */
export async function readRegularFile(
  path: string,
  limitBytes: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const info = await lstatIfAny(path);
  if (!info) return undefined;
  // A FIFO, say, would make open(2) wait.
  if (!info.isFile) throw new PosixError("EINVAL", `"${path}" is not a regular file`, "storage");
  using file = await absentAs(undefined, Deno.open(path, { read: true }));
  if (!file) return undefined;
  // The size may be out of date on a network file system: ask for one byte more than is allowed.
  const content = await readUpTo(file, limitBytes + 1);
  if (content.length > limitBytes) {
    throw new PosixError("EFBIG", `"${path}" is larger than ${limitBytes} bytes`, "storage");
  }
  return content;
}

/** Reads on from where the file stands until its end or until so many bytes are there. */
export async function readUpTo(file: Deno.FsFile, limitBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let left = limitBytes; left > 0;) {
    const part = new Uint8Array(Math.min(left, 64 << 10));
    const count = await file.read(part);
    if (count === null) break;
    parts.push(part.subarray(0, count));
    left -= count;
  }
  return await new Blob(parts).bytes();
}

/** The directory of a path that is not "/". */
export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

async function absentAs<T, A>(absent: A, attempt: Promise<T>): Promise<T | A> {
  try {
    return await attempt;
  } catch (error) {
    if (errnoCode(error) === "ENOENT") return absent;
    throw error;
  }
}
