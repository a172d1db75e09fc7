/** Watches how long the main thread is kept from a timer that is due every millisecond. */
export class StallWatch implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;
  #last = performance.now();
  #longest = 0;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  /** The longest stall since the last time this was asked, ms. */
  takeLongest(): number {
    this.#tick();
    const longest = this.#longest;
    this.#longest = 0;
    return longest;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#last - 1);
    this.#last = now;
  }
}

/** The value that so large a share of the values does not exceed: 0.5 for the median, 0.99 for the worst but one in a hundred. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}
