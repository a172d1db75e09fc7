/** The longest that the main thread was kept from a timer that is due every millisecond, ms. */
export interface Stall {
  readonly wallMs: number;
  /** Without the time that it was ready to run and other processes had the CPUs: what is our own doing. */
  readonly ownMs: number;
}

/** Watches how long the main thread is kept from its events. */
export class StallWatch implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;
  #last = performance.now();
  #lastWaited = waitedMs();
  #wallMs = 0;
  #ownMs = 0;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  /** The longest since the last time this was asked. */
  takeLongest(): Stall {
    this.#tick();
    const longest = { wallMs: this.#wallMs, ownMs: this.#ownMs };
    this.#wallMs = this.#ownMs = 0;
    return longest;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = performance.now();
    const waited = waitedMs();
    const stallMs = now - this.#last - 1;
    this.#wallMs = Math.max(this.#wallMs, stallMs);
    this.#ownMs = Math.max(this.#ownMs, stallMs - (waited - this.#lastWaited));
    this.#last = now;
    this.#lastWaited = waited;
  }
}

/** How long this thread has waited for a CPU so far: the second figure of proc_pid_schedstat(5), in ns. */
function waitedMs(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[1]) / 1e6;
}

/** The value that so large a share of the values does not exceed: 0.5 for the median, 0.99 for all but one in a hundred. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}
