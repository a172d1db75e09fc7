/** Counts what should be rare, second by second. */
export class RateLimit {
  readonly #most: number;
  #since = -Infinity;
  #count = 0;

  /** @param most how often it may happen in a second */
  constructor(most: number) {
    this.#most = most;
  }

  /** It has happened once more; returns whether that is too often. */
  exceeded(): boolean {
    const now = performance.now();
    if (now - this.#since >= 1_000) {
      this.#since = now;
      this.#count = 0;
    }
    return ++this.#count > this.#most;
  }
}
