import { setTimeout as delay } from "node:timers/promises";
import { logFailure } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { SocketAddress } from "./address.ts";
import { AUTH, HANDSHAKE, STATS } from "./commands.ts";
import { Connection } from "./connection.ts";
import type { SerfEvent } from "./events.ts";

/** How a {@link Link} is made. */
export interface LinkOptions {
  readonly address: SocketAddress;
  readonly authKey: string | undefined;
  readonly timeoutMs: number;
  /** A fifth more or less, by chance. */
  readonly reconnectMs: number;
  /** How often the agent is asked for a sign of life. */
  readonly heartbeatMs: number;
  readonly log: Logger;
  /** Brings an agent that may be a new one to what is wanted of it. */
  readonly restore: (connection: Connection) => Promise<void>;
  /** Gets every event, in order; must neither wait nor throw. */
  readonly emit: (event: SerfEvent) => void;
}

/**
 * The connection to the agent. When it is lost, `disconnected` goes out at once and a new one is tried for every
 * `reconnectMs`; `connected` goes out when the agent has our tags and streams events again, before the first of them.
 * Between the two there is neither event nor guess.
 */
export class Link implements AsyncDisposable {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #lost = new VirtxError("unavailable", "the Serf agent is not connected yet", { retryAfterS: 5 });
  #following: Promise<void> = Promise.resolve();

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** Connects for the first time. @throws VirtxError `unavailable`; the signal's reason if that comes first */
  async connect(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const stop = () => this.#closing.abort();
    signal?.addEventListener("abort", stop);
    try {
      this.#serve(await this.#establish());
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** @throws VirtxError `unavailable` while the agent is away. */
  require(): Connection {
    if (this.#connection === undefined) throw this.#lost;
    return this.#connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#following;
  }

  async #establish(): Promise<Connection> {
    const { address, authKey, timeoutMs, restore } = this.#options;
    await using resources = new AsyncDisposableStack();
    const connection = await Connection.open({ address, timeoutMs, signal: this.#closing.signal });
    resources.use(connection);
    await greet(connection, authKey);
    await restore(connection);
    await connection.subscribe();
    resources.move();
    return connection;
  }

  #serve(connection: Connection): void {
    this.#connection = connection;
    connection.flow(this.#options.emit);
    this.#following = this.#follow(connection);
  }

  /** Until the link is closed. */
  async #follow(first: Connection): Promise<void> {
    const { signal } = this.#closing;
    for (let connection: Connection | undefined = first; connection !== undefined;) {
      const heart = setInterval(() => {
        connection?.call(STATS).catch(() => {}); // an agent that does not answer ends the connection
      }, this.#options.heartbeatMs);
      const { message: reason } = await connection.ended;
      clearInterval(heart);
      this.#connection = undefined;
      await connection[Symbol.asyncDispose]();
      if (signal.aborted) return;
      this.#announceLoss(reason);
      connection = await this.#reestablish();
    }
  }

  #announceLoss(reason: string): void {
    const { log, emit } = this.#options;
    this.#lost = new VirtxError("unavailable", `the Serf agent is away: ${reason}`, { retryAfterS: 5 });
    log.warn("the Serf agent is away", { reason });
    emit({ kind: "disconnected", reason });
  }

  async #reestablish(): Promise<Connection | undefined> {
    const { reconnectMs, log, emit } = this.#options;
    const { signal } = this.#closing;
    for (;;) {
      try {
        await delay(reconnectMs * (0.8 + 0.4 * Math.random()), undefined, { signal });
        const connection = await this.#establish();
        log.info("the Serf agent is back");
        this.#connection = connection;
        emit({ kind: "connected" });
        connection.flow(emit);
        return connection;
      } catch (error) {
        if (signal.aborted) return undefined;
        logFailure(log, "debug", "the Serf agent is still away", error);
      }
    }
  }
}

/** Handshake and authentication. The command after them takes no body, so that a refusal cannot be misunderstood. */
async function greet(connection: Connection, authKey: string | undefined): Promise<void> {
  await connection.call(HANDSHAKE, { Version: 1 });
  if (authKey !== undefined) await connection.call(AUTH, { AuthKey: authKey });
  await connection.call(STATS);
}
