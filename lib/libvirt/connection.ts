import type { VirtxError } from "../model/error.ts";
import { Mutex } from "../model/mutex.ts";
import { libvirtAway, libvirtFailure, takeConnectionError } from "./error.ts";
import type { Libvirt } from "./ffi.ts";
import { cString } from "./memory.ts";
import type { Runtime } from "./runtime.ts";

/** A daemon that answers no probe for KEEPALIVE_S × KEEPALIVE_COUNT seconds counts as gone (virConnectSetKeepAlive). */
const KEEPALIVE_S = 3, KEEPALIVE_COUNT = 4;

/** How a C function says that it failed, by its result: negative, or NULL. */
const isNegative = (result: number) => result < 0;
const isNull = (result: Deno.PointerValue) => result === null;

/**
 * One connection to libvirt (virConnectPtr). One call at a time runs on it, and its lock is held until that call's
 * error is copied, so each caller gets its own error.
 */
export class Connection implements AsyncDisposable {
  readonly libvirt: Libvirt;
  readonly #runtime: Runtime;
  readonly #pointer: Deno.PointerObject;
  readonly #lock: Mutex;
  /** Whether others have references too. */
  readonly #shared: boolean;
  #retired: VirtxError | undefined;

  private constructor(runtime: Runtime, pointer: Deno.PointerObject, lock: Mutex, shared: boolean) {
    this.libvirt = runtime.libvirt;
    this.#runtime = runtime;
    this.#pointer = pointer;
    this.#lock = lock;
    this.#shared = shared;
  }

  /**
   * Connects (virConnectOpen), with keepalive where the driver has it.
   *
   * @throws VirtxError `unavailable` with libvirt's reason.
   */
  static async open(runtime: Runtime, uri: string): Promise<Connection> {
    const name = cString(uri);
    const opened = await runtime.openExclusively((libvirt) => libvirt.virConnectOpen(name));
    if ("code" in opened) {
      throw libvirtAway(`Cannot connect to libvirt at ${uri}: ${opened.message}`, opened);
    }
    return await Connection.of(runtime, opened);
  }

  /** A connection that somebody has opened, with keepalive where the driver has it. */
  static async of(runtime: Runtime, opened: Deno.PointerObject): Promise<Connection> {
    // Drivers without a socket (test) refuse; there is nothing to keep alive then
    await runtime.libvirt.virConnectSetKeepAlive(opened, KEEPALIVE_S, KEEPALIVE_COUNT);
    runtime.libvirt.virConnResetLastError(opened);
    return new Connection(runtime, opened, new Mutex(), false);
  }

  /** The same libvirt connection once more, with a reference of its own (virConnectRef). */
  share(): Connection {
    this.libvirt.virConnectRef(this.#pointer);
    return new Connection(this.#runtime, this.#pointer, this.#lock, true);
  }

  /** False once it is lost or given up; such a connection is only good for closing. */
  get usable(): boolean {
    return this.#retired === undefined;
  }

  /** @throws what {@link retire} was told, if it was. */
  check(): void {
    if (this.#retired !== undefined) throw this.#retired;
  }

  /** Whether this is the connection that libvirt speaks of in a callback. */
  is(pointer: Deno.PointerValue): boolean {
    return Deno.UnsafePointer.equals(pointer, this.#pointer);
  }

  /** Gives the connection up: a call that is under way goes on, later ones throw this error. */
  retire(why: VirtxError): void {
    this.#retired ??= why;
  }

  /**
   * Calls a function that returns an int, negative on failure.
   *
   * @throws VirtxError with libvirt's message and reason.
   */
  int(call: (connection: Deno.PointerObject) => Promise<number>): Promise<number> {
    return this.#call(call, isNegative);
  }

  /**
   * Calls a function that returns a pointer, NULL on failure.
   *
   * @throws VirtxError with libvirt's message and reason.
   */
  async pointer(
    call: (connection: Deno.PointerObject) => Promise<Deno.PointerValue>,
  ): Promise<Deno.PointerObject> {
    const pointer = await this.#call(call, isNull);
    if (pointer === null) throw new TypeError("A NULL result passed for success");
    return pointer;
  }

  /** Calls a function whose failure changes nothing, on a retired connection too: cleaning up, mostly. */
  async attempt(call: (connection: Deno.PointerObject) => Promise<number>): Promise<number> {
    using _turn = await this.#lock.lock();
    const result = await call(this.#pointer);
    this.libvirt.virConnResetLastError(this.#pointer);
    return result;
  }

  /**
   * Closes it once the call that is under way has returned (virConnectClose). The references that are left, 0: any more
   * than those of {@link share} are a leak, which is logged too.
   */
  async close(): Promise<number> {
    this.retire(libvirtAway("The connection to libvirt is closed"));
    const references = await this.#lock.run(() => this.libvirt.virConnectClose(this.#pointer));
    if (references > 0 && !this.#shared) this.#runtime.log.error("libvirt references leaked", { references });
    return references;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #call<R>(
    call: (connection: Deno.PointerObject) => Promise<R>,
    failed: (result: R) => boolean,
  ): Promise<R> {
    using _turn = await this.#lock.lock();
    this.check();
    const result = await call(this.#pointer);
    if (!failed(result)) return result;
    const reason = takeConnectionError(this.libvirt, this.#pointer);
    if (await this.libvirt.virConnectIsAlive(this.#pointer) === 1) throw libvirtFailure(reason);
    const lost = libvirtAway(`The connection to libvirt is lost: ${reason.message}`, reason);
    this.retire(lost);
    throw lost;
  }
}
