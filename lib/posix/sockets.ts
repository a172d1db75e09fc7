import { VirtxError } from "../model/error.ts";
import { parseSocketAddress, type SocketAddress } from "./socket_addresses.ts";
import { cString, libcPaths, O_CLOEXEC, O_RDONLY } from "./symbols.ts";

const SYMBOLS = {
  // int open(const char *pathname, int flags, ...);
  open: { parameters: ["buffer", "i32"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
  // ssize_t getdents64(int fd, void *dirp, size_t count);
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // int getpeername(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getsockopt(int sockfd, int level, int optname, void *optval, socklen_t *optlen);
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int sockfd, int level, int optname, const void *optval, socklen_t optlen);
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // int ioctl(int fd, unsigned long op, ...);
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  // int fcntl(int fd, int op, ...);
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int shutdown(int sockfd, int how);
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  // int getrlimit(int resource, struct rlimit *rlim);
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** From <fcntl.h>, <sys/socket.h>, <linux/tcp.h>, <sys/resource.h> and <asm-generic/ioctls.h>; equal on x86_64 and aarch64. */
const F_DUPFD_CLOEXEC = 1030;
const SHUT_RDWR = 2;
const SOL_SOCKET = 1, SO_PEERCRED = 17, SO_PEEK_OFF = 42;
const SOL_TCP = 6, TCP_INFO = 11;
const SIOCOUTQ = 0x5411n;
const RLIMIT_NOFILE = 7;
/** sizeof(struct sockaddr_storage). */
const SOCKADDR_SIZE = 128;
/** struct tcp_info up to and with tcpi_bytes_received, and where that and tcpi_bytes_acked lie. */
const TCP_INFO_SIZE = 136, BYTES_ACKED = 120, BYTES_RECEIVED = 128;
/** struct linux_dirent64: d_reclen, d_name. */
const RECLEN = 16, NAME = 19;
/** From where {@link Sockets.receivedOnUnix} counts down. */
const PEEK_START = 0x7fffffff;

/** The highest number of a descriptor that is tried where they cannot be listed. */
const NUMBERS_MAX = 65_536;

/** The sockets of this process, by FFI: what the runtime's servers neither tell nor do. */
export class Sockets implements Disposable {
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  readonly #entries = new Uint8Array(64 * 1024);
  readonly #address = new Uint8Array(SOCKADDR_SIZE);
  readonly #length = new Uint32Array(1);
  readonly #number = new Int32Array(1);
  readonly #info = new Uint8Array(TCP_INFO_SIZE);

  private constructor(library: Deno.DynamicLibrary<typeof SYMBOLS>) {
    this.#library = library;
  }

  /** Loads the first of the paths that can be loaded. VirtxError `unavailable` if none can. */
  static open(paths: readonly string[] = libcPaths()): Sockets {
    const reasons: string[] = [];
    for (const path of paths) {
      try {
        return new Sockets(Deno.dlopen(path, SYMBOLS));
      } catch (error) {
        reasons.push(error instanceof Error ? error.message : String(error));
      }
    }
    throw new VirtxError("unavailable", `Cannot load the C library: ${reasons.join("; ")}`);
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }

  /** How many descriptors the process may have: the soft RLIMIT_NOFILE. */
  get descriptorLimit(): number {
    const limits = new BigUint64Array(2);
    if (this.#library.symbols.getrlimit(RLIMIT_NOFILE, limits) !== 0) return 1_024;
    return Number(limits[0]);
  }

  /** All descriptors that are open, from /proc/self/fd; where none is left to look there with, all that there can be. */
  descriptors(): number[] {
    const { open, close, getdents64 } = this.#library.symbols;
    const directory = open(cString("/proc/self/fd"), O_RDONLY | O_CLOEXEC);
    if (directory < 0) {
      return Array.from({ length: Math.min(this.descriptorLimit, NUMBERS_MAX) }, (_, fd) => fd);
    }
    const found: number[] = [];
    try {
      const view = new DataView(this.#entries.buffer);
      for (;;) {
        const count = Number(getdents64(directory, this.#entries, BigInt(this.#entries.length)));
        if (count <= 0) return found;
        for (let at = 0; at < count; at += view.getUint16(at + RECLEN, true)) {
          const fd = this.#numberAt(at + NAME);
          if (fd !== undefined && fd !== directory) found.push(fd);
        }
      }
    } finally {
      close(directory);
    }
  }

  /** Who is at the other end; undefined: it is no connected socket. */
  peer(fd: number): SocketAddress | undefined {
    this.#length[0] = SOCKADDR_SIZE;
    if (this.#library.symbols.getpeername(fd, this.#address, this.#length) !== 0) return undefined;
    return parseSocketAddress(this.#address, this.#length[0] ?? 0);
  }

  /** Where this end is; undefined: it is no socket. */
  local(fd: number): SocketAddress | undefined {
    this.#length[0] = SOCKADDR_SIZE;
    if (this.#library.symbols.getsockname(fd, this.#address, this.#length) !== 0) return undefined;
    return parseSocketAddress(this.#address, this.#length[0] ?? 0);
  }

  /** The user whose process is at the other end of a unix socket; undefined: that cannot be told. */
  user(fd: number): number | undefined {
    const credentials = new Uint32Array(3); // struct ucred: pid, uid, gid
    this.#length[0] = credentials.byteLength;
    const { getsockopt } = this.#library.symbols;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, this.#length) === 0
      ? credentials[1]
      : undefined;
  }

  /** How many bytes have come over a TCP connection; undefined: that cannot be told. */
  receivedOnTcp(fd: number): number | undefined {
    return this.#tcpInfo(fd, BYTES_RECEIVED);
  }

  /** How many bytes the other end of a TCP connection has taken, as far as it has said so; undefined: it is none. */
  takenOnTcp(fd: number): number | undefined {
    return this.#tcpInfo(fd, BYTES_ACKED);
  }

  /**
   * How many bytes have been read from a unix connection since it was asked last; undefined: it is asked for the first time, or
   * that cannot be told. The kernel has no such count, but the offset for peeking (SO_PEEK_OFF, socket(7)) goes down by
   * what is read. Nothing peeks here.
   */
  receivedOnUnix(fd: number): number | undefined {
    const { getsockopt, setsockopt } = this.#library.symbols;
    this.#length[0] = 4;
    if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, this.#number, this.#length) !== 0) return undefined;
    const left = this.#number[0] ?? -1;
    if (left !== PEEK_START) {
      this.#number[0] = PEEK_START;
      setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, this.#number, 4);
    }
    return left < 0 ? undefined : PEEK_START - left;
  }

  /** How many bytes were sent that the other end's kernel, of a unix socket its program, has not taken (SIOCOUTQ). */
  unsent(fd: number): number {
    return this.#library.symbols.ioctl(fd, SIOCOUTQ, this.#number) === 0 ? this.#number[0] ?? 0 : 0;
  }

  /**
   * Ends a connection in both directions. Its owner finds that out, and closes it.
   * @param peer who was at its other end: if it is another one, the number has been given to another connection meanwhile
   */
  hangUp(fd: number, peer: SocketAddress): void {
    const { fcntl, shutdown, close } = this.#library.symbols;
    const copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); // which nobody else can close; there may be none left for it
    const own = copy < 0 ? fd : copy;
    const found = this.peer(own);
    if (found?.address === peer.address && found.port === peer.port) shutdown(own, SHUT_RDWR);
    if (copy >= 0) close(copy);
  }

  /** Ends a socket of any kind in both directions, so that a listener accepts no more. */
  end(fd: number): void {
    this.#library.symbols.shutdown(fd, SHUT_RDWR);
  }

  #tcpInfo(fd: number, at: number): number | undefined {
    this.#length[0] = TCP_INFO_SIZE;
    const { getsockopt } = this.#library.symbols;
    if (getsockopt(fd, SOL_TCP, TCP_INFO, this.#info, this.#length) !== 0) return undefined;
    if ((this.#length[0] ?? 0) < TCP_INFO_SIZE) return undefined;
    return Number(new DataView(this.#info.buffer).getBigUint64(at, true));
  }

  #numberAt(start: number): number | undefined {
    let number = 0;
    for (let at = start;; at++) {
      const byte = this.#entries[at] ?? 0;
      if (byte === 0) return number;
      if (byte < 0x30 || byte > 0x39) return undefined; // "." and ".."
      number = number * 10 + byte - 0x30;
    }
  }
}
