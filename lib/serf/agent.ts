import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { Queue } from "../model/queue.ts";
import { parseSocketAddress } from "./address.ts";
import { EVENT, MEMBERS, STATS, TAGS } from "./commands.ts";
import type { Connection } from "./connection.ts";
import { DEFAULT_EVENT_LIMIT, payloadRoom } from "./event_size.ts";
import type { SerfEvent } from "./events.ts";
import { Link } from "./link.ts";
import type { Member } from "./member.ts";
import type { AgentStats } from "./stats.ts";
import { WantedTags } from "./tags.ts";

/** How to reach the agent, and how patiently. */
export interface SerfAgentOptions {
  /** The agent's `rpc_addr`: host:port or [IPv6]:port. */
  readonly address: string;
  /** The agent's `rpc_auth`, if it has one. */
  readonly authKey?: string;
  readonly log: Logger;
  /** The time between two attempts to reconnect, a fifth more or less; 5 s. */
  readonly reconnectMs?: number;
  /** How long connecting, and each answer, may take before the agent counts as away; 10 s. */
  readonly timeoutMs?: number;
  /** How often the agent is asked for a sign of life; 5 s. */
  readonly heartbeatMs?: number;
  /** The agent's `user_event_size_limit`; 512 bytes. */
  readonly eventLimit?: number;
  /** Gives the opening up; later it has no effect. */
  readonly signal?: AbortSignal;
}

/** User events that nobody has looked at yet; more are dropped, as Serf itself drops what it cannot deliver. */
const MAX_WAITING_EVENTS = 8_192;
/** Likewise, bytes of their payloads. */
const MAX_WAITING_BYTES = 8 << 20;

/**
 * This host's Serf agent, through its RPC (protocol.md §2; agents 0.8.2 to 0.10.2). Methods throw a {@link VirtxError}
 * that begins with what could not be done and ends with the reason: `unavailable` (the agent is away; `retryAfterS`),
 * `timeout` (no answer; the command may still take effect), or `refused` (the agent's reason).
 */
export class SerfAgent implements AsyncDisposable {
  /**
   * In the agent's order; for one consumer. The first connection is not announced. The agent delivers at its best, and
   * drops silently what is too much: what is told here is a hint, {@link members} the truth about members.
   */
  readonly events = new Queue<SerfEvent>();
  readonly #log: Logger;
  readonly #eventLimit: number;
  readonly #link: Link;
  #tags = WantedTags.none;
  #dropped = 0;
  /** Bytes of payloads that came since nothing waited. */
  #waitingBytes = 0;

  private constructor(o: SerfAgentOptions) {
    const { log, reconnectMs = 5_000, timeoutMs = 10_000, heartbeatMs = 5_000 } = o;
    this.#log = log;
    this.#eventLimit = o.eventLimit ?? DEFAULT_EVENT_LIMIT;
    this.#link = new Link({
      address: parseSocketAddress(o.address),
      authKey: o.authKey,
      timeoutMs,
      reconnectMs,
      heartbeatMs,
      log: log.with({ agent: o.address }),
      restore: (connection) => this.#restoreTags(connection),
      emit: (event) => this.#onEvent(event),
    });
  }

  /**
   * Connects and subscribes to all events.
   *
   * @throws VirtxError `unavailable` with the reason and what to do, `invalid` if the address is none; the signal's
   * reason if it is given up
   */
  static async open(options: SerfAgentOptions): Promise<SerfAgent> {
    const agent = new SerfAgent(options);
    try {
      await agent.#link.connect(options.signal);
      return agent;
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      throw error instanceof VirtxError ? cannotOpen(options, error) : error;
    }
  }

  /** Whether the agent is there, as far as is known. */
  get connected(): boolean {
    return this.#link.connected;
  }

  /** User events that were dropped since the beginning because nobody took them from {@link events}. */
  get droppedEvents(): number {
    return this.#dropped;
  }

  /** All that the agent knows, those that failed or left of late included. */
  members(): Promise<Member[]> {
    return this.#ask("list the members of the Serf cluster", (connection) => connection.call(MEMBERS));
  }

  stats(): Promise<AgentStats> {
    return this.#ask("get the Serf agent's figures", (connection) => connection.call(STATS));
  }

  /** The member that this agent is. */
  async self(): Promise<Member> {
    const { name } = await this.stats();
    const self = (await this.members()).find((member) => member.name === name);
    if (self === undefined) {
      throw new VirtxError("internal", `The Serf agent does not know itself, "${name}"`);
    }
    return self;
  }

  /**
   * Sets and removes tags of the agent; others stay as they are. Whenever the agent comes back, perhaps without them,
   * the same is done again, even if it was away just now; unless it refused.
   */
  async setTags(tags: Readonly<Record<string, string>>, remove: readonly string[] = []): Promise<void> {
    const before = this.#tags, wanted = before.with(tags, remove);
    this.#tags = wanted;
    try {
      await this.#ask("set the Serf agent's tags", (connection) => callTags(connection, wanted));
    } catch (error) {
      const isRefused = error instanceof VirtxError && error.kind === "refused";
      if (isRefused && this.#tags === wanted) this.#tags = before;
      throw error;
    }
  }

  /**
   * Sends a user event to the cluster, ourselves included; nobody knows whom it reaches. Events of one name are not
   * merged. It resolves when the agent has taken it.
   *
   * @throws VirtxError also `invalid` if it is larger than the agent's limit allows, see {@link payloadRoom}
   */
  async userEvent(name: string, payload: Uint8Array): Promise<void> {
    const what = `send the user event "${name}"`, limit = this.#eventLimit, room = payloadRoom(name, limit);
    if (payload.length > room) {
      const excess =
        `its payload is ${payload.length} bytes and may be ${room}, as agents take ${limit} in all`;
      throw new VirtxError("invalid", `Cannot ${what}: ${excess}`);
    }
    const event = { Name: name, Payload: payload, Coalesce: false };
    await this.#ask(what, (connection) => connection.call(EVENT, event));
  }

  /** Closes the connection; the agent itself, with its tags, goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.events.close();
    await this.#link[Symbol.asyncDispose]();
  }

  async #ask<T>(what: string, task: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      return await task(this.#link.require());
    } catch (error) {
      throw VirtxError.wrap(error, `Cannot ${what}`);
    }
  }

  async #restoreTags(connection: Connection): Promise<void> {
    if (!this.#tags.isEmpty) await callTags(connection, this.#tags);
  }

  #onEvent(event: SerfEvent): void {
    if (event.kind === "user") {
      if (this.events.size === 0) this.#waitingBytes = 0;
      this.#waitingBytes += event.payload.length;
      if (this.events.size >= MAX_WAITING_EVENTS || this.#waitingBytes > MAX_WAITING_BYTES) {
        if (this.#dropped++ % MAX_WAITING_EVENTS === 0) {
          this.#log.warn("user events are dropped: too many wait", { dropped: this.#dropped });
        }
        return;
      }
    }
    this.events.push(event);
  }
}

/** What the agent answers when no other member has taken the news within its time (memberlist's UpdateNode). */
const SPREADING = "timeout waiting for update broadcast";

/** The agent has new tags before it spreads them. Where that takes long, its next exchange with a member does it. */
async function callTags(connection: Connection, { set, removed }: WantedTags): Promise<void> {
  try {
    await connection.call(TAGS, { Tags: set, DeleteTags: [...removed] });
  } catch (error) {
    if (!(error instanceof VirtxError && error.kind === "refused" && error.message.includes(SPREADING))) {
      throw error;
    }
  }
}

function cannotOpen({ address, authKey }: SerfAgentOptions, error: VirtxError): VirtxError {
  if (error.kind === "invalid") return VirtxError.wrap(error, "Cannot connect to the Serf agent");
  const advice = error.kind === "refused"
    ? authKey === undefined
      ? "it needs an authentication key"
      : "is the authentication key the agent's rpc_auth?"
    : "does the agent run, and is this its rpc_addr?";
  const message = `Cannot connect to the Serf agent at ${address}: ${error.message}; ${advice}`;
  return new VirtxError("unavailable", message, { cause: error, retryAfterS: 5 });
}
