import type { Health } from "./health.ts";
import type { Logger } from "./log.ts";

/** What is told of somebody is summed up once in so long; so long after the last time it is over. */
const WINDOW_MS = 60_000;
/** Of so many different complaints each is told by itself; what comes beside them, whose senders may be invented, is one. */
const COMPLAINTS_MAX = 50;
/** Characters of a sender's name, which is the sender's choice. */
const NAME_MAX = 128;
/** Of the newest reason, in the log. */
const REASON_MAX = 300;

/** Time as it is needed here: runs the task later, once, unless what is returned is disposed. */
interface Timing {
  after(ms: number, task: () => void): Disposable;
}

/** What somebody does that cannot be understood. */
export interface Complaint {
  /** The name of who does it: of a host, "Serf's agent". */
  readonly from: string;
  /** What, as the rest of a sentence that stays the same: "sends records that cannot be understood". */
  readonly does: string;
  /** What it may come from, or what to look at: "is it of another version?". */
  readonly hint?: string;
}

interface Entry {
  readonly complaint: Complaint;
  count: number;
  /** In the window before. */
  before: number;
  reason: string;
}

/**
 * What others send and this host cannot understand. It is neither silent nor as loud as they are: a line in the log at the
 * first time, then one a minute with the count, and a condition in {@link Health} until a minute has gone by without.
 */
export class Complaints implements Disposable {
  readonly #health: Health;
  readonly #log: Logger;
  readonly #timers: Timing;
  readonly #entries = new Map<string, Entry>();
  #round: Disposable | undefined;

  constructor(o: { readonly health: Health; readonly log: Logger; readonly timers: Timing }) {
    this.#health = o.health;
    this.#log = o.log;
    this.#timers = o.timers;
  }

  /** @param reason why it was not understood this time */
  note(complaint: Complaint, reason: string): void {
    const room = this.#entries.size < COMPLAINTS_MAX;
    const own = causeOf(complaint);
    const told = room || this.#entries.has(own) ? complaint : { ...complaint, from: "somebody else" };
    const cause = causeOf(told);
    const entry = this.#entries.get(cause) ?? { complaint: told, count: 0, before: 0, reason };
    entry.count++;
    entry.reason = reason.slice(0, REASON_MAX);
    if (!this.#entries.has(cause)) {
      this.#entries.set(cause, entry);
      this.#tell(entry);
    }
    this.#report(cause, entry);
    this.#round ??= this.#timers.after(WINDOW_MS, () => this.#sumUp());
  }

  [Symbol.dispose](): void {
    this.#round?.[Symbol.dispose]();
  }

  #sumUp(): void {
    this.#round = undefined;
    for (const [cause, entry] of this.#entries) {
      if (entry.count === 0) {
        this.#entries.delete(cause);
        this.#health.clear(cause);
        this.#log.info("what was not understood has ended", { what: describe(entry.complaint) });
        continue;
      }
      if (entry.count > 1 || entry.before > 0) this.#tell(entry);
      entry.before = entry.count;
      entry.count = 0;
      this.#report(cause, entry);
    }
    if (this.#entries.size > 0) this.#round = this.#timers.after(WINDOW_MS, () => this.#sumUp());
  }

  #tell({ complaint, count, reason }: Entry): void {
    this.#log.warn(describe(complaint), { count, reason });
  }

  #report(cause: string, { complaint, count, before }: Entry): void {
    const hint = complaint.hint === undefined ? "" : `: ${complaint.hint}`;
    const reason = `${describe(complaint)} (${Math.max(count, before)} in the last minute)${hint}`;
    this.#health.report(cause, { reason, blocking: false });
  }
}

function describe({ from, does }: Complaint): string {
  return `${from.slice(0, NAME_MAX)} ${does}`;
}

function causeOf(complaint: Complaint): string {
  return `complaint: ${describe(complaint)}`;
}
