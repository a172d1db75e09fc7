import { VirtxError } from "../model/error.ts";

/** How far an operation is. */
export interface OperationProgress {
  /** What is to be moved or written in all, in MiB, and how much of it is. */
  readonly total: number;
  readonly done: number;
  /** MiB/s; 0: not known. */
  readonly rate: number;
  /** How much longer it will take, in milliseconds; 0: not known. */
  readonly timeleft: number;
}

/** Looks how far it is; undefined: that cannot be told now. */
export type ProgressSource = () => OperationProgress | undefined | Promise<OperationProgress | undefined>;

/** An operation as it is seen from within, by what carries it out. */
export interface OperationControl {
  /** Aborted when it is to be given up, as far as it still can be. */
  readonly signal: AbortSignal;
  /** Says that it goes on, so that who asked for it need not wait. */
  begun(): void;
  /** Says from where its progress can be had from now on. */
  follow(source: ProgressSource): void;
}

/** Goes on only if nobody wants it to be given up. @throws {VirtxError} of kind cancelled; `what` cannot be done then */
export function unlessCancelled(control: OperationControl | undefined, what: string): void {
  if (control?.signal.aborted) throw new VirtxError("cancelled", `${what}: it was cancelled`);
}

/** An operation that is under way, from within and from without. */
export class OperationCourse implements OperationControl {
  readonly #cancelled = new AbortController();
  readonly #begun = Promise.withResolvers<void>();
  #source: ProgressSource = () => undefined;

  get signal(): AbortSignal {
    return this.#cancelled.signal;
  }

  /** Resolves when it goes on without anybody who waits; never, if it ends before. */
  get goesOn(): Promise<void> {
    return this.#begun.promise;
  }

  begun(): void {
    this.#begun.resolve();
  }

  follow(source: ProgressSource): void {
    this.#source = source;
  }

  /** Asks for it to be given up. */
  cancel(): void {
    this.#cancelled.abort(new VirtxError("cancelled", "it was cancelled"));
  }

  /** How far it is; undefined: that cannot be told. */
  async progress(): Promise<OperationProgress | undefined> {
    try {
      return await this.#source();
    } catch {
      return undefined; // it may just have ended
    }
  }
}
