import { VirtxError } from "../model/error.ts";
import type { KeyedMutex } from "../model/mutex.ts";

/** What somebody wants to do with a VM, or does. */
interface Turn {
  readonly vm: string;
  /** An operation on the guest, of which nothing is left to do when it has been powered off by force. */
  readonly onGuest: boolean;
  readonly giveUp: AbortController;
  /** A power-off of the guest by force; resolves if it succeeds. */
  cutOffBy: Promise<void> | undefined;
}

/** What a turn is taken for. */
export interface TurnOptions {
  /** What is to be done, for messages: `boot VM "web1"`. */
  readonly what: string;
  /** Whether it is over when the guest is powered off by force. */
  readonly onGuest?: boolean | undefined;
  /** Gives the wait for the turn up. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lets one operation at a time work on a VM, in order of arrival. None waits for ever: an operation before it may be long, or
 * hang.
 */
export class VmTurns {
  readonly #locks: KeyedMutex;
  readonly #timeoutMs: number;
  readonly #turns = new Set<Turn>();
  readonly #holders = new Map<string, { readonly what: string; readonly since: number }>();

  constructor(locks: KeyedMutex, timeoutMs: number) {
    this.#locks = locks;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Does something with a VM when it is its turn.
   * @throws VirtxError what the task throws; unavailable: its turn has not come in time; conflict: it was {@link cutOff}; the
   *   signal's reason
   */
  async run<T>(
    vm: string,
    task: () => Promise<T>,
    { what, onGuest = false, signal }: TurnOptions,
  ): Promise<T> {
    const giveUp = new AbortController();
    const turn: Turn = { vm, onGuest, giveUp, cutOffBy: undefined };
    const timer = setTimeout(() => giveUp.abort(this.#busy(vm)), this.#timeoutMs);
    const leave = () => giveUp.abort(signal?.reason);
    signal?.addEventListener("abort", leave);
    this.#turns.add(turn);
    let begun = false;
    try {
      return await this.#locks.run(vm, async () => {
        begun = true;
        clearTimeout(timer);
        this.#holders.set(vm, { what, since: performance.now() });
        try {
          return await task();
        } finally {
          this.#holders.delete(vm);
        }
      }, { signal: giveUp.signal });
    } catch (error) {
      if (await succeeds(turn.cutOffBy)) {
        throw new VirtxError("conflict", `Cannot ${what}: it was powered off by force meanwhile`, {
          cause: error,
        });
      }
      throw begun ? error : VirtxError.wrap(error, `Cannot ${what}`);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", leave);
      this.#turns.delete(turn);
    }
  }

  /**
   * Fails the operations on a VM's guest when its power-off succeeds: those that wait, and the one under way if that has not
   * succeeded itself.
   */
  cutOff(vm: string, powerOff: Promise<void>): void {
    for (const turn of this.#turns) {
      if (turn.vm !== vm || !turn.onGuest) continue;
      turn.cutOffBy = powerOff;
      const leave = () => turn.giveUp.abort(new VirtxError("conflict", "it was powered off"));
      powerOff.then(leave, () => {});
    }
  }

  #busy(vm: string): VirtxError {
    const holder = this.#holders.get(vm);
    const seconds = Math.round((holder ? performance.now() - holder.since : this.#timeoutMs) / 1000);
    const who = holder ? `another operation (${holder.what})` : "another operation on it";
    return new VirtxError("unavailable", `${who} has been under way for ${seconds} s`, { retryAfterS: 10 });
  }
}

async function succeeds(work: Promise<void> | undefined): Promise<boolean> {
  if (work === undefined) return false;
  return await work.then(() => true, () => false);
}
