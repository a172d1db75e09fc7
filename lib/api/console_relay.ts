import type { Logger } from "../model/log.ts";
import { RateLimit } from "../model/rate_limit.ts";
import type { RequestsOfConnection } from "./connections.ts";
import type { ConsoleLine } from "./console_line.ts";
import {
  CONSOLE_CLOSE,
  DEFECT,
  GOING_AWAY,
  INPUT_WINDOW,
  TOO_MUCH,
  UNACCEPTABLE,
} from "./console_protocol.ts";
import type { WebSocketEnd } from "./websocket_client.ts";

/** The most that waits for a client, in bytes, beside what the line itself keeps. */
const SENT_MAX = 64 * 1024;
/** How often it is asked how much of it the client has taken: the runtime does not tell. */
const ASK_MS = 10;
/** For how long a client may take nothing while something waits for it. */
const STUCK_MS = 30_000;
/** A client has this long to take the other half of the handshake. */
const OPENING_MS = 10_000;
/** How much more input is taken before the client is told. */
const TELL_BYTES = INPUT_WINDOW / 4;
/** How many messages a client may send in a second: nobody types so fast, and what is pasted comes as one. */
const MESSAGES_MAX = 10_000;
/**
 * The runtime gathers the fragments of a message (RFC 6455 §5.4) without a limit and does not tell of them: so many bytes may
 * come beyond the last message, and so many more each minute for signs of life.
 */
const UNSEEN_MAX = 4 * INPUT_WINDOW;
const UNSEEN_PER_MINUTE = 16 * 1024;
const LOOK_MS = 100;
/** The longest reason (RFC 6455 §5.5). */
const REASON_BYTES = 123;

/** What went over a console, for the log. */
export interface ConsoleTraffic extends WebSocketEnd {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/**
 * Connects a client's WebSocket with a console, until either ends. Neither direction piles up: what the guest prints waits
 * in the line, and a client that sends more input than the window allows is cut off.
 */
export class ConsoleRelay {
  /** Resolves when it is over. */
  readonly done: Promise<ConsoleTraffic>;
  readonly #socket: WebSocket;
  readonly #line: ConsoleLine;
  readonly #log: Logger;
  readonly #done = Promise.withResolvers<ConsoleTraffic>();
  readonly #opening: ReturnType<typeof setTimeout>;
  readonly #connection: RequestsOfConnection | undefined;
  readonly #looking: ReturnType<typeof setInterval> | undefined;
  /** How many bytes had come, and when, at the last message or soon after it. */
  #base: { readonly bytes: number; readonly atMs: number } | undefined;
  readonly #messages = new RateLimit(MESSAGES_MAX);
  /** What was typed and the line has not begun to take, end to end: however it is cut up, it takes no more than that. */
  #input = new Uint8Array();
  #inputLength = 0;
  /** Bytes that the line has not taken, those that it has begun to take included. */
  #waiting = 0;
  #typing = false;
  #sent = 0;
  #received = 0;
  #told = 0;
  #end: WebSocketEnd | undefined;

  /** @param connection that the WebSocket is on; left out: what comes on it is not counted */
  constructor(socket: WebSocket, line: ConsoleLine, log: Logger, connection?: RequestsOfConnection) {
    this.#socket = socket;
    this.#connection = connection;
    if (connection?.receivedBytes() !== undefined) this.#looking = setInterval(() => this.#look(), LOOK_MS);
    this.#line = line;
    this.#log = log;
    this.done = this.#done.promise;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => clearTimeout(this.#opening);
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = ({ code, reason }) => this.#finish({ code, reason });
    socket.onerror = () => {}; // onclose follows
    this.#opening = setTimeout(
      () => this.#finish({ code: GOING_AWAY, reason: "it was never opened" }),
      OPENING_MS,
    );
    this.#carry(this.#print());
  }

  /** A defect in one direction ends both, for the client to know. */
  #carry(bytes: Promise<void>): void {
    bytes.catch((error) => {
      this.#log.defect("a console failed by a defect", error);
      this.end({ code: DEFECT, reason: "virtxd failed; its log has the details" });
    });
  }

  /** Tells the client goodbye. */
  end(end: WebSocketEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.close(end.code, shortened(end.reason));
    this.#finish(end);
  }

  /** Cuts a client off that sends fragments without end. */
  #look(): void {
    const bytes = this.#connection?.receivedBytes() ?? 0;
    const now = performance.now();
    this.#base ??= { bytes, atMs: now };
    const minutes = (now - this.#base.atMs) / 60_000;
    if (bytes - this.#base.bytes <= UNSEEN_MAX + minutes * UNSEEN_PER_MINUTE) return;
    this.end({ code: TOO_MUCH, reason: "a message without end" });
    this.#connection?.hangUp();
  }

  #finish(end: WebSocketEnd): void {
    clearTimeout(this.#opening);
    clearInterval(this.#looking);
    this.#end ??= end;
    this.#input = new Uint8Array();
    this.#inputLength = 0;
    this.#line.close();
    this.#done.resolve({ ...this.#end, sentBytes: this.#sent, receivedBytes: this.#received });
  }

  async #print(): Promise<void> {
    for (;;) {
      if (!await this.#hasRoom()) break;
      const bytes = await this.#line.read();
      if (bytes === undefined || this.#end !== undefined) break;
      this.#socket.send(bytes);
      this.#sent += bytes.length;
    }
    const end = await this.#line.ended;
    this.end(end);
  }

  /** Waits until the client has taken most of what was sent; false: it does not. */
  async #hasRoom(): Promise<boolean> {
    let least = Infinity;
    for (let askedAt = performance.now(); this.#end === undefined;) {
      const { readyState, bufferedAmount } = this.#socket;
      if (readyState === WebSocket.OPEN && bufferedAmount < SENT_MAX) return true;
      if (bufferedAmount < least) {
        least = bufferedAmount;
        askedAt = performance.now();
      } else if (performance.now() - askedAt > STUCK_MS) {
        this.end({ code: CONSOLE_CLOSE.unread, reason: `Nothing was read for ${STUCK_MS / 1000} s` });
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
    return false;
  }

  #take(data: unknown): void {
    if (this.#end !== undefined) return;
    if (!(data instanceof ArrayBuffer)) {
      return this.end({ code: UNACCEPTABLE, reason: "input has to be binary" });
    }
    this.#base = undefined;
    if (this.#messages.exceeded()) {
      return this.end({ code: TOO_MUCH, reason: `more than ${MESSAGES_MAX} messages in a second` });
    }
    if (data.byteLength === 0) return;
    this.#waiting += data.byteLength;
    if (this.#waiting > INPUT_WINDOW) {
      const why = `more than ${INPUT_WINDOW} bytes of input that were not taken yet`;
      return this.end({ code: TOO_MUCH, reason: why });
    }
    this.#keep(new Uint8Array(data));
    if (!this.#typing) this.#carry(this.#type());
  }

  #keep(bytes: Uint8Array<ArrayBuffer>): void {
    const length = this.#inputLength + bytes.length;
    if (length > this.#input.length) {
      const larger = new Uint8Array(Math.min(2 * length, INPUT_WINDOW));
      larger.set(this.#input.subarray(0, this.#inputLength));
      this.#input = larger;
    }
    this.#input.set(bytes, this.#inputLength);
    this.#inputLength = length;
  }

  async #type(): Promise<void> {
    this.#typing = true;
    while (this.#inputLength > 0) {
      const bytes = this.#input.slice(0, this.#inputLength);
      this.#inputLength = 0;
      await this.#line.write(bytes);
      this.#waiting -= bytes.length;
      this.#received += bytes.length;
      this.#tell();
    }
    this.#typing = false;
  }

  #tell(): void {
    if (this.#received - this.#told < TELL_BYTES || this.#end !== undefined) return;
    this.#told = this.#received;
    this.#socket.send(JSON.stringify({ taken: this.#received }));
  }
}

/** Cut to what a close frame may carry, between characters. */
function shortened(reason: string): string {
  const { read } = new TextEncoder().encodeInto(reason, new Uint8Array(REASON_BYTES));
  return reason.slice(0, read);
}
