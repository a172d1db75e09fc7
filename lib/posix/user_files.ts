import { VirtxError } from "../model/error.ts";
import { errnoName, PosixError } from "./errno.ts";
import { cString, libcPaths, O_CLOEXEC } from "./symbols.ts";

const SYMBOLS = {
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
  // char *strerror(int errnum);
  strerror: { parameters: ["i32"], result: "pointer" },
  // int open(const char *pathname, int flags, mode_t mode);
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t count);
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // int fsync(int fd);
  fsync: { parameters: ["i32"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
  // int rename(const char *oldpath, const char *newpath);
  rename: { parameters: ["buffer", "buffer"], result: "i32" },
  // int unlink(const char *pathname);
  unlink: { parameters: ["buffer"], result: "i32" },
  // int mkdir(const char *pathname, mode_t mode);
  mkdir: { parameters: ["buffer", "u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** From <fcntl.h>; the same on x86_64 and aarch64. */
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const EEXIST = 17;
const ENOENT = 2;

/** Files for this user alone. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/**
 * The files of the user who calls the client: its configuration, what it keeps for completion, and what an editor is given. By
 * libc, since the executable's permissions let it write nowhere but below /vms, /run/virtxd and /var/lib/virtxd. The calls are synchronous and
 * the files small.
 *
 * PosixError from all methods.
 */
export class UserFiles implements Disposable {
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;

  private constructor(library: Deno.DynamicLibrary<typeof SYMBOLS>) {
    this.#library = library;
  }

  /** Loads libc. VirtxError `unavailable` if it cannot be loaded. */
  static open(paths: readonly string[] = libcPaths()): UserFiles {
    for (const path of paths) {
      try {
        return new UserFiles(Deno.dlopen(path, SYMBOLS));
      } catch {
        // Another distribution keeps it in another place: the next one.
      }
    }
    throw new VirtxError("unavailable", `Cannot load the C library from any of ${paths.join(", ")}`);
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }

  /** Writes a file for this user alone, in place of the one of that name if there is one: whole or not at all. */
  replace(path: string, text: string): void {
    const aside = `${path}.${crypto.randomUUID()}.tmp`;
    this.create(aside, text);
    if (this.#library.symbols.rename(cString(aside), cString(path)) !== 0) {
      const failure = this.#failure(`Cannot write "${path}"`);
      this.#library.symbols.unlink(cString(aside));
      throw failure;
    }
  }

  /** Writes a file that must not be there yet. */
  create(path: string, text: string): void {
    const { open, write, fsync, close } = this.#library.symbols;
    const fd = open(cString(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0) throw this.#failure(`Cannot write "${path}"`);
    try {
      let bytes = new TextEncoder().encode(text);
      while (bytes.length > 0) {
        const count = Number(write(fd, bytes, BigInt(bytes.length)));
        if (count < 0) throw this.#failure(`Cannot write "${path}"`);
        bytes = bytes.subarray(count);
      }
      if (fsync(fd) !== 0) throw this.#failure(`Cannot write "${path}"`);
    } catch (error) {
      this.#library.symbols.unlink(cString(path));
      throw error;
    } finally {
      close(fd);
    }
  }

  /** Removes a file; one that is not there is fine. */
  remove(path: string): void {
    if (this.#library.symbols.unlink(cString(path)) !== 0 && this.#errno() !== ENOENT) {
      throw this.#failure(`Cannot remove "${path}"`);
    }
  }

  /** Makes a directory for this user alone, with those above it; one that is there is fine. */
  makeDirectory(path: string): void {
    const parts = path.split("/").filter((part) => part !== "");
    for (let count = 1; count <= parts.length; count++) {
      const directory = `/${parts.slice(0, count).join("/")}`;
      if (this.#library.symbols.mkdir(cString(directory), DIRECTORY_MODE) !== 0 && this.#errno() !== EEXIST) {
        // What is above may be closed to us and there all the same: the last one tells.
        if (count === parts.length) throw this.#failure(`Cannot make the directory "${directory}"`);
      }
    }
  }

  #errno(): number {
    const at = this.#library.symbols.__errno_location();
    return at ? new Deno.UnsafePointerView(at).getInt32() : 0;
  }

  /** The errno of the call just made, as an error. */
  #failure(what: string): PosixError {
    const errno = this.#errno();
    const text = this.#library.symbols.strerror(errno);
    const reason = text ? Deno.UnsafePointerView.getCString(text) : "unknown reason";
    const code = errnoName(errno);
    const kind = code === "EACCES" || code === "EPERM" || code === "EROFS" ? "denied" : "unavailable";
    return new PosixError(code, `${what}: ${reason} (${code})`, kind);
  }
}
