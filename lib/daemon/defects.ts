import type { Clock } from "../model/clock.ts";
import type { Health } from "../model/health.ts";

/** So many that nobody caught, within this time, are too many to go on. */
const ESCAPED_MAX = 10;
const ESCAPED_MS = 60_000;
/** The same one has a line in the log so often at most, however often it happens. */
const REPEAT_MS = 60_000;
/** Of so many it is remembered when they were told of. */
const KINDS_MAX = 100;

/** Counts the defects of this life of virtxd, and has /readyz tell of them until its end. */
export class Defects {
  readonly #health: Health;
  readonly #clock: Clock;
  /** The errors that were counted; each can pass several places that tell of it. */
  readonly #known = new WeakSet<object>();
  readonly #told = new Map<string, number>();
  #escaped: number[] = [];
  #count = 0;
  #since = "";

  constructor(health: Health, clock: Clock) {
    this.#health = health;
    this.#clock = clock;
  }

  /** Takes note of one; whether it is worth a line in the log, since the same was not told of just now. */
  note(message: string, error: unknown): boolean {
    const now = this.#clock();
    if (!this.#isKnown(error)) {
      this.#count++;
      this.#since ||= new Date(now).toISOString();
      const errors = this.#count === 1 ? "1 unexpected error" : `${this.#count} unexpected errors`;
      const reason = `${errors} since ${this.#since}: restart virtxd, and report them with its log`;
      this.#health.report("defects", { reason, blocking: false });
    }
    return this.#isNews(`${message}\n${error instanceof Error ? error.stack : error}`, now);
  }

  /** Another one that nobody has caught; whether these are too many to go on. */
  escaped(): boolean {
    const now = this.#clock();
    this.#escaped = [...this.#escaped.filter((at) => now - at < ESCAPED_MS), now];
    return this.#escaped.length >= ESCAPED_MAX;
  }

  #isKnown(error: unknown): boolean {
    if (typeof error !== "object" || error === null) return false;
    if (this.#known.has(error)) return true;
    this.#known.add(error);
    return false;
  }

  #isNews(kind: string, now: number): boolean {
    const told = this.#told.get(kind);
    if (told !== undefined && now - told < REPEAT_MS) return false;
    this.#told.delete(kind); // so that the oldest comes first
    this.#told.set(kind, now);
    const [oldest] = this.#told.keys();
    if (this.#told.size > KINDS_MAX && oldest !== undefined) this.#told.delete(oldest);
    return true;
  }
}
