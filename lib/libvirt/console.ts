import { inBackground } from "../model/background.ts";
import { Mutex } from "../model/mutex.ts";
import { VirtxError } from "../model/error.ts";
import type { Semaphore } from "../model/semaphore.ts";
import { settlesWithin } from "./deadline.ts";
import type { Stream } from "./stream.ts";

/**
 * How a console ended: `closed` by who has it, `ended` by libvirt (the guest has stopped or left, or another user took the
 * console), `taken` by another user of virtxd, `lost` with the connection to libvirt, `unread` because what the guest printed was not read in time, or
 * `untaken` because the guest takes no input.
 */
export interface ConsoleEnd {
  readonly kind: "closed" | "ended" | "taken" | "lost" | "unread" | "untaken";
  readonly reason: string;
}

/** What waits to be read, in bytes; a guest is never held up by who watches it. */
const KEPT_MAX = 1024 * 1024;
/**
 * Bytes of input a millisecond: those of a serial line of 115,200 baud. A guest reads no faster from what it takes for such a
 * line; sent faster, input would pile up in libvirtd, and keepalive behind it.
 */
const INPUT_RATE = 11.52;
/** The longest message with input, in bytes: longer ones would wait there in one piece. */
const INPUT_BYTES = 512;
/** How far input may be ahead of the line. */
const AHEAD_MS = 20;
/** How long libvirtd may take for a message before the guest is held to take no more. */
const UNTAKEN_MS = 5_000;
/** For how long output is left to gather: a guest prints a few bytes at a time, each of which would be an event. */
const GATHER_MS = 5;

/** What a {@link Console} stands on. */
export interface ConsoleSupport {
  /** For calls that may have to wait for libvirtd. */
  readonly calls: Semaphore;
  /** Gives the stream back; called once, when the console has ended. */
  readonly release: () => Promise<void>;
}

/** A guest's console: what it prints from now on, for one reader, and what is typed. */
export class Console implements AsyncDisposable {
  /** Resolves when it has ended, however that came; what was printed before can still be read. */
  readonly ended: Promise<ConsoleEnd>;
  readonly #stream: Stream;
  readonly #support: ConsoleSupport;
  readonly #ending = Promise.withResolvers<ConsoleEnd>();
  readonly #sending = new Mutex();
  readonly #output: Uint8Array<ArrayBuffer>[] = [];
  #kept = 0;
  #wake: (() => void) | undefined;
  #end: ConsoleEnd | undefined;
  #gathering: ReturnType<typeof setTimeout> | undefined;
  /** When the line will have carried what was sent. */
  #lineFreeAt = 0;
  #released: Promise<void> | undefined;

  /** @param stream that has been connected with a console */
  constructor(stream: Stream, support: ConsoleSupport) {
    this.#stream = stream;
    this.#support = support;
    this.ended = this.#ending.promise;
  }

  /** Resolves when it has been given back, and libvirt has acknowledged that; undefined: it has not ended. */
  get released(): Promise<void> | undefined {
    return this.#released;
  }

  /** Begins to receive. @throws VirtxError with libvirt's reason */
  async start(): Promise<void> {
    await this.#stream.watch(() => this.#receive());
  }

  /** The next bytes that the guest printed; undefined: it has ended, and that was all. */
  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    for (;;) {
      const bytes = this.#output.shift();
      if (bytes !== undefined) {
        this.#kept -= bytes.length;
        return bytes;
      }
      if (this.#end !== undefined) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Types; resolves when libvirt has it all. What comes after the end goes nowhere. */
  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    using _turn = await this.#sending.lock();
    for (let at = 0; at < bytes.length && this.#end === undefined; at += INPUT_BYTES) {
      await this.#type(bytes.slice(at, at + INPUT_BYTES));
    }
  }

  /** Ends it, if it has not ended yet; {@link Symbol.asyncDispose} also waits until everything is given back. */
  end(end: ConsoleEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    clearTimeout(this.#gathering);
    this.#released = this.#support.release();
    this.#ending.resolve(end);
    this.#wake?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end({ kind: "closed", reason: "it was closed" });
    await this.#released;
  }

  /** Runs within libvirt's callback. */
  #receive(): void {
    if (this.#end !== undefined) return;
    this.#stream.listen(false);
    for (;;) {
      const received = this.#stream.receive();
      if (received === undefined) break;
      if (typeof received === "string") return inBackground(this.#finish(received));
      this.#output.push(received);
      this.#kept += received.length;
      if (this.#kept > KEPT_MAX) {
        return this.end({ kind: "unread", reason: `${KEPT_MAX} bytes that the guest printed were not read` });
      }
    }
    this.#wake?.();
    this.#gathering = setTimeout(() => this.#stream.listen(true), GATHER_MS);
  }

  async #finish(how: "end" | "failure"): Promise<void> {
    if (how === "end") return this.end({ kind: "ended", reason: "libvirt ended it" });
    this.#failed(await this.#stream.failure());
  }

  async #type(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const now = performance.now();
    const ahead = this.#lineFreeAt - now;
    if (ahead > AHEAD_MS) await settlesWithin(ahead, this.ended);
    if (this.#end !== undefined) return;
    this.#lineFreeAt = Math.max(now, this.#lineFreeAt) + bytes.length / INPUT_RATE;
    const begun = Promise.withResolvers<void>();
    const sending = this.#support.calls.run(async () => {
      begun.resolve();
      if (this.#end === undefined) await this.#stream.send(bytes);
    }).catch((error) => this.#failed(error));
    await Promise.race([begun.promise, this.ended]);
    if (this.#end !== undefined || await settlesWithin(UNTAKEN_MS, sending)) return;
    this.end({ kind: "untaken", reason: `the guest has taken no input for ${UNTAKEN_MS / 1000} s` });
  }

  #failed(error: unknown): void {
    if (!(error instanceof VirtxError)) throw error;
    this.end({ kind: error.kind === "unavailable" ? "lost" : "ended", reason: error.message });
  }
}
