import type { Clock } from "../model/clock.ts";
import { within } from "../model/within.ts";

/** How long a figure is good, and how long who asks for one waits at most. */
const FRESH_MS = 5_000;
const PATIENCE_MS = 500;

/**
 * How much room there is on the storage, for whoever asks: one question is under way at a time, and nobody waits long for
 * it, as storage that hangs answers never. What is not fresh is not told.
 */
export class StorageRoom {
  readonly #ask: () => Promise<number | undefined>;
  readonly #clock: Clock;
  #asking: Promise<void> | undefined;
  #known: { readonly mib: number | undefined; readonly at: number } | undefined;

  /** @param ask MiB that are free; undefined: that cannot be told */
  constructor(ask: () => Promise<number | undefined>, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** MiB; undefined: it is not known. */
  async mib(): Promise<number | undefined> {
    if (!this.#isFresh) {
      this.#asking ??= this.#learn();
      await within(PATIENCE_MS, this.#asking);
    }
    return this.#isFresh ? this.#known?.mib : undefined;
  }

  get #isFresh(): boolean {
    return this.#known !== undefined && this.#clock() - this.#known.at < FRESH_MS;
  }

  async #learn(): Promise<void> {
    try {
      this.#known = { mib: await this.#ask(), at: this.#clock() };
    } catch {
      this.#known = { mib: undefined, at: this.#clock() }; // whoever needs the storage itself tells why
    } finally {
      this.#asking = undefined;
    }
  }
}
