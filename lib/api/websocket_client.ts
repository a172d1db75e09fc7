import { inBackground } from "../model/background.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import { reasonOf } from "../posix/reason.ts";
import { Mutex } from "../model/mutex.ts";
import { RateLimit } from "../model/rate_limit.ts";
import { encodeFrame, type Frame, FrameReader, Opcode } from "./websocket_frames.ts";
import { upgrade, type UpgradeRequest, writeAll } from "./websocket_handshake.ts";

/** Where a server listens. */
export type ServerAddress = { readonly hostname: string; readonly port: number } | { readonly path: string };

export interface WebSocketOptions extends UpgradeRequest {
  readonly to: ServerAddress;
  /** Until the WebSocket is open, or refused. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** What it is for, for messages: "Cannot open the console". */
  readonly what: string;
}

/** A message, or the next part of one: those of binary data are handed on as they come. */
export type WebSocketPart =
  | { readonly kind: "binary"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "text"; readonly text: string };

/** How a WebSocket ended: with the server's code and reason (RFC 6455 §7.4), or with 1006, without a word. */
export interface WebSocketEnd {
  readonly code: number;
  readonly reason: string;
}

/** A connection that broke off, by RFC 6455 §7.1.5. */
export const BROKEN = 1006;

/** A server that says nothing for so long, no ping even, is gone: ours pings every 15 s. */
const SILENCE_MS = 45_000;
/** How long the server may take to answer our goodbye. */
const GOODBYE_MS = 2_000;
const CHUNK_BYTES = 64 * 1024;
const TEXT_MAX = 64 * 1024;
/** How many frames in a second may bring nothing of what is sent: signs of life, texts, empty ones. */
const EMPTY_MAX = 1_000;
const NO_CODE = 1005;

/**
 * A WebSocket to a server (RFC 6455), over TCP or a unix socket. Unlike the runtime's own it tells how the server refused it,
 * and holds the server back: what is not read stays in the network, and sending waits until the network has it.
 */
export class WebSocketClient implements AsyncDisposable {
  /** Resolves when it has ended, at either end's wish or without. */
  readonly ended: Promise<WebSocketEnd>;
  readonly #connection: Deno.Conn;
  readonly #frames = new FrameReader();
  readonly #ending = Promise.withResolvers<WebSocketEnd>();
  readonly #reading = new Mutex();
  readonly #writing = new Mutex();
  readonly #emptyFrames = new RateLimit(EMPTY_MAX);
  /** The parts of a text that is not complete, and their length. */
  #text: Uint8Array[] | undefined;
  #textLength = 0;
  /** The ping that is to be answered next; while one is, all others but the last go without (RFC 6455 §5.5.3). */
  #ping: Uint8Array | undefined;
  #isAnswering = false;
  #end: WebSocketEnd | undefined;
  /** Set once we have said goodbye. */
  #leaving: ReturnType<typeof setTimeout> | undefined;

  private constructor(connection: Deno.Conn, rest: Uint8Array) {
    this.#connection = connection;
    this.#frames.feed(rest);
    this.ended = this.#ending.promise;
  }

  /**
   * Opens one; the server's answer if it refuses, to be read by the caller.
   * @throws VirtxError unreachable, timeout; an abort by the signal throws the signal's reason
   */
  static async open(o: WebSocketOptions): Promise<WebSocketClient | Response> {
    const { to, timeoutMs, signal, what } = o;
    signal?.throwIfAborted();
    const ended = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]);
    let connection: Deno.Conn | undefined;
    const close = () => closeQuietly(connection);
    ended.addEventListener("abort", close);
    try {
      connection = "path" in to
        ? await Deno.connect({ transport: "unix", path: to.path })
        : await Deno.connect({ ...to, signal: ended });
      if (ended.aborted) close();
      const answer = await upgrade(connection, o);
      if ("rest" in answer) return new WebSocketClient(connection, answer.rest);
      close();
      return answer.refusal;
    } catch (cause) {
      close();
      signal?.throwIfAborted();
      if (ended.aborted) {
        throw new VirtxError("timeout", `${what}: no answer within ${timeoutMs} ms`, { cause });
      }
      throw new VirtxError("unreachable", `${what}: ${reasonOf(cause)}`, { cause });
    } finally {
      ended.removeEventListener("abort", close);
    }
  }

  /** What comes next; undefined: it has ended. */
  async read(): Promise<WebSocketPart | undefined> {
    using _turn = await this.#reading.lock();
    try {
      while (this.#end === undefined) {
        const frame = this.#frames.next();
        const part = frame === undefined ? await this.#receive() : this.#take(frame);
        if (part !== undefined) return part;
      }
    } catch (error) {
      this.#finish({ code: BROKEN, reason: errorMessage(error) });
    }
    return undefined;
  }

  /** Sends binary data; resolves when the network has it. What comes after the end goes nowhere. */
  async send(bytes: Uint8Array): Promise<void> {
    await this.#write(Opcode.binary, bytes);
  }

  /** Says goodbye, and hangs up when the server has answered, or does not. A reason has 123 bytes at most. */
  async close(code: number, reason: string): Promise<void> {
    if (this.#end === undefined) {
      inBackground(this.#sayGoodbye({ code, reason }, closePayload(code, reason)));
      while (await this.read() !== undefined);
    }
    await this.ended;
  }

  /** Hangs up at once, on a server that is known to be gone. */
  abandon(reason: string): void {
    this.#finish({ code: BROKEN, reason });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close(1000, "");
  }

  async #receive(): Promise<undefined> {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const timer = setTimeout(() => {
      this.#finish({ code: BROKEN, reason: `the server has been silent for ${SILENCE_MS / 1000} s` });
    }, SILENCE_MS);
    try {
      const count = await this.#connection.read(chunk);
      if (count === null) this.#finish({ code: BROKEN, reason: "the server hung up" });
      else this.#frames.feed(chunk.subarray(0, count));
    } finally {
      clearTimeout(timer);
    }
  }

  #take({ opcode, final, payload }: Frame): WebSocketPart | undefined {
    const isBinary = opcode === Opcode.binary || (opcode === Opcode.continuation && this.#text === undefined);
    if (!isBinary || payload.length === 0) {
      if (this.#emptyFrames.exceeded()) throw new Error(`more than ${EMPTY_MAX} empty frames in a second`);
      if (isBinary) return undefined;
    }
    switch (opcode) {
      case Opcode.binary:
        return { kind: "binary", bytes: payload };
      case Opcode.text:
        this.#text = [];
        this.#textLength = 0;
        return this.#gather(this.#text, payload, final);
      case Opcode.continuation:
        if (this.#text !== undefined) return this.#gather(this.#text, payload, final);
        return { kind: "binary", bytes: payload };
      case Opcode.ping:
        this.#ping = payload;
        if (!this.#isAnswering) inBackground(this.#answerPings());
        return undefined;
      case Opcode.close:
        this.#takeGoodbye(payload);
        return undefined;
      default: // a pong, or what is to come
        return undefined;
    }
  }

  async #answerPings(): Promise<void> {
    this.#isAnswering = true;
    while (this.#ping !== undefined) {
      const payload = this.#ping;
      this.#ping = undefined;
      await this.#write(Opcode.pong, payload);
    }
    this.#isAnswering = false;
  }

  #gather(parts: Uint8Array[], payload: Uint8Array, final: boolean): WebSocketPart | undefined {
    this.#textLength += payload.length;
    if (this.#textLength > TEXT_MAX) throw new Error("the text is too long");
    if (payload.length > 0) parts.push(payload);
    if (!final) return undefined;
    this.#text = undefined;
    const decoder = new TextDecoder();
    return {
      kind: "text",
      text: parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode(),
    };
  }

  #takeGoodbye(payload: Uint8Array<ArrayBuffer>): void {
    const code = payload.length >= 2
      ? new DataView(payload.buffer, payload.byteOffset).getUint16(0)
      : NO_CODE;
    this.#end = { code, reason: new TextDecoder().decode(payload.subarray(2)) };
    if (this.#leaving !== undefined) this.#finish(this.#end);
    else inBackground(this.#sayGoodbye(this.#end, payload.subarray(0, 2)).then((end) => this.#finish(end)));
  }

  async #sayGoodbye(end: WebSocketEnd, payload: Uint8Array): Promise<WebSocketEnd> {
    this.#leaving ??= setTimeout(() => this.#finish(end), GOODBYE_MS);
    await this.#write(Opcode.close, payload);
    return end;
  }

  async #write(opcode: number, payload: Uint8Array): Promise<void> {
    const mask = crypto.getRandomValues(new Uint8Array(4));
    using _turn = await this.#writing.lock();
    if (this.#end !== undefined && opcode !== Opcode.close) return;
    try {
      await writeAll(this.#connection, encodeFrame(opcode, payload, mask));
    } catch {
      // Reading tells why: with the server's last words, if it had any.
    }
  }

  #finish(end: WebSocketEnd): void {
    this.#end ??= end;
    clearTimeout(this.#leaving);
    closeQuietly(this.#connection);
    this.#ending.resolve(this.#end);
  }
}

function closePayload(code: number, reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason);
  const payload = new Uint8Array(2 + text.length);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(text, 2);
  return payload;
}

/** Closing what is closed already throws. */
function closeQuietly(connection: Deno.Conn | undefined): void {
  try {
    connection?.close();
  } catch {
    // it was closed before
  }
}
