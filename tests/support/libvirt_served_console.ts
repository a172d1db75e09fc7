import { XdrWriter } from "./xdr.ts";

/** The type of messages that belong to a stream, and their states: its end, its failure or abort, data. */
export const STREAM = 3;
const OK = 0, ERROR = 1, CONTINUE = 2;
const PROGRAM = 0x20008086, VERSION = 1, OPEN_CONSOLE = 201;
const HEADER_BYTES = 28;
const FROM_STREAMS = 38, LEVEL_ERROR = 2;
/** A message of libvirt's carries no more, in bytes. */
const PAYLOAD = 64 * 1024;

/** The console of a libvirt server's domain, as the one at the other end of the stream sees it. */
export class ServedConsole {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #serial: number;
  /** What came from the client. */
  typed = "";
  /** How many messages it came in. */
  messages = 0;
  /** The client has aborted the stream. */
  aborted = false;

  constructor(write: (bytes: Uint8Array) => Promise<void>, serial: number) {
    this.#write = write;
    this.#serial = serial;
  }

  /** Sends what the guest prints. */
  async print(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += PAYLOAD) {
      await this.#send(CONTINUE, bytes.subarray(at, at + PAYLOAD));
    }
  }

  /** Ends the stream, as when the guest ends. */
  async end(): Promise<void> {
    await this.#send(CONTINUE, new Uint8Array());
  }

  /** Ends the stream with an error, as when another session takes the console. */
  async fail(message: string): Promise<void> {
    const body = new XdrWriter().int(38).int(FROM_STREAMS).optionalString(message).int(LEVEL_ERROR);
    for (let field = 0; field < 7; field++) body.int(0);
    await this.#send(ERROR, body.bytes);
  }

  /** A message of the client's. */
  async take(status: number, body: DataView): Promise<void> {
    if (status === CONTINUE) {
      this.typed += new TextDecoder().decode(body);
      this.messages++;
      return;
    }
    this.aborted = true;
    await this.#send(OK, new Uint8Array());
  }

  async #send(status: number, payload: Uint8Array): Promise<void> {
    const header =
      new XdrWriter().int(HEADER_BYTES + payload.length).int(PROGRAM).int(VERSION).int(OPEN_CONSOLE)
        .int(STREAM).int(this.#serial).int(status).bytes;
    const message = new Uint8Array(header.length + payload.length);
    message.set(header);
    message.set(payload, header.length);
    await this.#write(message);
  }
}
