import { VirtxError } from "../model/error.ts";
import { errnoCode, errnoName, PosixError } from "./errno.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  cString,
  LIBC_SYMBOLS,
  libcPaths,
  MADV_DONTNEED,
  O_CLOEXEC,
  O_PATH,
  O_RDONLY,
  openHow,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  SYS_OPENAT2,
} from "./symbols.ts";
import { programRanges } from "./memory_map.ts";
import {
  availableBytes,
  isReadOnly,
  STATVFS_SIZE,
  Statx,
  STATX_BASIC,
  STATX_BTIME,
  STATX_MOUNT_ID,
  STATX_SIZE,
} from "./structs.ts";

/** More than any file of /proc or /sys that is read here can have. */
const KERNEL_FILE_LIMIT = 16 << 20;
/** What is asked of a file. */
const STATX_TOLD = STATX_BASIC | STATX_BTIME;

/**
 * What makes two names the same file at one moment: device and inode, exactly (64 bits, which Deno's FileInfo rounds). A file
 * system gives the inode of a file that is gone to a new one; by the rest, the two can be told apart.
 */
export interface FileIdentity {
  /** "major:minor" of the device with the file system. */
  readonly device: string;
  readonly inode: bigint;
  readonly bytes: bigint;
  /** When it was made, in nanoseconds since the epoch; undefined if the file system does not tell. */
  readonly born: bigint | undefined;
  /** When its content last changed, in nanoseconds since the epoch. */
  readonly modified: bigint;
}

/** A file, and the mount by which its path leads to it. */
export interface MountedFile extends FileIdentity {
  /** Of the mount, while that lasts; 0: the kernel does not tell. */
  readonly mountId: bigint;
  /** Whether something is mounted at this very path. */
  readonly isMountRoot: boolean;
}

/**
 * libc by FFI, for what Deno's file functions cannot do: read /proc and /sys with less than all permissions, resolve
 * a name without leaving a directory, tell the exact inode and the free space.
 *
 * A synchronous call fails on this very thread, so its errno can be read; only the kernel's own file systems, which
 * never hang, are used that way. What may touch shared storage runs on the thread pool, where errno is lost: such
 * methods answer `undefined` for "could not be told". All else on shared storage goes through Deno's own
 * asynchronous file functions, which run on the same pool and do bring the errno (see tree.ts).
 *
 * Constructed once; dispose it last.
 */
export class Libc implements Disposable {
  readonly #library: Deno.DynamicLibrary<typeof LIBC_SYMBOLS>;
  /** Where the main thread's errno lies; fixed for the life of the thread. */
  readonly #errno: Deno.UnsafePointerView;

  private constructor(library: Deno.DynamicLibrary<typeof LIBC_SYMBOLS>, errno: Deno.UnsafePointerView) {
    this.#library = library;
    this.#errno = errno;
  }

  /** Loads the first of the paths that can be loaded. VirtxError `unavailable` if none can. */
  static open(paths: readonly string[] = libcPaths()): Libc {
    const reasons: string[] = [];
    for (const path of paths) {
      let library;
      try {
        library = Deno.dlopen(path, LIBC_SYMBOLS);
      } catch (error) {
        reasons.push(error instanceof Error ? error.message : String(error));
        continue;
      }
      const errno = library.symbols.__errno_location();
      if (errno) return new Libc(library, new Deno.UnsafePointerView(errno));
      library.close();
      reasons.push(`${path}: __errno_location() gave NULL`);
    }
    throw new VirtxError("unavailable", `Cannot load the C library: ${reasons.join("; ")}`);
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }

  /** umask(2): takes these permissions from all files and directories that are made from now on. */
  setUmask(mask: number): void {
    this.#library.symbols.umask(mask);
  }

  /** malloc_trim(3): gives what malloc keeps of freed memory back to the system. */
  async trimMemory(): Promise<void> {
    await this.#library.symbols.mallocTrimOnPool(0n);
  }

  /**
   * madvise(2), MADV_DONTNEED: a program's code and constants count as resident no longer. Most of them served the start alone;
   * what is needed again comes from the page cache at once.
   * @param path the full path of the program that this process runs
   */
  forgetProgram(path: string): void {
    for (const { begin, bytes } of programRanges(this.readKernelFile("/proc/self/maps"), path)) {
      this.#library.symbols.madvise(begin, bytes, MADV_DONTNEED);
    }
  }

  /** The whole text of a file of /proc or /sys. PosixError if it cannot be read. */
  readKernelFile(path: string): string {
    const { open, read, close } = this.#library.symbols;
    const fd = open(cString(path), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw this.#failure(`Cannot open "${path}"`);
    try {
      let content = new Uint8Array(64 << 10);
      for (let length = 0;;) {
        const count = Number(read(fd, content.subarray(length), BigInt(content.length - length)));
        if (count < 0) throw this.#failure(`Cannot read "${path}"`);
        if (count === 0) return new TextDecoder().decode(content.subarray(0, length));
        length += count;
        if (length < content.length) continue;
        if (length >= KERNEL_FILE_LIMIT) {
          throw new PosixError(
            "EFBIG",
            `Cannot read "${path}": it is larger than ${KERNEL_FILE_LIMIT} bytes`,
          );
        }
        const larger = new Uint8Array(content.length * 4);
        larger.set(content);
        content = larger;
      }
    } finally {
      close(fd);
    }
  }

  /** The same, or undefined if there is no such file (a CPU without frequency scaling, say). */
  findKernelFile(path: string): string | undefined {
    try {
      return this.readKernelFile(path);
    } catch (error) {
      if (errnoCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /**
   * The size in bytes of a block device, by its path below /dev, which may be a symbolic link of udev's. The device
   * is not opened (that could hang, or make the kernel look for partitions): the node is looked at, and sysfs knows
   * the size. The path may not lead out of /dev. PosixError: ENOENT, EXDEV (leads out), ENOTBLK, ….
   */
  blockDeviceBytes(path: string): number {
    const node = this.#statBeneath("/dev", path);
    if (!node.isBlockDevice) throw new PosixError("ENOTBLK", `"${path}" is not a block device`);
    const sectors = Number(this.readKernelFile(`/sys/dev/block/${node.deviceNumber}/size`));
    return sectors * 512; // sysfs counts in 512 bytes, whatever the device's own sector size
  }

  /**
   * What makes a block device the same one on every host that sees it, by its path below /dev: the UUID of device-mapper
   * (multipath, LVM) or the world-wide name; undefined for one that has none, such as a loop device. PosixError as above.
   */
  blockDeviceName(path: string): string | undefined {
    const { deviceNumber } = this.#statBeneath("/dev", path);
    const names = ["dm/uuid", "wwid", "device/wwid"].map((file) =>
      this.findKernelFile(`/sys/dev/block/${deviceNumber}/${file}`)?.trim()
    );
    return names.find((name) => name !== undefined && name !== "");
  }

  /** Which file the path names, a symbolic link being a file of its own; undefined if that cannot be told. */
  async identity(path: string): Promise<FileIdentity | undefined> {
    const found = await this.#statxOnPool(path, STATX_TOLD);
    return found && identityOf(found);
  }

  /** The same, with the mount by which it is reached. */
  async mountedFile(path: string): Promise<MountedFile | undefined> {
    const found = await this.#statxOnPool(path, STATX_TOLD | STATX_MOUNT_ID);
    return found && { ...identityOf(found), mountId: found.mountId, isMountRoot: found.isMountRoot };
  }

  /** Bytes that are still free for us on the file system of a path; undefined if that cannot be told. */
  async availableBytes(path: string): Promise<number | undefined> {
    const found = await this.#statvfsOnPool(path);
    return found && availableBytes(found);
  }

  /** Whether the file system of a path takes no writes; undefined if that cannot be told. */
  async isReadOnly(path: string): Promise<boolean | undefined> {
    const found = await this.#statvfsOnPool(path);
    return found && isReadOnly(found);
  }

  /** A symbolic link is not followed. */
  async #statxOnPool(path: string, mask: number): Promise<Statx | undefined> {
    const buffer = new Uint8Array(STATX_SIZE);
    const { statxOnPool } = this.#library.symbols;
    const failed = await statxOnPool(AT_FDCWD, cString(path), AT_SYMLINK_NOFOLLOW, mask, buffer) !== 0;
    return failed ? undefined : new Statx(buffer);
  }

  async #statvfsOnPool(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const buffer = new Uint8Array(STATVFS_SIZE);
    return await this.#library.symbols.statvfsOnPool(cString(path), buffer) === 0 ? buffer : undefined;
  }

  /** openat2(2) + statx(2): symbolic links are followed, but never out of the directory. */
  #statBeneath(directory: string, path: string): Statx {
    const { open, openat2, statx, close } = this.#library.symbols;
    const base = open(cString(directory), O_PATH | O_CLOEXEC);
    if (base < 0) throw this.#failure(`Cannot open "${directory}"`);
    try {
      const how = openHow(O_PATH | O_CLOEXEC, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
      const relative = path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : path;
      const fd = Number(openat2(SYS_OPENAT2, base, cString(relative), how, BigInt(how.byteLength)));
      if (fd < 0) {
        throw this.#failure(`Cannot look up "${path}"`, { ENOSYS: "openat2 needs Linux 5.6 or later" });
      }
      try {
        const buffer = new Uint8Array(STATX_SIZE);
        if (statx(fd, cString(""), AT_EMPTY_PATH, STATX_BASIC, buffer) !== 0) {
          throw this.#failure(`Cannot stat "${path}"`);
        }
        return new Statx(buffer);
      } finally {
        close(fd);
      }
    } finally {
      close(base);
    }
  }

  /** The errno of the synchronous call just made, as an error. */
  #failure(what: string, hints: Readonly<Record<string, string>> = {}): PosixError {
    const errno = this.#errno.getInt32();
    const code = errnoName(errno);
    const text = this.#library.symbols.strerror(errno);
    const reason = hints[code] ?? (text ? Deno.UnsafePointerView.getCString(text) : "unknown reason");
    return new PosixError(code, `${what}: ${reason} (${code})`);
  }
}

function identityOf({ fileSystem, inode, bytes, born, modified }: Statx): FileIdentity {
  return { device: fileSystem, inode, bytes, born, modified };
}
