import { VirtxError } from "../model/error.ts";
import type { Connection } from "./connection.ts";
import type { Connections } from "./connections.ts";
import { libvirtAway } from "./error.ts";

/**
 * How many calls several lanes may have under way together, answered or not. Each takes one of Deno's 32 blocking threads, which
 * serve files and crypto.subtle as well, and one of libvirtd's workers (`max_workers`, 20), which serve virsh as well.
 */
export class Budget {
  readonly #size: number;
  readonly #lanes: (() => void)[] = [];
  #used = 0;

  constructor(size: number) {
    this.#size = size;
  }

  get exhausted(): boolean {
    return this.#used >= this.#size;
  }

  /** Calls this whenever something is given back. */
  onFree(admit: () => void): void {
    this.#lanes.push(admit);
  }

  /** Only if it is not {@link exhausted}. */
  take(): void {
    this.#used++;
  }

  give(): void {
    this.#used--;
    for (const admit of this.#lanes) admit();
  }
}

/** How a {@link Lane} is made. */
export interface LaneOptions {
  /** How many tasks run at a time, as long as libvirt answers. */
  readonly size: number;
  /** How many may be under way, those included that libvirt does not answer; left out: `size`. */
  readonly most?: number;
  /** After how long a task counts as slow, so that another may run beside it; left out: never. */
  readonly patienceMs?: number;
  /** How long a task may take, its wait for a turn included; left out: as long as it takes. */
  readonly timeoutMs?: number;
  readonly budget?: Budget;
  readonly connections: Connections;
  /** What libvirt does not answer, for who has waited for a turn in vain. */
  readonly unanswered?: () => string | undefined;
}

/** What one task wants otherwise than its {@link Lane}. */
export interface TaskOptions {
  readonly timeoutMs?: number | undefined;
  /** Gives up the wait for a turn; a task that runs is not stopped by it. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The way to libvirt for tasks of one sort, so that those of another sort do not wait for them. Each task has a connection to
 * itself and a deadline, since nothing can stop a call that libvirt does not answer (a QEMU that hangs blocks the calls about
 * its guest). A task that is slow lets another run beside it. When the deadline passes, or libvirt is found to be away, the
 * caller is told so at once; the task can make no further call, and its connection is closed when the call returns after all.
 * No more than `most` are ever under way, so that libvirtd's workers and Deno's threads do not run out.
 */
export class Lane implements AsyncDisposable {
  readonly #o: LaneOptions;
  readonly #waiting: Turn[] = [];
  readonly #turns = new Set<Turn>();
  readonly #unfinished = new Set<Promise<unknown>>();
  /** Tasks under way that count as running, and those that are slow. */
  #running = 0;
  #slow = 0;
  #closed = false;

  constructor(options: LaneOptions) {
    this.#o = options;
    options.budget?.onFree(() => this.#admit());
  }

  /** How many tasks run at a time; who has much to ask splits it in so many. */
  get size(): number {
    return this.#o.size;
  }

  /** Whether no task can run because libvirt does not answer those that are under way. */
  get stuck(): boolean {
    return this.#slow > 0 && this.#running === 0 && this.#full;
  }

  /**
   * Runs the task on a connection.
   *
   * @throws VirtxError `timeout` when the deadline passed (a call that is under way may still take effect), `unavailable` when it
   *   passed before the task had its turn, the signal's reason, and what {@link reset} was told.
   */
  async use<T>(task: (connection: Connection) => Promise<T>, options: TaskOptions = {}): Promise<T> {
    const { timeoutMs = this.#o.timeoutMs, signal } = options;
    if (this.#closed) throw libvirtAway("virtxd is ending");
    const turn = new Turn();
    const timer = timeoutMs === undefined
      ? undefined
      : setTimeout(() => this.#expire(turn, timeoutMs), timeoutMs);
    const leave = () => {
      if (!turn.begun) this.#giveUp(turn, VirtxError.wrap(signal?.reason, "it was given up"));
    };
    signal?.addEventListener("abort", leave);
    this.#turns.add(turn);
    this.#waiting.push(turn);
    const running = this.#track(this.#run(turn, task));
    if (signal?.aborted) leave();
    this.#admit();
    try {
      return await Promise.race([running, turn.givenUp]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", leave);
      this.#turns.delete(turn);
    }
  }

  /** Gives up all tasks, because libvirt is away: their callers get this error now. */
  reset(why: VirtxError): void {
    for (const turn of this.#turns) this.#giveUp(turn, why);
  }

  /** Resolves when all tasks have come to their end; those that wait for a turn fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const turn of this.#waiting.splice(0)) turn.giveUp(libvirtAway("virtxd is ending"));
    await Promise.allSettled(this.#unfinished);
  }

  get #full(): boolean {
    const { most = this.#o.size, budget } = this.#o;
    return this.#running + this.#slow >= most || (budget?.exhausted ?? false);
  }

  #admit(): void {
    while (this.#waiting.length > 0 && this.#running < this.#o.size && !this.#full) {
      this.#running++;
      this.#o.budget?.take();
      this.#waiting.shift()?.begin();
    }
  }

  async #run<T>(turn: Turn, task: (connection: Connection) => Promise<T>): Promise<T> {
    const { connections, patienceMs, budget } = this.#o;
    await turn.admitted;
    const patience = patienceMs === undefined
      ? undefined
      : setTimeout(() => this.#letAnotherRun(turn), patienceMs);
    try {
      const connection = await connections.take();
      turn.hold(connection);
      try {
        return await task(connection);
      } finally {
        await connections.give(connection);
      }
    } finally {
      clearTimeout(patience);
      if (turn.slow) this.#slow--;
      else this.#running--;
      turn.over = true;
      budget?.give();
      this.#admit();
    }
  }

  #letAnotherRun(turn: Turn): void {
    if (turn.slow || turn.over) return;
    turn.slow = true;
    this.#running--;
    this.#slow++;
    this.#admit();
  }

  #expire(turn: Turn, timeoutMs: number): void {
    const waited = `${timeoutMs / 1000} s`;
    if (turn.begun) {
      return this.#giveUp(turn, new VirtxError("timeout", `libvirt did not answer for ${waited}`));
    }
    const why = this.#o.unanswered?.() ?? `it has not answered ${this.#running + this.#slow} other calls yet`;
    this.#giveUp(turn, libvirtAway(`libvirt could not be asked for ${waited}: ${why}`));
  }

  #giveUp(turn: Turn, why: VirtxError): void {
    turn.giveUp(why);
    if (turn.begun) return this.#letAnotherRun(turn);
    const at = this.#waiting.indexOf(turn);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  /** Remembers the promise until it is settled; how is for those who wait for it. */
  #track<T>(promise: Promise<T>): Promise<T> {
    this.#unfinished.add(promise);
    const forget = () => this.#unfinished.delete(promise);
    promise.then(forget, forget);
    return promise;
  }
}

/** A task's turn, which may be given up while it waits, while its connection opens, or later. */
class Turn {
  /** Whether it has come. */
  begun = false;
  /** Whether another task may run beside it. */
  slow = false;
  /** Whether its task has returned. */
  over = false;
  readonly #admission = Promise.withResolvers<void>();
  readonly #ending = Promise.withResolvers<never>();
  #connection: Connection | undefined;
  #why: VirtxError | undefined;

  /** Resolves when the turn has come; rejects when it is given up before. */
  get admitted(): Promise<void> {
    return this.#admission.promise;
  }

  /** Rejects when it is given up. */
  get givenUp(): Promise<never> {
    return this.#ending.promise;
  }

  begin(): void {
    this.begun = true;
    this.#admission.resolve();
  }

  hold(connection: Connection): void {
    this.#connection = connection;
    if (this.#why !== undefined) connection.retire(this.#why);
  }

  giveUp(why: VirtxError): void {
    this.#why ??= why;
    this.#connection?.retire(why);
    this.#ending.reject(why);
    this.#admission.reject(why);
  }
}
