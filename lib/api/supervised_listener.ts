import { setTimeout as delay } from "node:timers/promises";
import { logFailure } from "../model/defect.ts";
import { errorMessage } from "../model/error.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { within } from "../model/within.ts";
import { errnoCode } from "../posix/errno.ts";

/** How soon a listener that has ended is opened again, first and at last. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 10_000;
/** How often a listener is asked whether it still hears, and how long it may take to answer. */
const PROBE_MS = 10_000;
const ANSWER_MS = 5_000;
/** So many questions in a row without an answer: once may be the fault of a busy machine. */
const DEAF_AFTER = 2;

const QUESTION = new TextEncoder().encode(
  "GET /healthz HTTP/1.1\r\nHost: localhost\r\nUser-Agent: virtxd\r\nConnection: close\r\n\r\n",
);

/** A listener, and how it is opened. */
export interface ListenerPlan {
  /** As in the configuration, for people: `127.0.0.1:8080`. */
  readonly name: string;
  /** Whether a host without it cannot do its work. */
  readonly blocking: boolean;
  /** Opens it. @throws an error that says why it cannot be had */
  open(): Promise<OpenListener>;
}

export interface OpenListener {
  /** Where clients find it: `http://127.0.0.1:8080`. */
  readonly address: string;
  readonly server: Deno.HttpServer<Deno.Addr>;
  readonly probe: Deno.ConnectOptions | Deno.UnixConnectOptions;
  /** Why clients do not find it any more; undefined: they do. */
  lost?(): string | undefined;
  /** Whether it can be opened again while this one is still open. */
  readonly sharesAddress: boolean;
  /** Called when it has been closed for good. */
  closed?(): void;
}

export interface SupervisorOptions {
  readonly health: Health;
  readonly log: Logger;
  /** Called when a listener has ended by itself, before it is opened again: descriptors may have run out. */
  readonly makeRoom: () => void;
  readonly probeMs?: number;
  readonly answerMs?: number;
}

/** A listener that is opened again when it ends by itself, is deaf, or cannot be found any more. */
export class SupervisedListener {
  readonly #plan: ListenerPlan;
  readonly #o: SupervisorOptions;
  readonly #closing = new AbortController();
  readonly #left = new Set<Promise<unknown>>();
  readonly #supervising: Promise<void>;
  #current: OpenListener;

  private constructor(plan: ListenerPlan, current: OpenListener, options: SupervisorOptions) {
    this.#plan = plan;
    this.#current = current;
    this.#o = options;
    this.#supervising = this.#supervise();
  }

  /** @throws what the plan throws */
  static async open(plan: ListenerPlan, options: SupervisorOptions): Promise<SupervisedListener> {
    return new SupervisedListener(plan, await plan.open(), options);
  }

  get address(): string {
    return this.#current.address;
  }

  /** Accepts no more and resolves when the last request is answered. */
  async drain(): Promise<void> {
    this.#closing.abort();
    await this.#supervising;
    this.#leave(this.#current);
    await Promise.all(this.#left);
    this.#current.closed?.();
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const reason = await this.#untilFault(this.#current);
      if (reason === undefined) return;
      await this.#reopen(reason);
    }
  }

  /** Resolves with what is wrong with the listener; with undefined when it is to be closed. */
  async #untilFault(listener: OpenListener): Promise<string | undefined> {
    const { signal } = this.#closing;
    const { probeMs = PROBE_MS } = this.#o;
    let ended: string | undefined;
    const watching = new AbortController();
    const abort = () => watching.abort();
    signal.addEventListener("abort", abort);
    const end = (reason: string) => {
      ended = reason;
      watching.abort();
    };
    listener.server.finished.then(
      () => end("it ended without a reason"),
      (error: unknown) => end(errorMessage(error)),
    );
    try {
      for (let silent = 0;;) {
        await delay(probeMs, undefined, { signal: watching.signal }).catch(() => {}); // ended, or to be closed
        if (signal.aborted) return undefined;
        if (ended !== undefined) return ended;
        const lost = listener.lost?.();
        if (lost !== undefined) return lost;
        silent = await this.#answers(listener) ? 0 : silent + 1;
        if (silent >= DEAF_AFTER) return "it does not answer any more";
      }
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async #reopen(reason: string): Promise<void> {
    const { name, blocking } = this.#plan;
    const { health, log, makeRoom } = this.#o;
    const { signal } = this.#closing;
    const cause = `listener ${name}`;
    log.error("listener failed, and is opened again", { listener: name, reason });
    health.report(cause, { reason: `nobody can connect to ${name}: ${reason}`, blocking });
    makeRoom();
    const old = this.#current;
    if (!old.sharesAddress) this.#leave(old);
    for (let waitMs = FIRST_RETRY_MS;; waitMs = Math.min(2 * waitMs, LAST_RETRY_MS)) {
      await delay(waitMs, undefined, { signal }).catch(() => {}); // to be closed
      if (signal.aborted) return;
      try {
        this.#current = await this.#plan.open();
        break;
      } catch (error) {
        const why = errorMessage(error);
        if (errnoCode(error) === undefined) {
          logFailure(log, "debug", "listener cannot be opened again", error, { listener: name });
        }
        health.report(cause, { reason: `nobody can connect to ${name}: ${why}`, blocking });
        makeRoom();
      }
    }
    if (old.sharesAddress) this.#leave(old);
    health.clear(cause);
    log.info("listener is open again", { listener: name });
  }

  /** Has it accept no more; what is open goes on. */
  #leave({ server }: OpenListener): void {
    const leaving = server.shutdown().catch(() => {}).finally(() => this.#left.delete(leaving)); // it may have failed before
    this.#left.add(leaving);
  }

  async #answers({ probe }: OpenListener): Promise<boolean> {
    let connection: Deno.Conn | undefined;
    let isAnswered = false;
    const ask = async () => {
      connection = "path" in probe ? await Deno.connect(probe) : await Deno.connect(probe);
      await connection.write(QUESTION);
      isAnswered = (await connection.read(new Uint8Array(1))) !== null;
    };
    try {
      const asking = ask();
      asking.catch(() => {}); // it fails, too, when the connection is closed below
      if (!await within(this.#o.answerMs ?? ANSWER_MS, asking)) return false;
      return isAnswered;
    } catch (error) {
      // If there are no descriptors, there are none for a question either.
      return ["EMFILE", "ENFILE"].includes(errnoCode(error) ?? "");
    } finally {
      connection?.close();
    }
  }
}
