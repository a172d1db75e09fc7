import { VirtxError } from "../model/error.ts";

/** The reason of the client's signal after Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";

  constructor() {
    super("interrupted");
  }
}

/** Whether a command that goes on until it is ended has ended as it should: by Ctrl-C, or after --timeout. */
export function isEndOfWatching(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted && error === signal.reason &&
    (error instanceof Interrupted || (error instanceof VirtxError && error.kind === "timeout"));
}

/** What asks this program to end: Ctrl-C, or kill(1). */
export type EndingSignal = "SIGINT" | "SIGTERM";

/** Turns Ctrl-C, a request to terminate, and the time limit into one signal, which a command may put off. */
export class Interrupts implements Disposable {
  readonly #ended = new AbortController();
  readonly #held = new DisposableStack();
  #handler: ((signal: EndingSignal) => void) | undefined;

  /** @param timeoutMs undefined: no limit */
  constructor(timeoutMs: number | undefined) {
    this.#listen("SIGINT");
    this.#listen("SIGTERM");
    if (timeoutMs !== undefined) {
      const late = new VirtxError("timeout", `Not done within ${timeoutMs / 1000} s (--timeout)`);
      const timer = setTimeout(() => this.#ended.abort(late), timeoutMs);
      this.#held.defer(() => clearTimeout(timer));
    }
  }

  /** Aborted with {@link Interrupted}, or with a VirtxError `timeout`. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Until disposed, Ctrl-C and SIGTERM call this instead: something is under way that the user has to be told of, or asked. */
  divert(handler: (signal: EndingSignal) => void): Disposable {
    const before = this.#handler;
    this.#handler = handler;
    return { [Symbol.dispose]: () => this.#handler = before };
  }

  /** What a diverted Ctrl-C leads to if the user wants to leave. */
  abort(): void {
    this.#ended.abort(new Interrupted());
  }

  [Symbol.dispose](): void {
    this.#held.dispose();
  }

  #listen(signal: EndingSignal): void {
    const listener = () => this.#handler === undefined ? this.abort() : this.#handler(signal);
    Deno.addSignalListener(signal, listener);
    this.#held.defer(() => Deno.removeSignalListener(signal, listener));
  }
}
