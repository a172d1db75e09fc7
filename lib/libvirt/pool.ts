import { inBackground } from "../model/background.ts";
import { VirtxError } from "../model/error.ts";
import type { Connection } from "./connection.ts";
import { libvirtAway } from "./error.ts";

/** How a {@link Pool} is made. */
export interface PoolOptions {
  /** How many tasks run at a time. */
  readonly size: number;
  /** How long a task may take, its wait for a connection included; left out: as long as it takes. */
  readonly timeoutMs?: number;
  readonly open: () => Promise<Connection>;
}

/**
 * Connections for tasks of one sort, opened when first needed and kept. Each task has a connection to itself and a
 * deadline, since nothing can stop a call that libvirt does not answer (a QEMU that hangs blocks the calls about its
 * guest). When the deadline passes, or libvirt is found to be away, the caller is told so at once; the connection leaves
 * service: the task can make no further call on it, and it is closed when the call returns after all. Another takes its
 * place, as long as no more than `size` are stuck, so that libvirt's and Deno's threads do not run out.
 */
export class Pool implements AsyncDisposable {
  readonly #options: PoolOptions;
  readonly #idle: Connection[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #leases = new Set<Lease>();
  readonly #unfinished = new Set<Promise<unknown>>();
  #free: number;
  #stuck = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#free = options.size;
  }

  /** How many tasks run at a time; who has much to ask splits it in so many. */
  get size(): number {
    return this.#options.size;
  }

  /**
   * Runs the task on a connection.
   *
   * @throws VirtxError `timeout` when the deadline passed (the call may still take effect then), and what
   *   {@link reset} was told.
   */
  async use<T>(task: (connection: Connection) => Promise<T>): Promise<T> {
    const lease = new Lease();
    this.#leases.add(lease);
    const { timeoutMs } = this.#options;
    const timer = timeoutMs === undefined
      ? undefined
      : setTimeout(() => this.#expire(lease, timeoutMs), timeoutMs);
    try {
      return await Promise.race([this.#track(this.#run(lease, task)), lease.givenUp]);
    } finally {
      clearTimeout(timer);
      this.#leases.delete(lease);
    }
  }

  /** Gives up all connections and tasks, because libvirt is away: the tasks' callers get this error now. */
  reset(why: VirtxError): void {
    for (const lease of this.#leases) this.#giveUp(lease, why);
    this.#closeIdle();
  }

  /** Closes all connections, each when its call has returned. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#closeIdle();
    await Promise.allSettled(this.#unfinished);
  }

  async #run<T>(lease: Lease, task: (connection: Connection) => Promise<T>): Promise<T> {
    await this.#takeSlot();
    try {
      if (this.#closed) throw libvirtAway("virtxd is ending");
      lease.start();
      const connection = this.#idle.pop() ?? await this.#options.open();
      lease.hold(connection);
      try {
        return await task(connection);
      } finally {
        if (connection.usable && !this.#closed) this.#idle.push(connection);
        else await connection.close();
      }
    } finally {
      if (lease.replaced) this.#stuck--;
      else this.#giveSlot();
    }
  }

  #expire(lease: Lease, timeoutMs: number): void {
    const what = lease.started
      ? "libvirt did not answer"
      : `all ${this.#options.size} connections to libvirt were busy`;
    this.#giveUp(lease, new VirtxError("timeout", `${what} for ${timeoutMs / 1000} s`));
  }

  /** Fails the task now, and lets another run in its place if its call is stuck and not too many are. */
  #giveUp(lease: Lease, why: VirtxError): void {
    lease.giveUp(why);
    if (!lease.started || this.#stuck >= this.#options.size) return;
    this.#stuck++;
    lease.replaced = true;
    this.#giveSlot();
  }

  #closeIdle(): void {
    for (const connection of this.#idle.splice(0)) inBackground(this.#track(connection.close()));
  }

  #takeSlot(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #giveSlot(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }

  /** Remembers the promise until it is settled; how is for those who wait for it. */
  #track<T>(promise: Promise<T>): Promise<T> {
    this.#unfinished.add(promise);
    const forget = () => this.#unfinished.delete(promise);
    promise.then(forget, forget);
    return promise;
  }
}

/** A task's use of the pool, which may be given up before it has its turn, while its connection opens, or later. */
class Lease {
  /** Whether the task has had its turn. */
  started = false;
  /** Whether another task has been let in for it. */
  replaced = false;
  readonly #ending = Promise.withResolvers<never>();
  #connection: Connection | undefined;
  #givenUp: VirtxError | undefined;

  /** Rejects when the task is given up. */
  get givenUp(): Promise<never> {
    return this.#ending.promise;
  }

  /** @throws VirtxError if the task was given up while it waited for its turn. */
  start(): void {
    if (this.#givenUp !== undefined) throw this.#givenUp;
    this.started = true;
  }

  hold(connection: Connection): void {
    this.#connection = connection;
    if (this.#givenUp !== undefined) connection.retire(this.#givenUp);
  }

  giveUp(why: VirtxError): void {
    this.#givenUp = why;
    this.#connection?.retire(why);
    this.#ending.reject(why);
  }
}
