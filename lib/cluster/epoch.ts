import type { Clock } from "../model/clock.ts";
import { VirtxError } from "../model/error.ts";
import { isBelievable } from "./stamp.ts";

/**
 * Remembers on this host which of its lives was the last, so that each is greater than those before even if the clock went
 * back. Where the file does not outlast the machine, its peers remember (see ClusterOptions.onEpoch).
 */
export class EpochFile {
  readonly #path: string;
  readonly #clock: Clock;

  /** @param path of a file that virtxd may replace, in a directory that exists */
  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /**
   * Begins a life. An epoch that no clock can have shown, whoever had it written, is not gone on after.
   * @throws {VirtxError} kind unavailable, if it cannot be remembered
   */
  async next(): Promise<number> {
    const now = Math.max(1, this.#clock());
    const last = await this.#last();
    const epoch = isBelievable(last, now) ? Math.max(now, last + 1) : now;
    await this.remember(epoch);
    return epoch;
  }

  /** @throws {VirtxError} kind unavailable, likewise */
  async remember(epoch: number): Promise<void> {
    const temporary = `${this.#path}.new`;
    try {
      await Deno.writeTextFile(temporary, `${epoch}\n`);
      await Deno.rename(temporary, this.#path);
    } catch (cause) {
      throw new VirtxError("unavailable", `Cannot remember this host's epoch in ${this.#path}`, { cause });
    }
  }

  /** What is there and is no number was cut by a crash: then the clock and the peers must do. */
  async #last(): Promise<number> {
    try {
      const epoch = Number(await Deno.readTextFile(this.#path));
      return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0;
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return 0;
      throw new VirtxError("unavailable", `Cannot read this host's last epoch from ${this.#path}`, { cause });
    }
  }
}
