/**
 * What is called in libc, each with its C prototype, for glibc on 64-bit Linux (x86_64 and aarch64, where pointers,
 * `long` and `size_t` have 64 bits and variadic arguments travel like any other).
 */
export const LIBC_SYMBOLS = {
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
  // char *strerror(int errnum);
  strerror: { parameters: ["i32"], result: "pointer" },
  // int open(const char *pathname, int flags, ...);
  open: { parameters: ["buffer", "i32"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count);
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // long syscall(SYS_openat2, int dirfd, const char *pathname, const struct open_how *how, size_t size);
  openat2: { name: "syscall", parameters: ["i64", "i32", "buffer", "buffer", "usize"], result: "i64" },
  // int statx(int dirfd, const char *pathname, int flags, unsigned int mask, struct statx *buf);
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  statxOnPool: {
    name: "statx",
    parameters: ["i32", "buffer", "i32", "u32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  // int malloc_trim(size_t pad);
  mallocTrimOnPool: { name: "malloc_trim", parameters: ["usize"], result: "i32", nonblocking: true },
  // mode_t umask(mode_t mask);
  umask: { parameters: ["u32"], result: "u32" },
  // int madvise(void *addr, size_t length, int advice); the address as the number that it is
  madvise: { parameters: ["usize", "usize", "i32"], result: "i32" },
  // int statvfs(const char *path, struct statvfs *buf);
  statvfsOnPool: { name: "statvfs", parameters: ["buffer", "buffer"], result: "i32", nonblocking: true },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Where distributions keep glibc for this machine, Debian's multiarch directories first. Full paths, because a bare
 * name is looked up in the current directory once the permission to load libraries names files.
 */
export function libcPaths(arch: string = Deno.build.arch): readonly string[] {
  return [`/usr/lib/${arch}-linux-gnu`, `/lib/${arch}-linux-gnu`, "/usr/lib64", "/lib64"]
    .map((directory) => `${directory}/libc.so.6`);
}

/** From <fcntl.h>, <sys/mman.h> and <linux/openat2.h>; the same on x86_64 and aarch64 but for O_DIRECTORY, which is left unused. */
export const O_RDONLY = 0;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EMPTY_PATH = 0x1000;
export const MADV_DONTNEED = 4;
export const SYS_OPENAT2 = 437n;
export const RESOLVE_NO_MAGICLINKS = 0x02n;
export const RESOLVE_BENEATH = 0x08n;

/** struct open_how { __u64 flags; __u64 mode; __u64 resolve; } of openat2(2). */
export function openHow(flags: number, resolve: bigint): BigUint64Array<ArrayBuffer> {
  return BigUint64Array.of(BigInt(flags), 0n, resolve);
}

/** A string as C wants it. A NUL inside would silently cut it, so it is refused. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError(`A NUL character in ${JSON.stringify(text)}`);
  return new TextEncoder().encode(text + "\0");
}
