import { setTimeout as delay } from "node:timers/promises";
import type { Libvirt } from "./ffi.ts";

/** Frequencies of a libvirt timeout, in ms: never, and at every turn. */
const NEVER = -1, AT_ONCE = 0;
/** From a failure of the loop to its next turn. */
const RETRY_MS = 1_000;

/**
 * libvirt's default event loop (virEventRegisterDefaultImpl), turned for ever on one thread of Deno's pool. Events,
 * keepalive and the timely notice of a lost connection all need it, so it must run before the first connection opens
 * and a little longer than the last one. libvirt has one such loop per process and never gives it up.
 */
export class EventLoop implements AsyncDisposable {
  readonly #libvirt: Libvirt;
  /** libvirt calls it within the loop; what matters is that the loop's thread wakes up for it. */
  readonly #onWake = Deno.UnsafeCallback.threadSafe(
    { parameters: ["i32", "pointer"], result: "void" },
    () => {},
  );
  readonly #wakeTimer: number;
  readonly #running: Promise<void>;
  #turned = Promise.withResolvers<void>();
  #waiting = 0;
  #stopping = false;

  constructor(libvirt: Libvirt) {
    this.#libvirt = libvirt;
    libvirt.virEventRegisterDefaultImpl();
    this.#wakeTimer = libvirt.virEventAddTimeout(NEVER, this.#onWake.pointer, null, null);
    this.#running = this.#run();
  }

  /** Resolves when everything that was due when it was called has been dispatched. */
  async turn(): Promise<void> {
    this.#waiting++;
    this.#libvirt.virEventUpdateTimeout(this.#wakeTimer, AT_ONCE);
    await this.#turned.promise; // ends the turn that is under way
    await this.#turned.promise; // a whole turn
    if (--this.#waiting === 0) this.#libvirt.virEventUpdateTimeout(this.#wakeTimer, NEVER);
  }

  /** Stops the loop, after it has cleared away what was closed before; all connections must be closed by then. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.turn();
    this.#stopping = true;
    this.#libvirt.virEventUpdateTimeout(this.#wakeTimer, AT_ONCE);
    await this.#running;
    this.#libvirt.virEventRemoveTimeout(this.#wakeTimer);
    this.#onWake.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      if (await this.#libvirt.virEventRunDefaultImpl() < 0) {
        // Without it this process hears nothing of libvirt: it goes on, or too many of these end the process.
        reportError(new Error("libvirt's event loop failed"));
        await delay(RETRY_MS);
      }
      const turned = this.#turned;
      this.#turned = Promise.withResolvers();
      turned.resolve();
    }
  }
}
