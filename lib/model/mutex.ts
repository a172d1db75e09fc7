/** How long to wait for a lock; without either, as long as it takes. */
export interface LockWait {
  /** Gives the wait up, with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Lets one task at a time through, in order of arrival. */
export class Mutex {
  #tail: Promise<void> = Promise.resolve();

  /**
   * Waits for its turn; the lock is released when the returned handle is disposed.
   * @throws the signal's reason, when that comes first; who waits behind has their turn as before
   */
  async lock({ signal }: LockWait = {}): Promise<Disposable> {
    signal?.throwIfAborted();
    const turn = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = turn.then(() => promise);
    if (signal === undefined) await turn;
    else await unlessAborted(turn, signal, resolve);
    return { [Symbol.dispose]: resolve };
  }

  /** Runs the task under the lock. @throws what {@link lock} and the task do */
  async run<T>(task: () => Promise<T>, wait?: LockWait): Promise<T> {
    using _lock = await this.lock(wait);
    return await task();
  }
}

/** A mutex for each key (a VM's UUID, say) that exists only while somebody holds or wants it. */
export class KeyedMutex {
  readonly #entries = new Map<string, { mutex: Mutex; users: number }>();

  /** Runs the task under the key's lock. @throws what {@link Mutex.lock} and the task do */
  async run<T>(key: string, task: () => Promise<T>, wait?: LockWait): Promise<T> {
    const entry = this.#entries.get(key) ?? { mutex: new Mutex(), users: 0 };
    this.#entries.set(key, entry);
    entry.users++;
    try {
      return await entry.mutex.run(task, wait);
    } finally {
      if (--entry.users === 0) this.#entries.delete(key);
    }
  }
}

/** Waits for the turn, or fails with the signal's reason, and then passes the turn on when it comes. */
async function unlessAborted(turn: Promise<void>, signal: AbortSignal, pass: () => void): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([turn, aborted]);
  } catch (error) {
    pass();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
