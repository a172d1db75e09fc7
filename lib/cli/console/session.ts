import type { ConsoleLine } from "../../api/console_line.ts";
import { isPassing } from "../../api/console_protocol.ts";
import { errorMessage, VirtxError } from "../../model/error.ts";
import { reasonOf } from "../../posix/reason.ts";
import { OutputError } from "../terminal.ts";

/** For how long a console that has been lost is tried to be had again, and how often. */
const AGAIN_MS = 120_000;
const FIRST_PAUSE_MS = 250, LONGEST_PAUSE_MS = 2_000;
const CHUNK_BYTES = 4096;

export interface SessionOptions {
  /** @throws VirtxError */
  readonly dial: (signal: AbortSignal) => Promise<ConsoleLine>;
  readonly input: { read(buffer: Uint8Array): Promise<number | null> };
  readonly output: { write(bytes: Uint8Array): Promise<number> };
  /** Whether somebody types: there is an escape key, and what is typed while there is no line is lost. */
  readonly isTyped: boolean;
  /** The byte that leaves, if somebody types. */
  readonly escape: number | undefined;
  /** Tells the user something. */
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** How it came to an end: its user left, or the console ended for good, with its code and reason. */
export type SessionEnd = "left" | { readonly code: number; readonly reason: string };

/**
 * A user at a console: what the guest prints goes to the output, byte for byte, what comes in goes to the guest. A line that
 * breaks, or a guest that moves, is followed to where it is. The end of the input is none of the session: the guest may
 * have more to say.
 */
export class Session {
  readonly #o: SessionOptions;
  readonly #left = new AbortController();
  #line: ConsoleLine | undefined;
  #connected = Promise.withResolvers<void>();
  #typed: Promise<void> = Promise.resolve();

  constructor(options: SessionOptions) {
    this.#o = options;
  }

  /**
   * Goes on until the end, from a line that is open.
   * @throws VirtxError why a lost console cannot be had again; the signal's reason
   */
  async run(line: ConsoleLine): Promise<SessionEnd> {
    const { signal, say } = this.#o;
    const over = Promise.withResolvers<never>();
    over.promise.catch(() => {});
    const abort = () => over.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const left = new Promise<"left">((resolve) => {
      this.#left.signal.addEventListener("abort", () => resolve("left"), { once: true });
    });
    this.#attach(line);
    this.#type().catch(over.reject);
    try {
      for (;;) {
        signal.throwIfAborted();
        const end = await Promise.race([this.#print(line), left, over.promise]);
        if (end === "left" || !isPassing(end.code)) return end;
        this.#line = undefined;
        say(`${sentence(end.reason)} Connecting again …`);
        const again = await Promise.race([this.#again(), left, over.promise]);
        if (again === "left") return again;
        line = again;
        say("Connected again.");
        this.#attach(line);
      }
    } finally {
      signal.removeEventListener("abort", abort);
      this.#left.abort();
      line.close();
      await line.ended;
    }
  }

  #attach(line: ConsoleLine): void {
    this.#line = line;
    this.#connected.resolve();
    this.#connected = Promise.withResolvers();
  }

  async #print(line: ConsoleLine): Promise<SessionEnd> {
    for (let bytes = await line.read(); bytes !== undefined; bytes = await line.read()) {
      try {
        for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await this.#o.output.write(rest));
      } catch (error) {
        if (error instanceof Deno.errors.BrokenPipe) return "left"; // who read us has had enough
        throw new OutputError(error);
      }
    }
    return await line.ended;
  }

  async #type(): Promise<void> {
    const { input, isTyped, escape } = this.#o;
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (;;) {
      const count = await input.read(buffer).catch((cause) => {
        throw new VirtxError("invalid", `Cannot read standard input: ${reasonOf(cause)}`, { cause });
      });
      if (count === null && isTyped) return this.#left.abort(); // the terminal is gone
      if (count === null) return;
      const bytes = buffer.slice(0, count);
      const end = isTyped && escape !== undefined ? bytes.indexOf(escape) : -1;
      const sending = this.#send(end < 0 ? bytes : bytes.slice(0, end));
      if (end >= 0) {
        this.#left.abort();
        return;
      }
      // A guest that takes nothing must not keep the escape key from being read.
      if (!isTyped) await sending;
    }
  }

  #send(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#typed = this.#typed.then(async () => {
      while (this.#line === undefined && !this.#o.isTyped) await this.#connected.promise;
      await this.#line?.write(bytes);
    });
    return this.#typed;
  }

  /** Connects again; patiently, since a host may have to find out first that another one, or we, have gone. */
  async #again(): Promise<ConsoleLine> {
    const { dial, say } = this.#o;
    const signal = AbortSignal.any([this.#o.signal, this.#left.signal]);
    const deadline = performance.now() + AGAIN_MS;
    let said = "";
    for (let pause = FIRST_PAUSE_MS;; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      try {
        return await dial(signal);
      } catch (error) {
        if (!(error instanceof VirtxError) || performance.now() > deadline) throw error;
        if (said !== error.message && pause === LONGEST_PAUSE_MS) say(`Still trying: ${errorMessage(error)}`);
        said = error.message;
      }
    }
  }
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}.`;
}
