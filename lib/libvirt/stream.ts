import type { Connection } from "./connection.ts";
import { StreamEvent, StreamFlag } from "./constants.ts";
import type { EventLoop } from "./event_loop.ts";

// void (*)(virStreamPtr stream, int events, void *opaque)
const EVENT = { parameters: ["pointer", "i32", "pointer"], result: "void" } as const;
const ALL_EVENTS = StreamEvent.readable | StreamEvent.error | StreamEvent.hangup;

/** What virStreamRecv returns: nothing has arrived since. */
const WOULD_BLOCK = -2;
/** The most that a stream's message carries: VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX is a little less than four of these. */
const RECEIVE_BYTES = 64 * 1024;

/**
 * The C function that libvirt calls when something has come on a stream, one for all streams. Like those of a
 * CallbackSet it outlives every stream: a callback must not be closed while libvirt may still call it.
 */
export class StreamEvents implements Disposable {
  readonly #handlers = new Map<bigint, () => void>();
  readonly #callback = Deno.UnsafeCallback.threadSafe(
    EVENT,
    // A call that was on its way when its stream closed finds nobody.
    (stream) => this.#handlers.get(Deno.UnsafePointer.value(stream))?.(),
  );

  get pointer(): Deno.PointerObject {
    return this.#callback.pointer;
  }

  /** Has a stream's events handled within libvirt's callback; undefined: no more. */
  handle(stream: Deno.PointerObject, handler: (() => void) | undefined): void {
    const address = Deno.UnsafePointer.value(stream);
    if (handler === undefined) this.#handlers.delete(address);
    else this.#handlers.set(address, handler);
  }

  /** All streams must be closed, and libvirt's loop have turned since. */
  [Symbol.dispose](): void {
    this.#callback.close();
  }
}

/** What {@link Stream}s stand on. */
export interface StreamSupport {
  readonly loop: EventLoop;
  readonly events: StreamEvents;
}

/**
 * A stream of bytes to and from libvirt (virStreamPtr, VIR_STREAM_NONBLOCK) on a connection of its own.
 *
 * Receiving costs no thread and does not wait: libvirt's client library reads the socket in its event loop and keeps what has
 * come; virStreamRecv takes it from there, which is a copy in memory, so it may run on the main thread. Measured with a
 * guest that prints 1 MB as fast as it can, this takes two thirds of the CPU time of virStreamRecv on other threads, be they
 * started for each event or block for each stream, and is a quarter faster. libvirt keeps what is not taken without a
 * bound, so it must be taken.
 *
 * Sending may wait for libvirtd: it reads no more of a connection, not even its keepalive, while five messages wait there
 * for a guest that takes no input.
 */
export class Stream implements AsyncDisposable {
  readonly pointer: Deno.PointerObject;
  readonly #connection: Connection;
  readonly #support: StreamSupport;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  #watched = false;

  private constructor(connection: Connection, support: StreamSupport, pointer: Deno.PointerObject) {
    this.#connection = connection;
    this.#support = support;
    this.pointer = pointer;
  }

  /** virStreamNew. @throws VirtxError with libvirt's reason */
  static async create(connection: Connection, support: StreamSupport): Promise<Stream> {
    const { libvirt } = connection;
    const pointer = await connection.pointer((c) =>
      Promise.resolve(libvirt.virStreamNew(c, StreamFlag.nonblock))
    );
    return new Stream(connection, support, pointer);
  }

  /**
   * virStreamEventAddCallback: calls the handler, within libvirt's callback, as long as there is something to receive.
   *
   * @throws VirtxError with libvirt's reason
   */
  async watch(handler: () => void): Promise<void> {
    const { events } = this.#support;
    const { libvirt } = this.#connection;
    events.handle(this.pointer, handler);
    this.#watched = true;
    await this.#connection.int(() =>
      Promise.resolve(
        libvirt.virStreamEventAddCallback(this.pointer, ALL_EVENTS, events.pointer, null, null),
      )
    );
  }

  /** virStreamEventUpdateCallback: has the handler not called, or called again. */
  listen(on: boolean): void {
    this.#connection.libvirt.virStreamEventUpdateCallback(this.pointer, on ? ALL_EVENTS : 0);
  }

  /** virStreamRecv: what has arrived; undefined: nothing. The stream has ended: "end", or that it failed: "failure". */
  receive(): Uint8Array<ArrayBuffer> | "end" | "failure" | undefined {
    const count = this.#connection.libvirt.virStreamRecv(
      this.pointer,
      this.#buffer,
      BigInt(this.#buffer.length),
    );
    if (count > 0) return this.#buffer.slice(0, count);
    if (count === 0) return "end";
    return count === WOULD_BLOCK ? undefined : "failure";
  }

  /** Why receiving failed: a VirtxError with libvirt's reason. */
  async failure(): Promise<unknown> {
    try {
      return await this.#connection.int(() => Promise.resolve(-1)); // the reason is still where the call left it
    } catch (error) {
      return error;
    }
  }

  /**
   * virStreamSend, until all is sent; only one at a time.
   *
   * @throws VirtxError with libvirt's reason; `unavailable` if libvirt is gone
   */
  async send(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      const sent = await this.#connection.int(() =>
        this.#connection.libvirt.virStreamSend(this.pointer, rest, BigInt(rest.length))
      );
      rest = rest.subarray(sent);
    }
  }

  /** Ends it once a {@link send} that is under way has returned (virStreamAbort, which is harmless after the end). */
  async [Symbol.asyncDispose](): Promise<void> {
    const { libvirt } = this.#connection;
    const { events, loop } = this.#support;
    if (this.#watched) libvirt.virStreamEventRemoveCallback(this.pointer);
    await this.#connection.attempt(() => libvirt.virStreamAbort(this.pointer));
    // libvirt drops the callback, with its reference to the stream, in the next turn of its loop.
    await loop.turn();
    events.handle(this.pointer, undefined);
    libvirt.virStreamFree(this.pointer);
  }
}
