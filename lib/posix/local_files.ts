import { errnoCode, PosixError } from "./errno.ts";
import { type FileFacts, type Files, parentOf } from "./files.ts";
import type { FileIdentity, Libc, MountedFile } from "./libc.ts";

/** What Deno's own functions cannot tell. */
type Told = Pick<Libc, "identity" | "mountedFile" | "availableBytes" | "isReadOnly">;

const UNTOLD: Told = {
  identity: () => Promise.resolve(undefined),
  mountedFile: () => Promise.resolve(undefined),
  availableBytes: () => Promise.resolve(undefined),
  isReadOnly: () => Promise.resolve(undefined),
};

/**
 * Carries file operations out on the threads of this isolate: by Deno's own functions, whose errors bring the errno. Closing a
 * file is synchronous, whatever one does, and can hang as well; so for storage that can, this runs in a Worker.
 */
export class LocalFiles implements Files {
  readonly #libc: Told;

  /** @param libc left out: no file can be told from another, and free space is not known */
  constructor(libc: Told = UNTOLD) {
    this.#libc = libc;
  }

  async lstat(path: string): Promise<FileFacts | undefined> {
    const info = await absentAs(undefined, Deno.lstat(path));
    if (info === undefined) return undefined;
    const { isFile, isDirectory, isSymlink, size, blocks, mtime } = info;
    return { isFile, isDirectory, isSymlink, size, blocks: blocks ?? 0, modifiedAt: mtime?.getTime() ?? 0 };
  }

  async lstatDown(paths: readonly string[]): Promise<(FileFacts | undefined)[]> {
    const found: (FileFacts | undefined)[] = [];
    for (const path of paths) {
      const facts = await this.lstat(path);
      found.push(facts);
      if (!facts?.isDirectory && (facts === undefined || found.length > 1)) break;
    }
    return found;
  }

  async read(path: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const info = await this.lstat(path);
    if (!info) return undefined;
    // A FIFO, say, would make open(2) wait.
    if (!info.isFile) throw new PosixError("EINVAL", `"${path}" is not a regular file`, "storage");
    using file = await absentAs(undefined, Deno.open(path, { read: true }));
    if (!file) return undefined;
    // The size may be out of date on a network file system: ask for one byte more than is allowed.
    const content = await readUpTo(file, limitBytes + 1, info.size + 1);
    if (content.length > limitBytes) {
      throw new PosixError("EFBIG", `"${path}" is larger than ${limitBytes} bytes`, "storage");
    }
    return content;
  }

  async readStart(path: string, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    using file = await Deno.open(path, { read: true });
    return await readUpTo(file, bytes, bytes);
  }

  async names(directory: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { name, isFile } of Deno.readDir(directory)) if (isFile) names.push(name);
    return names;
  }

  async directories(directory: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { name, isDirectory } of Deno.readDir(directory)) if (isDirectory) names.push(name);
    return names;
  }

  async identity(path: string): Promise<FileIdentity | undefined> {
    return await this.#libc.identity(path);
  }

  async mountedFile(path: string): Promise<MountedFile | undefined> {
    return await this.#libc.mountedFile(path);
  }

  async availableBytes(path: string): Promise<number | undefined> {
    return await this.#libc.availableBytes(path);
  }

  async isReadOnly(path: string): Promise<boolean | undefined> {
    return await this.#libc.isReadOnly(path);
  }

  async create(path: string, mode: number): Promise<void> {
    (await Deno.open(path, { write: true, createNew: true, mode })).close();
  }

  async write(path: string, content: Uint8Array<ArrayBuffer>, mode: number): Promise<void> {
    // What bears its name is a leftover, and is not written through.
    if (await this.lstat(path)) await Deno.remove(path);
    using file = await Deno.open(path, { write: true, createNew: true, mode });
    for (let rest = content; rest.length > 0;) rest = rest.subarray(await file.write(rest));
    await Deno.chmod(path, mode);
    await file.sync();
  }

  async writeOnce(path: string, content: Uint8Array<ArrayBuffer>, mode: number): Promise<void> {
    const directory = parentOf(path);
    await this.mkdir(directory, 0o750);
    const temporary = `${directory}/.${crypto.randomUUID()}.tmp`;
    try {
      await this.write(temporary, content, mode);
      await this.link(temporary, path).catch((error) => {
        if (errnoCode(error) !== "EEXIST") throw error;
      });
    } finally {
      await this.unlink(temporary).catch(() => {}); // a leftover hurts nobody, and the first failure is the one to tell
    }
    await this.syncDirectory(directory);
  }

  async rename(path: string, to: string): Promise<void> {
    await Deno.rename(path, to);
  }

  async link(path: string, to: string): Promise<void> {
    await Deno.link(path, to);
  }

  async unlink(path: string): Promise<boolean> {
    return await absentAs(false, Deno.remove(path).then(() => true));
  }

  async mkdir(path: string, mode: number): Promise<boolean> {
    try {
      await Deno.mkdir(path, { mode });
    } catch (error) {
      if (errnoCode(error) === "EEXIST") return false;
      throw error;
    }
    await this.syncDirectory(parentOf(path));
    return true;
  }

  async rmdirIfEmpty(path: string): Promise<boolean> {
    const info = await this.lstat(path);
    if (!info?.isDirectory) return false; // Deno.remove would unlink a file of that name
    try {
      await Deno.remove(path);
    } catch (error) {
      if (["ENOENT", "ENOTEMPTY", "EEXIST", "EBUSY"].includes(errnoCode(error) ?? "")) return false;
      throw error;
    }
    await this.syncDirectory(parentOf(path));
    return true;
  }

  async syncDirectory(path: string): Promise<void> {
    using directory = await Deno.open(path, { read: true });
    await directory.sync();
  }

  async syncDirectoryIfAny(path: string): Promise<void> {
    await absentAs(undefined, this.syncDirectory(path));
  }

  async sync(path: string): Promise<void> {
    using file = await Deno.open(path, { write: true });
    await file.sync();
  }

  /** Whether it answers, one finds out by waiting. */
  refusal(): undefined {
    return undefined;
  }
}

/**
 * Reads on from where the file stands until its end or until so many bytes are there.
 * @param likelyBytes how many that should be
 */
async function readUpTo(
  file: Deno.FsFile,
  limitBytes: number,
  likelyBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let content = new Uint8Array(Math.min(limitBytes, likelyBytes));
  let length = 0;
  while (length < limitBytes) {
    if (length === content.length) {
      const larger = new Uint8Array(Math.min(limitBytes, 2 * length));
      larger.set(content);
      content = larger;
    }
    const count = await file.read(content.subarray(length));
    if (count === null) break;
    length += count;
  }
  return content.slice(0, length);
}

async function absentAs<T, A>(absent: A, attempt: Promise<T>): Promise<T | A> {
  try {
    return await attempt;
  } catch (error) {
    if (errnoCode(error) === "ENOENT") return absent;
    throw error;
  }
}
