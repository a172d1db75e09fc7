import type { LibvirtReason } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { Mutex } from "../model/mutex.ts";
import { readError } from "./error.ts";
import { EventLoop } from "./event_loop.ts";
import { type Libvirt, type LibvirtLibrary, loadLibvirt } from "./ffi.ts";

/** libvirt's own log, which it would begin on standard error with its first warning, in the midst of ours; unless somebody wants it. */
function keepLogQuiet(): void {
  if (Deno.env.has("LIBVIRT_DEBUG") || Deno.env.has("LIBVIRT_LOG_OUTPUTS")) return;
  Deno.env.set("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null");
}

/**
 * What all connections of this process share: the library, its event loop, and its place for errors that belong to no
 * connection. One at a time per process, since libvirt has one event loop and one error handler in each.
 *
 * libvirt's default handler prints every error to stderr; while a Runtime lives nothing is printed. Once a connection
 * is open, its errors are read from the connection, so its own handler only keeps still. Errors of an *open* that
 * failed have no connection and die with the thread that ran it; they are caught by the global handler, which libvirt
 * calls within the failing call. It does not say whose error it is, therefore opens take turns.
 */
export class Runtime implements AsyncDisposable {
  readonly libvirt: Libvirt;
  readonly loop: EventLoop;
  readonly log: Logger;
  readonly #library: LibvirtLibrary;
  readonly #opening = new Mutex();
  readonly #onError: Deno.UnsafeCallback<{ parameters: ["pointer", "pointer"]; result: "void" }>;
  #lastError: LibvirtReason | undefined;

  /** @throws VirtxError `unavailable` if the library cannot be loaded. */
  constructor(log: Logger) {
    this.log = log;
    keepLogQuiet();
    this.#library = loadLibvirt();
    this.libvirt = this.#library.symbols;
    this.#onError = Deno.UnsafeCallback.threadSafe(
      { parameters: ["pointer", "pointer"], result: "void" },
      (_userData, error) => {
        if (error !== null) this.#lastError = readError(error);
      },
    );
    this.libvirt.virSetErrorFunc(null, this.#onError.pointer);
    this.loop = new EventLoop(this.libvirt);
  }

  /** Runs one virConnectOpen at a time: its pointer, or the reason why there is none. */
  async openExclusively(
    open: (libvirt: Libvirt) => Promise<Deno.PointerValue>,
  ): Promise<Deno.PointerObject | LibvirtReason> {
    using _turn = await this.#opening.lock();
    this.#lastError = undefined;
    const pointer = await open(this.libvirt);
    if (pointer === null) {
      return this.#lastError ?? { code: 0, domain: 0, level: 0, message: "libvirt gave no reason" };
    }
    // NULL would mean libvirt's printing default here too
    this.libvirt.virConnSetErrorFunc(pointer, null, this.libvirt.ignoreError);
    return pointer;
  }

  /** All connections must be closed by then, and no call may be under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.loop[Symbol.asyncDispose]();
    this.libvirt.virSetErrorFunc(null, this.libvirt.ignoreError);
    this.#onError.close();
    this.#library.close();
  }
}
