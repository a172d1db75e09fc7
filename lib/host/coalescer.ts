/**
 * Runs a task for a key so that every caller gets a run that began after it asked, and no two runs of a key overlap:
 * callers that come during a run share one more run after it. For reading something again each time it may have
 * changed, however often that is.
 */
export class Coalescer<K> {
  readonly #task: (key: K) => Promise<void>;
  readonly #running = new Map<K, Promise<void>>();
  readonly #next = new Map<K, Promise<void>>();

  constructor(task: (key: K) => Promise<void>) {
    this.#task = task;
  }

  /** Resolves, or fails, as the run that serves this call does. */
  run(key: K): Promise<void> {
    const running = this.#running.get(key);
    if (!running) return this.#start(key);
    const planned = this.#next.get(key);
    if (planned) return planned;
    const next = running.catch(() => {}).then(() => {
      this.#next.delete(key);
      return this.#start(key);
    });
    this.#next.set(key, next);
    return next;
  }

  /** Resolves when nothing runs any more. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) {
      await Promise.allSettled([...this.#running.values(), ...this.#next.values()]);
    }
  }

  #start(key: K): Promise<void> {
    const run = this.#task(key).finally(() => {
      if (this.#running.get(key) === run) this.#running.delete(key);
    });
    this.#running.set(key, run);
    return run;
  }
}
