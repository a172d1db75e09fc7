import type { CallKind, FileCall } from "./files.ts";
import type { WriteGuard } from "./files_port.ts";

/** A call, from when it is asked for until its answer. */
export interface PendingCall {
  readonly id: number;
  readonly call: FileCall;
  readonly args: readonly unknown[];
  readonly provided: WriteGuard | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  /** For how long it has been open. */
  openMs: number;
}

/**
 * Calls of one kind: so many are open at a time, the others wait, in order. It knows for how long those that are open have
 * brought no answer: any answer shows that the storage is alive. Time is counted as it is told, so that an event loop that was
 * held up does not take its own delay for the storage's.
 */
export class Lane {
  readonly kind: CallKind;
  readonly #places: number;
  readonly #open = new Map<number, PendingCall>();
  #waiting: PendingCall[] = [];
  #silentMs = 0;

  constructor(kind: CallKind, places: number) {
    this.kind = kind;
    this.#places = places;
  }

  /** For how long nothing has come back; 0 if nothing is open. */
  get silentMs(): number {
    return this.#open.size === 0 ? 0 : this.#silentMs;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Those that have been begun, the longest open first. */
  get open(): readonly PendingCall[] {
    return [...this.#open.values()];
  }

  enter(call: PendingCall): void {
    this.#waiting.push(call);
  }

  /** The next call that there is a place for, if any; it counts as begun. */
  next(): PendingCall | undefined {
    const call = this.#open.size < this.#places ? this.#waiting.shift() : undefined;
    if (call) {
      if (this.#open.size === 0) this.#silentMs = 0;
      this.#open.set(call.id, call);
    }
    return call;
  }

  /** An answer has come; to which call, if it is one of this lane. */
  close(id: number): PendingCall | undefined {
    const call = this.#open.get(id);
    if (call) {
      this.#open.delete(id);
      this.#silentMs = 0;
    }
    return call;
  }

  /** Calls that have not been begun, and will not be. */
  takeWaiting(): readonly PendingCall[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  /** So much time has passed. */
  tick(ms: number): void {
    this.#silentMs += ms;
    for (const call of this.#open.values()) call.openMs += ms;
  }
}
