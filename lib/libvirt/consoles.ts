import { VirtxError } from "../model/error.ts";
import type { Connection } from "./connection.ts";
import { Console, type ConsoleEnd } from "./console.ts";
import { ConsoleFlag, ErrorCode } from "./constants.ts";
import { settlesWithin } from "./deadline.ts";
import { withDomain } from "./domain.ts";
import type { Runtime } from "./runtime.ts";
import { Stream, StreamEvents } from "./stream.ts";

/** Consoles that can be open at a time, each with its connection to libvirtd. */
const CONSOLES_MAX = 64;

/** How a {@link Consoles} is made. */
export interface ConsolesOptions {
  readonly runtime: Runtime;
  readonly open: () => Promise<Connection>;
  /** How long opening one may take. */
  readonly timeoutMs: number;
}

/**
 * The consoles that are open. Each has a connection to itself: input that a guest does not take holds up whatever else is on
 * its connection.
 */
export class Consoles implements AsyncDisposable {
  readonly #o: ConsolesOptions;
  readonly #events = new StreamEvents();
  readonly #open = new Set<Console>();
  readonly #unfinished = new Set<Promise<unknown>>();

  constructor(options: ConsolesOptions) {
    this.#o = options;
  }

  /**
   * Opens the first console of a domain.
   *
   * @param force takes it from who has it
   * @throws VirtxError conflict: the domain does not run, or the console is taken; unavailable: too many are open; timeout
   */
  async open(uuid: string, { force }: { readonly force: boolean }): Promise<Console> {
    if (this.#open.size + this.#unfinished.size >= CONSOLES_MAX) {
      throw new VirtxError("unavailable", `${CONSOLES_MAX} consoles are open on this host already`, {
        retryAfterS: 10,
      });
    }
    const { timeoutMs } = this.#o;
    const opening = this.#track(this.#connect(uuid, force));
    if (await settlesWithin(timeoutMs, opening)) return await opening;
    opening.then((late) => late[Symbol.asyncDispose](), () => {});
    throw new VirtxError("timeout", `libvirt did not answer for ${timeoutMs / 1000} s`);
  }

  /** Ends all of them. */
  end(end: ConsoleEnd): void {
    for (const each of this.#open) each.end(end);
  }

  /** Ends all, and waits until everything is given back. */
  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#open.size + this.#unfinished.size > 0) {
      this.end({ kind: "closed", reason: "virtxd is ending" });
      await Promise.allSettled(this.#unfinished);
    }
    await this.#o.runtime.loop.turn();
    this.#events[Symbol.dispose]();
  }

  async #connect(uuid: string, force: boolean): Promise<Console> {
    const { runtime, open } = this.#o;
    await using undo = new AsyncDisposableStack();
    const connection = undo.use(await open());
    const stream = undo.use(await Stream.create(connection, { loop: runtime.loop, events: this.#events }));
    const flags = ConsoleFlag.safe | (force ? ConsoleFlag.force : 0);
    await withDomain(connection, uuid, (domain) => domain.openConsole(stream.pointer, flags)).catch(refuse);
    const held = undo.move();
    const made = new Console(stream, () => {
      this.#open.delete(made);
      return this.#track(held.disposeAsync());
    });
    this.#open.add(made);
    try {
      await made.start();
      return made;
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Remembers the promise until it is settled; how is for those who wait for it. */
  #track<T>(promise: Promise<T>): Promise<T> {
    this.#unfinished.add(promise);
    const forget = () => this.#unfinished.delete(promise);
    promise.then(forget, forget);
    return promise;
  }
}

/** libvirt has one code for a console that is taken, by another session or by the lock of another program, and one for a guest that is off. */
function refuse(error: unknown): never {
  const code = error instanceof VirtxError ? error.libvirt?.code : undefined;
  if (code !== ErrorCode.operationFailed && code !== ErrorCode.operationInvalid) throw error;
  const { message, libvirt } = error as VirtxError;
  throw new VirtxError("conflict", message, { cause: error, ...(libvirt && { libvirt }) });
}
