import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { Connection } from "./connection.ts";
import { Deadline } from "./deadline.ts";
import { libvirtAway } from "./error.ts";

/** How a {@link Pool} is made. */
export interface PoolOptions {
  /** For messages: what its connections are for. */
  readonly name: string;
  /** How many tasks run at a time. */
  readonly size: number;
  /** How long a task may take, its wait for a connection included. */
  readonly timeoutMs: number;
  readonly open: () => Promise<Connection>;
  readonly log: Logger;
}

/**
 * Connections for tasks of one sort, opened when first needed and kept. Each task has a connection to itself and a
 * deadline, since nothing can stop a call that libvirt does not answer (a guest's QEMU that hangs blocks those about
 * that guest). When the deadline passes, the caller is told so, and the connection leaves service: no further call of
 * the task is made on it, and it is closed when the call returns after all. Another takes its place, as long as no more
 * than `size` are stuck, so that libvirt's and Deno's threads do not run out.
 */
export class Pool implements AsyncDisposable {
  readonly #options: PoolOptions;
  readonly #connections = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #tasks = new Set<Promise<unknown>>();
  #free: number;
  #stuck = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#free = options.size;
  }

  /** How many tasks run at most; who has much to ask splits it in so many. */
  get size(): number {
    return this.#options.size;
  }

  /** How many calls are still unanswered. */
  get busy(): number {
    return this.#tasks.size;
  }

  /**
   * Runs the task on a connection.
   *
   * @throws VirtxError `timeout` when the deadline passed; the call may still take effect then.
   */
  async use<T>(task: (connection: Connection) => Promise<T>): Promise<T> {
    const { name, size, timeoutMs } = this.#options;
    using deadline = new Deadline(timeoutMs);
    const slot = this.#takeSlot();
    if (!await deadline.includes(slot)) {
      slot.then(() => this.#giveSlot());
      throw new VirtxError(
        "timeout",
        `all ${size} connections for ${name} were busy for ${timeoutMs / 1000} s`,
      );
    }
    const lease = new Lease();
    const work = this.#track(this.#work(lease, task));
    if (await deadline.includes(work)) return await work;
    const late = new VirtxError("timeout", `libvirt did not answer within ${timeoutMs / 1000} s`);
    this.#abandon(lease, work, late);
    throw late;
  }

  /** Gives up all connections, because libvirt is away: idle ones close now, others when their call returns. */
  reset(why: VirtxError): void {
    for (const connection of this.#connections) connection.retire(why);
    for (const connection of this.#idle.splice(0)) this.#track(this.#close(connection));
  }

  /** Waits for what is under way, for a moment at most; see {@link busy} for what is left then. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.reset(ENDING);
    using grace = new Deadline(GRACE_MS);
    await grace.includes(Promise.allSettled(this.#tasks));
  }

  async #work<T>(lease: Lease, task: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      if (this.#closed) throw ENDING;
      const connection = this.#idle.pop() ?? await this.#open();
      lease.hold(connection);
      try {
        return await task(connection);
      } finally {
        if (connection.usable && !this.#closed) this.#idle.push(connection);
        else await this.#close(connection);
      }
    } finally {
      if (lease.slotTaken) this.#giveSlot();
      else this.#stuck--;
    }
  }

  /** Takes a task's connection out of service, and lets another have its place if not too many are stuck. */
  #abandon(lease: Lease, work: Promise<unknown>, why: VirtxError): void {
    lease.retire(why);
    const since = performance.now();
    work.catch(() => {}).then(() => {
      const ms = Math.round(performance.now() - since);
      this.#options.log.info("libvirt answered a call that was given up", { lane: this.#options.name, ms });
    });
    if (this.#stuck >= this.#options.size) return;
    this.#stuck++;
    lease.slotTaken = false;
    this.#giveSlot();
  }

  async #open(): Promise<Connection> {
    const connection = await this.#options.open();
    this.#connections.add(connection);
    return connection;
  }

  async #close(connection: Connection): Promise<void> {
    this.#connections.delete(connection);
    await connection.close();
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

  #track<T>(task: Promise<T>): Promise<T> {
    this.#tasks.add(task);
    const done = () => this.#tasks.delete(task);
    task.then(done, done);
    return task;
  }
}

/** How long the end waits for calls that are under way. */
const GRACE_MS = 2_000;

const ENDING = libvirtAway("virtxd is ending");

/** A task's hold on a connection, which may be given up before the connection is even open. */
class Lease {
  /** Whether the task still counts among those that run. */
  slotTaken = true;
  #connection: Connection | undefined;
  #retired: VirtxError | undefined;

  hold(connection: Connection): void {
    this.#connection = connection;
    if (this.#retired !== undefined) connection.retire(this.#retired);
  }

  retire(why: VirtxError): void {
    this.#retired = why;
    this.#connection?.retire(why);
  }
}
