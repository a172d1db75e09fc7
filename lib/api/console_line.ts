import { inBackground } from "../model/background.ts";
import { INPUT_WINDOW } from "./console_protocol.ts";
import type { WebSocketClient, WebSocketEnd } from "./websocket_client.ts";

/** A console: that of this host's libvirt, or another host's over a WebSocket. */
export interface ConsoleLine {
  /** The next bytes that the guest printed; undefined: it has ended, and that was all. */
  read(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Types; resolves when more may be typed. What comes after the end goes nowhere. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Lets go of it. */
  close(): void;
  /** With the code and reason that its user is told. */
  readonly ended: Promise<WebSocketEnd>;
}

/** The client's end of a console over a WebSocket. Somebody has to read, for what is typed to get on. */
export class RemoteConsole implements ConsoleLine {
  readonly ended: Promise<WebSocketEnd>;
  readonly #socket: WebSocketClient;
  #sent = 0;
  #taken = 0;
  #more = Promise.withResolvers<void>();

  constructor(socket: WebSocketClient) {
    this.#socket = socket;
    this.ended = socket.ended;
    inBackground(this.ended.then(() => this.#take(Infinity)));
  }

  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    for (;;) {
      const part = await this.#socket.read();
      if (part === undefined) return undefined;
      if (part.kind === "binary") return part.bytes;
      this.#take(takenOf(part.text));
    }
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const room = INPUT_WINDOW - (this.#sent - this.#taken);
      if (room <= 0) {
        await this.#more.promise;
        continue;
      }
      const part = rest.subarray(0, room);
      rest = rest.subarray(part.length);
      this.#sent += part.length;
      await this.#socket.send(part);
    }
  }

  close(): void {
    inBackground(this.#socket.close(1000, ""));
  }

  #take(taken: number): void {
    this.#taken = Math.max(this.#taken, taken);
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}

/** Texts of another sort are those of a later version. */
function takenOf(text: string): number {
  try {
    const taken: unknown = JSON.parse(text)?.taken;
    return typeof taken === "number" && Number.isSafeInteger(taken) ? taken : 0;
  } catch {
    return 0;
  }
}
