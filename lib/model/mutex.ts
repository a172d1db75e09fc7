/** Lets one task at a time through, in order of arrival. */
export class Mutex {
  #tail: Promise<void> = Promise.resolve();

  /** Waits for its turn; the lock is released when the returned handle is disposed. */
  async lock(): Promise<Disposable> {
    const turn = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = turn.then(() => promise);
    await turn;
    return { [Symbol.dispose]: resolve };
  }

  /** Runs the task under the lock. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    using _lock = await this.lock();
    return await task();
  }
}

/** A mutex for each key (a VM's UUID, say) that exists only while somebody holds or wants it. */
export class KeyedMutex {
  readonly #entries = new Map<string, { mutex: Mutex; users: number }>();

  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const entry = this.#entries.get(key) ?? { mutex: new Mutex(), users: 0 };
    this.#entries.set(key, entry);
    entry.users++;
    try {
      return await entry.mutex.run(task);
    } finally {
      if (--entry.users === 0) this.#entries.delete(key);
    }
  }
}
