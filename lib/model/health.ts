import { type Clock, systemClock } from "./clock.ts";

/** Something that is wrong with this daemon or with what it stands on, and lasts. */
export interface Condition {
  /** In words, with the names of what is concerned: `storage /vms has not answered for 12 s`. */
  readonly reason: string;
  /** Whether a whole kind of work cannot be done because of it. False: only some of it, or nothing yet. */
  readonly blocking: boolean;
  /** UTC milliseconds. */
  readonly since: number;
}

/**
 * What is wrong at the moment, by cause. Whoever notices a fault that lasts reports it here, and clears it when it is
 * over; /readyz tells it to people and to monitoring.
 */
export class Health {
  readonly #conditions = new Map<string, Condition>();
  readonly #clock: Clock;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /**
   * Notes a fault, or new words for one that is known.
   * @param cause names the fault for {@link clear}: `defects`, `storage`, `domain 7d0e…`
   * @returns whether it is new, and thus worth a line in the log
   */
  report(cause: string, fault: { readonly reason: string; readonly blocking: boolean }): boolean {
    const known = this.#conditions.get(cause);
    this.#conditions.set(cause, { ...fault, since: known?.since ?? this.#clock() });
    return known === undefined;
  }

  /** The fault is over; returns whether it was known. */
  clear(cause: string): boolean {
    return this.#conditions.delete(cause);
  }

  /** All faults, the oldest first. */
  get conditions(): readonly Condition[] {
    return [...this.#conditions.values()];
  }
}
