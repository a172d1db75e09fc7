import type { Interrupts } from "../interrupts.ts";

/** Signals that end us and would leave the terminal as it is; SIGINT and SIGTERM are caught anyhow. */
const DEADLY: readonly Deno.Signal[] = ["SIGHUP", "SIGQUIT"];
/** Colours as they were, and a cursor that can be seen (ECMA-48 SGR, DECTCEM): guests may have left them otherwise. */
const AS_BEFORE = "\x1b[m\x1b[?25h";

/** What of the terminal is needed to hand it over: Deno.stdin, or what a test has in its place. */
export interface Keyboard {
  setRaw(mode: boolean): void;
}

/** Hands every key to the guest, Ctrl-C too, until disposed; then the terminal is as it was, also after signals. */
export class RawMode implements Disposable {
  readonly #held = new DisposableStack();

  /** @param reset writes to the terminal that guests print to, if they do */
  constructor(keyboard: Keyboard, interrupts: Pick<Interrupts, "abort">, reset: (text: string) => void) {
    const abort = () => interrupts.abort();
    for (const signal of DEADLY) {
      Deno.addSignalListener(signal, abort);
      this.#held.defer(() => Deno.removeSignalListener(signal, abort));
    }
    keyboard.setRaw(true);
    this.#held.defer(() => {
      keyboard.setRaw(false);
      reset(AS_BEFORE);
    });
  }

  [Symbol.dispose](): void {
    this.#held.dispose();
  }
}
