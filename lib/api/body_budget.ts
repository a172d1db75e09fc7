import { VirtxError } from "../model/error.ts";

/** How large all bodies that are being read may be together, in bytes. */
const TOTAL_MAX = 64 * 1024 * 1024;
/** A body that has been on its way for so long gives way to others when there is no room left. */
const SLOW_MS = 2_000;
const RETRY_S = 1;

/** One body that is being read. */
export interface BodyShare extends Disposable {
  /**
   * Takes so much more memory.
   * @throws VirtxError unavailable: all that there is for bodies is taken
   */
  grow(bytes: number): void;
}

interface Share extends BodyShare {
  bytes: number;
  readonly sinceMs: number;
  readonly giveUp: (reason: VirtxError) => void;
}

/**
 * The memory for bodies that are being read, of all clients together. If it does not suffice, those that dawdle lose
 * theirs first: no number of slow clients keeps a quick one out.
 */
export class BodyBudget {
  readonly #max: number;
  readonly #slowMs: number;
  readonly #what: string;
  /** The oldest first. */
  readonly #shares = new Set<Share>();
  #taken = 0;

  /** @param o.what each of them is, for messages */
  constructor(o: { readonly totalBytes?: number; readonly slowMs?: number; readonly what?: string } = {}) {
    this.#what = o.what ?? "the request's body";
    this.#max = o.totalBytes ?? TOTAL_MAX;
    this.#slowMs = o.slowMs ?? SLOW_MS;
  }

  /** @param giveUp is called when others need the memory, and the body has to be let go of */
  share(giveUp: (reason: VirtxError) => void): BodyShare {
    const share: Share = {
      bytes: 0,
      sinceMs: performance.now(),
      giveUp,
      grow: (bytes) => {
        this.#makeRoom(bytes, share);
        share.bytes += bytes;
        this.#taken += bytes;
      },
      [Symbol.dispose]: () => this.#free(share),
    };
    this.#shares.add(share);
    return share;
  }

  #makeRoom(bytes: number, forWhom: Share): void {
    for (const other of this.#shares) {
      if (this.#taken + bytes <= this.#max) return;
      if (other === forWhom || performance.now() - other.sinceMs < this.#slowMs) break;
      this.#free(other);
      other.giveUp(this.#crowded());
    }
    if (this.#taken + bytes > this.#max) throw this.#crowded();
  }

  #free(share: Share): void {
    if (!this.#shares.delete(share)) return;
    this.#taken -= share.bytes;
  }

  #crowded(): VirtxError {
    const why = `Cannot read ${this.#what} now: too many others are on their way; try again`;
    return new VirtxError("unavailable", why, { retryAfterS: RETRY_S });
  }
}
