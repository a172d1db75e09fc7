import { VirtxError } from "../model/error.ts";
import { KeyedMutex, Mutex } from "../model/mutex.ts";
import { Semaphore } from "../model/semaphore.ts";
import type { Connection } from "./connection.ts";
import { Console, type ConsoleEnd } from "./console.ts";
import { ConsoleFlag, ErrorCode } from "./constants.ts";
import { delay } from "../model/delay.ts";
import { settlesWithin } from "./deadline.ts";
import { withDomain } from "./domain.ts";
import type { Runtime } from "./runtime.ts";
import { Stream, StreamEvents } from "./stream.ts";

/** Consoles that can be open at a time, each with its connection to libvirtd. */
const CONSOLES_MAX = 64;
/** Calls for consoles that may be under way at a time, each on one of Deno's few blocking threads. */
const CALLS_MAX = 2;
/** libvirt may take a moment to see that a console was given back: so often it is asked again, and after how long. */
const RETRIES = 10, RETRY_MS = 50;
/** Between two consoles that are taken from others by force. */
const FORCE_PAUSE_MS = 1_000;

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
 *
 * A domain's consoles are opened one after the other, and one of ours is given back, and that acknowledged, before the next is
 * opened. libvirt's own way of taking it (VIR_DOMAIN_CONSOLE_FORCE) is for consoles that others have: it ends the other stream
 * while that may be in use, and does so a thousand times in a row only to crash (libvirt 9.0).
 */
export class Consoles implements AsyncDisposable {
  readonly #o: ConsolesOptions;
  readonly #events = new StreamEvents();
  readonly #open = new Set<Console>();
  /** By domain, until it has been given back. */
  readonly #ours = new Map<string, Console>();
  readonly #turns = new KeyedMutex();
  readonly #calls = new Semaphore(CALLS_MAX);
  readonly #forcing = new Mutex();
  #forcedAt = -FORCE_PAUSE_MS;
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
    const expired = new VirtxError("timeout", `libvirt did not answer for ${timeoutMs / 1000} s`);
    const giveUp = new AbortController();
    const { signal } = giveUp;
    const opening = this.#track(
      this.#turns.run(uuid, () => this.#take(uuid, { force, signal }), { signal }),
    );
    if (await settlesWithin(timeoutMs, opening)) return await opening;
    giveUp.abort(expired);
    opening.then((late) => late[Symbol.asyncDispose](), () => {});
    throw expired;
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

  /** Opens a domain's console, once its turn has come. */
  async #take(
    uuid: string,
    { force, signal }: { readonly force: boolean; readonly signal: AbortSignal },
  ): Promise<Console> {
    const ours = this.#ours.get(uuid);
    if (force) ours?.end({ kind: "taken", reason: "another user has taken it" });
    const wasOurs = ours?.released !== undefined;
    await ours?.released;
    for (let retries = wasOurs ? RETRIES : 0;; retries--) {
      signal.throwIfAborted();
      try {
        return await this.#connect(uuid, ConsoleFlag.safe);
      } catch (error) {
        if (!isTaken(error) || (retries === 0 && !force)) throw error;
        if (retries === 0) return await this.#takeFromOthers(uuid, signal);
      }
      await delay(RETRY_MS, signal);
    }
  }

  async #takeFromOthers(uuid: string, signal: AbortSignal): Promise<Console> {
    using _turn = await this.#forcing.lock({ signal });
    await delay(Math.max(0, this.#forcedAt + FORCE_PAUSE_MS - performance.now()), signal);
    this.#forcedAt = performance.now();
    return await this.#connect(uuid, ConsoleFlag.safe | ConsoleFlag.force);
  }

  async #connect(uuid: string, flags: number): Promise<Console> {
    const { runtime, open } = this.#o;
    const { connection, stream, held } = await this.#calls.run(async () => {
      await using undo = new AsyncDisposableStack();
      const connection = undo.use(await open());
      const stream = undo.use(await Stream.create(connection, { loop: runtime.loop, events: this.#events }));
      await withDomain(connection, uuid, (domain) => domain.openConsole(stream.pointer, flags)).catch(refuse);
      return { connection, stream, held: undo.move() };
    });
    const made = new Console(stream, {
      calls: this.#calls,
      release: () => {
        this.#open.delete(made);
        return this.#track(
          this.#calls.run(() => held.disposeAsync()).finally(() => {
            if (this.#ours.get(uuid) === made) this.#ours.delete(uuid);
          }),
        );
      },
    });
    this.#open.add(made);
    this.#ours.set(uuid, made);
    try {
      connection.check();
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

function isTaken(error: unknown): boolean {
  return error instanceof VirtxError && error.libvirt?.code === ErrorCode.operationFailed;
}

/** libvirt has one code for a console that is taken, by another session or by the lock of another program, and one for a guest that is off. */
function refuse(error: unknown): never {
  const code = error instanceof VirtxError ? error.libvirt?.code : undefined;
  if (code !== ErrorCode.operationFailed && code !== ErrorCode.operationInvalid) throw error;
  const { message, libvirt } = error as VirtxError;
  throw new VirtxError("conflict", message, { cause: error, ...(libvirt && { libvirt }) });
}
