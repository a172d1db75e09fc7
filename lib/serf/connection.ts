import { errorMessage, VirtxError } from "../model/error.ts";
import type { SocketAddress } from "./address.ts";
import { type Command, STREAM, UNREAD_REFUSALS } from "./commands.ts";
import { parseEvent, type StreamedEvent } from "./events.ts";
import { Fields } from "./fields.ts";
import { MessagePack, type PackableStruct } from "./message_pack.ts";
import { ValueSplitter } from "./splitter.ts";

/** How a {@link Connection} is made. */
export interface ConnectionOptions {
  readonly address: SocketAddress;
  /** How long connecting and each answer may take. */
  readonly timeoutMs: number;
  /** Ends the connection. */
  readonly signal: AbortSignal;
}

/** A command that waits for its answer. */
interface Call {
  readonly parse: ((body: unknown) => unknown) | undefined;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: VirtxError) => void;
}

const CHUNK_BYTES = 64 << 10;
/** No sensible use needs as many at a time; they hold memory. */
const MAX_CALLS = 4_096;

/**
 * One connection to an agent's RPC, of one stream of values in each direction: a header, and for some commands a body.
 * Answers come in any order, told apart by sequence numbers. What does not fit this protocol ends the connection, as
 * nothing after it could be understood; so does an answer that does not come in time, as the agent answers in order.
 */
export class Connection implements AsyncDisposable {
  readonly #socket: Deno.TcpConn;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal;
  readonly #codec = new MessagePack();
  readonly #calls = new Map<number, Call>();
  readonly #ended = Promise.withResolvers<VirtxError>();
  readonly #reading: Promise<void>;
  #writing: Promise<void> = Promise.resolve();
  #end: VirtxError | undefined;
  #lastSeq = 0;
  #streamSeq: number | undefined;
  /** Takes the next value, if that is the body for the header before it. */
  #onBody: ((body: unknown) => void) | undefined;
  #onEvent: ((event: StreamedEvent) => void) | undefined;
  #held: StreamedEvent[] = [];

  private constructor(socket: Deno.TcpConn, options: ConnectionOptions) {
    this.#socket = socket;
    this.#timeoutMs = options.timeoutMs;
    this.#signal = options.signal;
    this.#signal.addEventListener("abort", this.#onAbort);
    this.#reading = this.#read();
    if (this.#signal.aborted) this.#onAbort();
  }

  /** @throws VirtxError `unavailable` with the system's reason */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const socket = await dial(options);
    socket.setNoDelay(true);
    return new Connection(socket, options);
  }

  /** Resolves with the reason when the connection has ended. */
  get ended(): Promise<VirtxError> {
    return this.#ended.promise;
  }

  /**
   * Sends a command and waits for its answer.
   *
   * @throws VirtxError `refused` with the agent's reason; `timeout`; `unavailable` if the connection ended first
   */
  async call<T>(command: Command<T>, body?: PackableStruct): Promise<T> {
    if (this.#end !== undefined) throw this.#end;
    if (this.#calls.size >= MAX_CALLS) throw lost(`${MAX_CALLS} commands wait for answers already`);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => this.#giveUp(command.name, reject), this.#timeoutMs);
    try {
      this.#send(command, body, { parse: command.parse, resolve, reject });
      return await promise as T; // what its parse returns, or nothing
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asks for all events; they are kept until {@link flow}. @throws as {@link call} */
  async subscribe(): Promise<void> {
    this.#streamSeq = this.#lastSeq + 1;
    await this.call(STREAM, { Type: "*" });
  }

  /** From now on events go here, at first those that were kept. The handler must not throw. */
  flow(onEvent: (event: StreamedEvent) => void): void {
    this.#onEvent = onEvent;
    this.#held.splice(0).forEach(onEvent);
  }

  /** Ends the connection for this reason, which those who wait get. */
  end(reason: VirtxError): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#socket.close();
    for (const call of [...this.#calls.values()]) call.reject(reason);
    this.#calls.clear();
    this.#ended.resolve(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end(lost("the connection was closed"));
    await Promise.all([this.#reading, this.#writing]);
  }

  readonly #onAbort = () => this.end(lost("the connection was closed"));

  #send({ name }: Command<unknown>, body: PackableStruct | undefined, call: Call): void {
    const header = { Command: name, Seq: ++this.#lastSeq };
    this.#calls.set(header.Seq, call);
    this.#write(body === undefined ? this.#codec.pack(header) : this.#codec.pack(header, body));
  }

  #giveUp(command: string, reject: Call["reject"]): void {
    const silence = `the agent did not answer ${command} for ${this.#timeoutMs / 1000} s`;
    reject(new VirtxError("timeout", silence));
    this.end(lost(silence));
  }

  #write(bytes: Uint8Array): void {
    this.#writing = this.#writing.then(async () => {
      for (let sent = 0; sent < bytes.length && this.#end === undefined;) {
        sent += await this.#socket.write(bytes.subarray(sent));
      }
    }).catch((error) => this.end(lost(errorMessage(error))));
  }

  async #read(): Promise<void> {
    const splitter = new ValueSplitter();
    const chunk = new Uint8Array(CHUNK_BYTES);
    try {
      while (this.#end === undefined) {
        const count = await this.#socket.read(chunk);
        if (count === null) return this.end(lost("the agent closed the connection"));
        for (const bytes of splitter.push(chunk.subarray(0, count))) {
          if (this.#end === undefined) this.#accept(this.#codec.unpack(bytes));
        }
      }
    } catch (error) {
      const reason = errorMessage(error);
      this.end(error instanceof VirtxError ? lost(`the agent sent ${reason}`, error) : lost(reason, error));
    }
  }

  #accept(value: unknown): void {
    const onBody = this.#onBody;
    this.#onBody = undefined;
    if (onBody !== undefined) return onBody(value);
    const header = new Fields(value, "a header");
    const seq = header.integer("Seq"), refusal = header.text("Error");
    const call = this.#calls.get(seq);
    if (call !== undefined) this.#answer(seq, call, refusal);
    else if (seq === this.#streamSeq) this.#onBody = (body) => this.#event(body);
    else throw new VirtxError("invalid", `an answer to nothing that was asked`);
  }

  #answer(seq: number, call: Call, refusal: string): void {
    if (UNREAD_REFUSALS.has(refusal)) {
      call.reject(new VirtxError("refused", refusal));
      return this.end(lost(`the agent says: ${refusal}`));
    }
    const settle = (answer: () => unknown) => {
      if (refusal === "") call.resolve(answer());
      else call.reject(new VirtxError("refused", refusal));
      this.#calls.delete(seq);
    };
    const { parse } = call;
    if (parse === undefined) settle(() => undefined);
    else this.#onBody = (body) => settle(() => parse(body));
  }

  #event(record: unknown): void {
    const event = parseEvent(record);
    if (event === undefined) return;
    if (this.#onEvent === undefined) this.#held.push(event);
    else this.#onEvent(event);
  }
}

async function dial({ address, timeoutMs, signal }: ConnectionOptions): Promise<Deno.TcpConn> {
  const giveUp = new AbortController();
  const onAbort = () => giveUp.abort(lost("the attempt was given up"));
  const timer = setTimeout(() => giveUp.abort(lost(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    return await Deno.connect({ ...address, signal: giveUp.signal });
  } catch (error) {
    const reason = giveUp.signal.aborted ? giveUp.signal.reason : error;
    throw reason instanceof VirtxError ? reason : lost(errorMessage(reason), reason);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** Away, but worth another try soon. */
function lost(reason: string, cause?: unknown): VirtxError {
  return new VirtxError("unavailable", reason, { retryAfterS: 5, cause });
}
