import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { networkOf, type SocketAddress } from "../posix/socket_addresses.ts";
import type { Sockets } from "../posix/sockets.ts";

/** How long connections may do what they do, and how many there may be. */
export interface ConnectionLimits {
  /** Of all listeners together. */
  readonly total: number;
  /** Of one IPv4 address, one /64 of IPv6 addresses, or one user of the unix socket. */
  readonly perClient: number;
  /** From its begin until its first request is there. */
  readonly headerMs: number;
  /** From the end of an answer until the next request is there. Longer than our own clients keep theirs. */
  readonly idleMs: number;
  /** For how long a client may take nothing of an answer. */
  readonly stallMs: number;
  /** How often they are looked at. */
  readonly passMs: number;
}

/** A connection is 34 KB of memory at least, and 400 KB in the middle of a body, whatever descriptors there are. */
const TOTAL_MAX = 2_048;
const PER_CLIENT_MAX = 512;
/** A console, which has 30 s, ends itself before it is ended here, and can say why. */
const TIMES = { headerMs: 10_000, idleMs: 75_000, stallMs: 60_000, passMs: 1_000 };
/** More than anybody has to send by a unix socket from one pass to the next, in bytes. */
const UNIX_FLOOD = 32 * 1024 * 1024;
/** So long a look at them is good for those who ask what has come. */
const UNIX_LOOK_MS = 50;
/** For how long there have to be few enough until that is told. */
const CALM_MS = 5_000;
/** How soon it is looked again after too many were found. */
const HURRY_MS = 100;

/** The limits for a process that may have so many descriptors: libvirt, files and other hosts need some as well. */
export function limitsFor(descriptors: number): ConnectionLimits {
  const total = Math.min(TOTAL_MAX, Math.max(8, Math.floor(descriptors / 4)));
  return { total, perClient: Math.min(PER_CLIENT_MAX, Math.max(4, Math.floor(total / 2))), ...TIMES };
}

/** What a listener's requests tell of their connections. */
export interface RequestsOfConnection {
  /** The request is being answered until this settles. */
  busyUntil(ended: Promise<unknown>): void;
  /** The connection is of no use after this request, and will be ended as soon as its client has had time for the answer. */
  hangUpSoon(): void;
  /** Ends it now. */
  hangUp(): void;
  /** How many bytes have come on it; undefined: that cannot be told. */
  receivedBytes(): number | undefined;
}

/** A connection, as far as it is known. */
class Watched {
  /** Where it is counted. */
  network = "";
  fd = -1;
  peer: SocketAddress | undefined;
  /** The number of the pass that saw it last. */
  seen = 0;
  /** When its last request came or was answered; undefined: there was none. */
  askedMs: number | undefined;
  /** How many there were; of a unix socket: how often something came. */
  asked = 0;
  /** How many of its requests are being answered. */
  open = 0;
  /** When it is to be ended, come what may. */
  endMs = Infinity;
  /** Grows, or at least changes, while the client takes what it is sent. */
  taken = 0;
  progressMs: number;

  constructor(readonly firstMs: number) {
    this.progressMs = firstMs;
  }

  get isBusy(): boolean {
    return this.open > 0;
  }
}

/** The time between two passes, and how many requests came in it, and are still being answered. */
class Interval {
  begun = 0;
  open = 0;
}

/** How long a client has for an answer before its connection is ended. */
const LAST_WORDS_MS = 2_000;

/** A TCP connection. Its requests are told to it. */
class WatchedTcp extends Watched implements RequestsOfConnection {
  constructor(readonly keeper: ConnectionKeeper, readonly address: string, readonly port: number) {
    super(keeper.nowMs);
  }

  busyUntil(ended: Promise<unknown>): void {
    this.open++;
    const end = () => {
      this.open--;
      this.askedMs = this.keeper.nowMs;
    };
    ended.then(end, end);
  }

  hangUpSoon(): void {
    this.endMs = performance.now() + LAST_WORDS_MS;
  }

  hangUp(): void {
    this.#find();
    if (this.peer !== undefined) this.keeper.sockets.hangUp(this.fd, this.peer);
  }

  receivedBytes(): number | undefined {
    this.#find();
    return this.fd < 0 ? undefined : this.keeper.sockets.receivedOnTcp(this.fd);
  }

  #find(): void {
    if (this.fd < 0) this.keeper.pass();
  }
}

/** The TCP connections of a listener. */
export class TcpConnections {
  readonly #keeper: ConnectionKeeper;
  /** By the client's port, which tells nearly all of them apart, and is looked up far faster than a text. */
  readonly #byPort = new Map<number, WatchedTcp>();
  /** Those whose port another client has as well, by port and address. */
  readonly #others = new Map<string, WatchedTcp>();

  constructor(keeper: ConnectionKeeper) {
    this.#keeper = keeper;
  }

  get size(): number {
    return this.#byPort.size + this.#others.size;
  }

  *all(): Iterable<WatchedTcp> {
    yield* this.#byPort.values();
    yield* this.#others.values();
  }

  /** A request has come on the connection from there. */
  asked(address: string, port: number): RequestsOfConnection {
    const watched = this.find(address, port);
    watched.askedMs = this.#keeper.nowMs;
    watched.asked++;
    return watched;
  }

  /** The connection from there, which may be a new one. */
  find(address: string, port: number): WatchedTcp {
    const known = this.#byPort.get(port);
    if (known?.address === address) return known;
    const key = `${port} ${address}`;
    const other = known && this.#others.get(key);
    if (other) return other;
    const watched = new WatchedTcp(this.#keeper, address, port);
    watched.seen = this.#keeper.passes + 1; // it is there until the next pass has looked for it
    if (known) this.#others.set(key, watched);
    else this.#byPort.set(port, watched);
    return watched;
  }

  /** Forgets those that a pass has not seen. */
  forget(pass: number): void {
    for (const [port, { seen }] of this.#byPort) if (seen < pass) this.#byPort.delete(port);
    for (const [key, { seen }] of this.#others) if (seen < pass) this.#others.delete(key);
  }
}

/** A connection of a unix socket, where nobody tells which one a request came on. */
class WatchedUnix extends Watched {
  /** Those in which something came on it, and in which a request began that is being answered: it may be its own. */
  readonly intervals = new Set<Interval>();

  override get isBusy(): boolean {
    for (const interval of this.intervals) if (interval.open === 0) this.intervals.delete(interval);
    return this.intervals.size > 0;
  }
}

/**
 * Ends connections that are of no use: Deno.serve has neither limits nor timeouts. From time to time all sockets of the
 * process are looked at. Those that have asked nothing yet, or nothing for a while, or whose clients do not take their
 * answers, are shut down, and so are those that are too many: first who has asked nothing, then who has asked least.
 */
export class ConnectionKeeper implements Disposable {
  readonly limits: ConnectionLimits;
  readonly #sockets: Sockets;
  readonly #health: Health;
  readonly #log: Logger;
  /** By port. */
  readonly #tcp = new Map<number, TcpConnections>();
  /** By path, then by descriptor. */
  readonly #unix = new Map<string, Map<number, WatchedUnix>>();
  #interval = new Interval();
  #now = performance.now();
  #passes = 0;
  /** How many were too many of late, and when the last of them were. */
  #closed = 0;
  #crowdedMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    o: {
      readonly sockets: Sockets;
      readonly limits: ConnectionLimits;
      readonly health: Health;
      readonly log: Logger;
    },
  ) {
    this.#sockets = o.sockets;
    this.#health = o.health;
    this.limits = o.limits;
    this.#log = o.log;
    this.#schedule(o.limits.passMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  /** Begins to look after the connections of a port. */
  watchPort(port: number): TcpConnections {
    const connections = this.#tcp.get(port) ?? new TcpConnections(this);
    this.#tcp.set(port, connections);
    return connections;
  }

  /** Begins to look after the connections of a unix socket, by the path that it was bound to. */
  watchPath(path: string): void {
    this.#unix.set(path, this.#unix.get(path) ?? new Map());
  }

  /** How many there are, as of the last pass. */
  get count(): number {
    let count = 0;
    for (const listener of [...this.#tcp.values(), ...this.#unix.values()]) count += listener.size;
    return count;
  }

  /** A request has come by a unix socket. */
  askedOnUnix(): RequestsOfConnection {
    this.#interval.begun++;
    return new UnixRequest(this, this.#interval);
  }

  get sockets(): Sockets {
    return this.#sockets;
  }

  /** As of the last pass. */
  get nowMs(): number {
    return this.#now;
  }

  get passes(): number {
    return this.#passes;
  }

  /** Looks at all connections, and ends those that have to go. Returns how many there are too many. */
  pass(): number {
    this.#now = performance.now();
    this.#passes++;
    this.#find();
    this.#forgetClosed();
    const clients = new Map<string, Watched[]>();
    for (const watched of this.#all()) {
      const reason = this.#fault(watched);
      if (reason !== undefined) {
        this.#end(watched, reason);
        continue;
      }
      const all = clients.get(watched.network);
      if (all) all.push(watched);
      else clients.set(watched.network, [watched]);
    }
    this.#interval = new Interval();
    return this.#thinOut(clients);
  }

  #schedule(ms: number): void {
    this.#timer = setTimeout(() => {
      const tooMany = this.pass();
      this.#schedule(tooMany > 0 ? Math.min(HURRY_MS, this.limits.passMs) : this.limits.passMs);
    }, ms);
  }

  *#all(): Iterable<Watched> {
    for (const listener of this.#tcp.values()) yield* listener.all();
    for (const listener of this.#unix.values()) yield* listener.values();
  }

  #find(): void {
    for (const fd of this.#sockets.descriptors()) {
      const peer = this.#sockets.peer(fd);
      const local = peer && this.#sockets.local(fd);
      if (peer === undefined || local === undefined) continue;
      const tcp = this.#tcp.get(local.port);
      const unix = this.#unix.get(local.address);
      if (local.port !== 0 && tcp) this.#seeTcp(tcp, fd, peer);
      else if (local.port === 0 && unix) this.#seeUnix(unix, fd, peer);
    }
  }

  #seeTcp(listener: TcpConnections, fd: number, peer: SocketAddress): void {
    const watched = listener.find(peer.address, peer.port);
    if (watched.network === "") watched.network = networkOf(peer.address);
    watched.fd = fd;
    watched.peer = peer;
    watched.seen = this.#passes;
  }

  #seeUnix(listener: Map<number, WatchedUnix>, fd: number, peer: SocketAddress): void {
    let watched = listener.get(fd);
    const received = this.#sockets.receivedOnUnix(fd);
    // A descriptor that was never asked about is a new connection, whatever its number was before.
    if (watched === undefined || received === undefined) {
      watched = new WatchedUnix(this.#now);
      watched.network = `user ${this.#sockets.user(fd) ?? "unknown"}`;
      listener.set(fd, watched);
    }
    watched.fd = fd;
    watched.peer = peer;
    watched.seen = this.#passes;
    if ((received ?? 0) > UNIX_FLOOD) watched.endMs = this.#now;
    const isBusy = watched.isBusy;
    if (received === undefined ? this.#interval.begun > 0 : received > 0) {
      watched.askedMs = this.#now;
      watched.asked++;
      if (this.#interval.open > 0) watched.intervals.add(this.#interval);
    }
    if (isBusy && watched.askedMs !== undefined) watched.askedMs = this.#now;
  }

  #forgetClosed(): void {
    for (const listener of this.#tcp.values()) listener.forget(this.#passes);
    for (const listener of this.#unix.values()) {
      for (const [fd, { seen }] of listener) if (seen < this.#passes) listener.delete(fd);
    }
  }

  /** Why a connection has to go; undefined: it need not. */
  #fault(watched: Watched): string | undefined {
    const { headerMs, idleMs, stallMs } = this.limits;
    const now = this.#now;
    if (now >= watched.endMs) return "its request was given up";
    if (watched.isBusy) {
      const unsent = watched.fd < 0 ? 0 : this.#sockets.unsent(watched.fd);
      // Of a unix socket only that is known: while its reader gets on it goes up and down.
      const taken = this.#sockets.takenOnTcp(watched.fd) ?? unsent;
      if (unsent === 0 || taken !== watched.taken) watched.progressMs = now;
      watched.taken = taken;
      return now - watched.progressMs > stallMs ? "its client does not take the answer" : undefined;
    }
    watched.progressMs = now;
    if (watched.askedMs === undefined) {
      return now - watched.firstMs > headerMs ? "no request came" : undefined;
    }
    return now - watched.askedMs > idleMs ? "no further request came" : undefined;
  }

  #thinOut(clients: Map<string, Watched[]>): number {
    const { perClient, total } = this.limits;
    let tooMany = 0;
    const left: Watched[] = [];
    for (const [network, all] of clients) {
      const surplus = all.length - perClient;
      if (surplus <= 0) left.push(...all);
      else {
        const sorted = all.toSorted(byUse);
        for (const watched of sorted.splice(0, surplus)) this.#end(watched, `too many of ${network}`);
        left.push(...sorted);
        tooMany += surplus;
      }
    }
    if (left.length > total) {
      tooMany += left.length - total;
      for (const watched of left.toSorted(byUse).slice(0, left.length - total)) {
        this.#end(watched, "too many connections");
      }
    }
    this.#tell(tooMany);
    return tooMany;
  }

  /** When they begin to be too many, and when they have not been for a while. */
  #tell(tooMany: number): void {
    if (tooMany > 0) {
      this.#closed += tooMany;
      this.#crowdedMs = this.#now;
      const { total, perClient } = this.limits;
      const bounds = `there may be ${total}, and ${perClient} of one address`;
      const reason = `too many connections (${bounds}): ${this.#closed} were closed`;
      if (this.#health.report("connections", { reason, blocking: false })) {
        this.#log.warn("too many connections: some are closed", { total, perClient });
      }
    } else if (this.#closed > 0 && this.#now - this.#crowdedMs > CALM_MS) {
      this.#health.clear("connections");
      this.#log.info("there are no more connections than there may be", { closed: this.#closed });
      this.#closed = 0;
    }
  }

  #end(watched: Watched, reason: string): void {
    if (watched.fd < 0 || watched.peer === undefined) return;
    this.#log.debug("connection closed", { client: watched.network, reason });
    this.#sockets.hangUp(watched.fd, watched.peer);
  }
}

/**
 * Who is ended first: who has asked nothing, the oldest of them; who is idle, and asked least and longest ago; who is busy, the
 * newest. So those that have been good clients for a while stay.
 */
function byUse(a: Watched, b: Watched): number {
  const classOf = (watched: Watched) => watched.isBusy ? 2 : watched.askedMs === undefined ? 0 : 1;
  const difference = classOf(a) - classOf(b);
  if (difference !== 0) return difference;
  if (a.isBusy) return b.firstMs - a.firstMs;
  if (a.asked !== b.asked) return a.asked - b.asked;
  return (a.askedMs ?? a.firstMs) - (b.askedMs ?? b.firstMs);
}

class UnixRequest implements RequestsOfConnection {
  readonly #keeper: ConnectionKeeper;
  readonly #interval: Interval;

  constructor(keeper: ConnectionKeeper, interval: Interval) {
    this.#keeper = keeper;
    this.#interval = interval;
  }

  busyUntil(ended: Promise<unknown>): void {
    this.#interval.open++;
    const end = () => void this.#interval.open--;
    ended.then(end, end);
  }

  hangUpSoon(): void {
    // Which connection it is on is not known: it ends when it has been idle for too long.
  }

  hangUp(): void {
    // likewise
  }

  /** None that can be told; but a flood on any connection of the socket is noticed in time. */
  receivedBytes(): number {
    if (performance.now() - this.#keeper.nowMs > UNIX_LOOK_MS) this.#keeper.pass();
    return 0;
  }
}
