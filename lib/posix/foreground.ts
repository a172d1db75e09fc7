import { VirtxError } from "../model/error.ts";
import { errnoName, PosixError } from "./errno.ts";
import { cString, libcPaths } from "./symbols.ts";

const SYMBOLS = {
  // int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *file_actions,
  //                  const posix_spawnattr_t *attrp, char *const argv[], char *const envp[]);
  posix_spawnp: {
    parameters: ["buffer", "buffer", "pointer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  // int posix_spawnattr_init(posix_spawnattr_t *attr);
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  // int posix_spawnattr_setflags(posix_spawnattr_t *attr, short flags);
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  // int posix_spawnattr_setsigdefault(posix_spawnattr_t *attr, const sigset_t *sigdefault);
  posix_spawnattr_setsigdefault: { parameters: ["buffer", "buffer"], result: "i32" },
  // int sigemptyset(sigset_t *set);
  sigemptyset: { parameters: ["buffer"], result: "i32" },
  // int sigaddset(sigset_t *set, int signum);
  sigaddset: { parameters: ["buffer", "i32"], result: "i32" },
  // pid_t waitpid(pid_t pid, int *wstatus, int options);
  waitpidOnPool: { name: "waitpid", parameters: ["i32", "buffer", "i32"], result: "i32", nonblocking: true },
} as const satisfies Deno.ForeignLibraryInterface;

/** sizeof(posix_spawnattr_t) is 336 and sizeof(sigset_t) 128 on 64-bit glibc; with room to spare. */
const ATTRIBUTES_SIZE = 512;
const SIGNAL_SET_SIZE = 128;
/** <spawn.h>, <signal.h>. */
const POSIX_SPAWN_SETSIGDEF = 0x04;
const SIGPIPE = 13;
/** waitpid(2) was interrupted so many times at most before something else must be wrong. */
const RETRIES = 100;

export interface ForegroundOptions {
  /** Program, looked up in PATH, and arguments. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Where libc is looked for. */
  readonly libc?: readonly string[];
}

/**
 * Runs a program that has our terminal until it ends, such as an editor; its exit code, 128 + the signal's number for one
 * that a signal has ended. By posix_spawnp(3), since the executable's permissions let it run nothing but qemu-img.
 *
 * VirtxError `unavailable` if it cannot be run.
 */
export async function runInForeground(o: ForegroundOptions): Promise<number> {
  using library = openLibrary(o.libc ?? libcPaths());
  const { symbols } = library;
  const [program = ""] = o.argv;
  const argv = new Strings(o.argv);
  const envp = new Strings(Object.entries(o.env).map(([name, value]) => `${name}=${value}`));
  const attributes = new Uint8Array(ATTRIBUTES_SIZE);
  const signals = new Uint8Array(SIGNAL_SET_SIZE);
  symbols.posix_spawnattr_init(attributes);
  symbols.sigemptyset(signals);
  symbols.sigaddset(signals, SIGPIPE); // ignored by our runtime, which others do not expect to inherit
  symbols.posix_spawnattr_setsigdefault(attributes, signals);
  symbols.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF);
  const pid = new Int32Array(1);
  const errno = symbols.posix_spawnp(
    bytesOf(pid),
    cString(program),
    null,
    attributes,
    argv.pointers,
    envp.pointers,
  );
  if (errno !== 0) {
    const code = errnoName(errno);
    const why = code === "ENOENT" ? "there is no such program" : code;
    throw new PosixError(code, `Cannot run "${program}": ${why}`, "unavailable");
  }
  const status = new Int32Array(1);
  for (let n = 0; n < RETRIES; n++) {
    if (await symbols.waitpidOnPool(pid[0] ?? -1, bytesOf(status), 0) > 0) return exitCodeOf(status[0] ?? 0);
  }
  throw new VirtxError("internal", `Cannot wait for "${program}"`);
}

function openLibrary(paths: readonly string[]): Deno.DynamicLibrary<typeof SYMBOLS> & Disposable {
  for (const path of paths) {
    try {
      const library = Deno.dlopen(path, SYMBOLS);
      return Object.assign(library, { [Symbol.dispose]: () => library.close() });
    } catch {
      // Another distribution keeps it in another place: the next one.
    }
  }
  throw new VirtxError("unavailable", `Cannot load the C library from any of ${paths.join(", ")}`);
}

/** An array of C strings with NULL at its end; it must outlive the call that it is for. */
class Strings {
  readonly #texts: readonly Uint8Array<ArrayBuffer>[];
  readonly pointers: BigUint64Array<ArrayBuffer>;

  constructor(texts: readonly string[]) {
    this.#texts = texts.map(cString);
    this.pointers = BigUint64Array.from([
      ...this.#texts.map((text) => BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(text)))),
      0n,
    ]);
  }
}

function bytesOf(array: Int32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer);
}

/** WIFEXITED, WEXITSTATUS and WTERMSIG of waitpid(2). */
function exitCodeOf(status: number): number {
  const signal = status & 0x7f;
  return signal === 0 ? (status >> 8) & 0xff : 128 + signal;
}
