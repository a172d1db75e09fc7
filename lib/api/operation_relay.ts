import { setTimeout as delay } from "node:timers/promises";
import type { Inventory } from "../cluster/inventory.ts";
import type { Peer } from "../cluster/ports.ts";
import { inBackground } from "../model/background.ts";
import { isDefect, logFailure } from "../model/defect.ts";
import { HostState } from "../model/enums.ts";
import { errorMessage, type FieldIssue, VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { RateLimit } from "../model/rate_limit.ts";
import { within } from "../model/within.ts";
import { readError } from "./answer_error.ts";
import { peerUrl } from "./http_peers.ts";
import { check } from "./issues.ts";
import { LOOP_HEADER, type OtherHosts } from "./passing.ts";
import { type TrackedOperationJson, TrackedOperationSchema } from "./schema_operation.ts";
import { readServerSentEvents, type ServerSentEvent } from "./server_sent_events.ts";

/** How long all hosts together may take until they are followed. */
const READY_MS = 2_000;
/** From the end of a stream until it is asked for again. */
const RETRY_MS = 2_000;
/** Likewise, if it ended by a defect. */
const DEFECT_MS = 60_000;
/** A host that says nothing for so long has gone; it gives a sign of life every 15 s. */
const SILENCE_MS = 45_000;
/** The longest event that is taken from another host, in characters, and how many in a second may say nothing. */
const EVENT_MAX = 32 * 1024;
const EMPTY_MAX = 100;

/** Who is told. Neither is called after the relay's end. */
export interface RelayListener {
  /** An operation of another host has begun or ended. */
  operation(operation: TrackedOperationJson): void;
  /** Some of a host's may have been missed. */
  gap(reason: string): void;
}

export interface OperationRelayOptions {
  readonly inventory: Inventory;
  readonly others: OtherHosts;
  readonly hostUuid: string;
  readonly listener: RelayListener;
  readonly log: Logger;
}

/** A host that is followed, or that was. */
interface FollowedHost {
  /** The id from which its events go on; empty: it has not been followed yet. */
  place: string;
  /** Ends it; undefined: it is not followed now. */
  end: AbortController | undefined;
  readonly reached: PromiseWithResolvers<void>;
}

/**
 * Follows the operations of all other active hosts, until disposed: each by a stream of its events, taken up where it broke
 * off. Where that is impossible, or a host is reached only when others rely on the picture already, that is told as a gap.
 */
export class OperationRelay implements Disposable {
  readonly #o: OperationRelayOptions;
  readonly #hosts = new Map<string, FollowedHost>();
  readonly #watch: Disposable;
  #isReady = false;
  /** Resolves when all that are active are followed, or have had their time: from now on nothing is missed silently. */
  readonly ready: Promise<void>;

  constructor(options: OperationRelayOptions) {
    this.#o = options;
    this.#watch = options.inventory.watch({ host: (uuid) => this.#consider(uuid) });
    for (const { uuid } of options.inventory.hosts()) this.#consider(uuid);
    this.ready = this.#allReached();
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const { end } of this.#hosts.values()) end?.abort();
  }

  async #allReached(): Promise<void> {
    await within(READY_MS, Promise.all([...this.#hosts.values()].map(({ reached }) => reached.promise)));
    this.#isReady = true;
  }

  /** Begins to follow a host, or ceases to, as it should be. */
  #consider(uuid: string): void {
    if (uuid === this.#o.hostUuid) return;
    const member = this.#o.others.cluster.member(uuid);
    const isWanted = member?.cstate === HostState.active && !member.peer.prototype;
    const host = this.#hosts.get(uuid);
    if (isWanted && !host?.end) {
      const begun = host ?? { place: "", end: undefined, reached: Promise.withResolvers<void>() };
      this.#hosts.set(uuid, begun);
      begun.end = new AbortController();
      inBackground(this.#follow(uuid, begun, begun.end.signal));
    } else if (!isWanted && host?.end) {
      host.end.abort();
      host.end = undefined;
    }
  }

  async #follow(uuid: string, host: FollowedHost, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let pauseMs = RETRY_MS;
      try {
        const peer = this.#o.others.cluster.member(uuid)?.peer; // it may have moved to another address
        if (peer) await this.#read(peer, host, signal);
      } catch (error) {
        if (signal.aborted) return;
        logFailure(this.#o.log, "debug", "cannot follow a host's operations", error, { host: uuid });
        if (isDefect(error)) pauseMs = DEFECT_MS;
      }
      await delay(pauseMs, undefined, { signal }).catch(() => {}); // ends with the relay
    }
  }

  async #read(peer: Peer, host: FollowedHost, signal: AbortSignal): Promise<void> {
    using silence = new Silence(SILENCE_MS);
    const headers = new Headers({ [LOOP_HEADER]: "1" });
    if (host.place !== "") headers.set("last-event-id", host.place);
    await this.#o.others.transport.exchange({
      method: "GET",
      url: peerUrl(peer, "/events?types=operation"),
      headers,
      signal: AbortSignal.any([signal, silence.signal]),
      what: `Cannot follow the operations of host "${peer.name}"`,
    }, async (response) => {
      if (!response.ok || !response.body) throw await readError(response);
      const empty = new RateLimit(EMPTY_MAX);
      for await (const event of readServerSentEvents(response.body, EVENT_MAX)) {
        if (signal.aborted) return;
        if (event.data === undefined && empty.exceeded()) {
          throw new VirtxError("unreachable", `more than ${EMPTY_MAX} empty events in a second`);
        }
        silence.heard();
        try {
          this.#take(event, peer, host);
        } catch (error) { // which would pass for a failure of the connection, outside
          logFailure(this.#o.log, "error", "cannot take over what a host tells of its operations", error, {
            host: peer.uuid,
          });
        }
      }
    });
  }

  #take({ name, data, id }: ServerSentEvent, peer: Peer, host: FollowedHost): void {
    const { listener, others } = this.#o;
    const isLate = host.place === "" && this.#isReady;
    if (isLate || name === "resync") listener.gap(`operations of host "${peer.name}" may have been missed`);
    host.place = id;
    host.reached.resolve();
    if (name !== "operation" || data === undefined) return;
    const operation = parseOperation(data, peer);
    if (typeof operation === "string") others.cluster.misunderstood(peer, operation);
    else listener.operation(operation);
  }
}

/** Another host's word of an operation of its own; or why it cannot be taken for that. */
function parseOperation(text: string, { uuid }: Peer): TrackedOperationJson | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `an operation is no JSON: ${errorMessage(error)}`;
  }
  const issues: FieldIssue[] = [];
  const operation = check(TrackedOperationSchema, value, issues);
  const [issue] = issues;
  if (issue) return `an operation is none: ${`${issue.field} ${issue.message}`.trim()}`;
  return operation.host === uuid ? operation : `an operation is of host ${operation.host}`;
}

/** Aborts its signal when nothing has been heard for a time. */
class Silence implements Disposable {
  readonly #tooLong = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #ms: number;
  #heardAt = performance.now();

  constructor(ms: number) {
    this.#ms = ms;
    this.#timer = setInterval(() => {
      if (performance.now() - this.#heardAt > this.#ms) this.#tooLong.abort();
    }, ms / 3);
  }

  get signal(): AbortSignal {
    return this.#tooLong.signal;
  }

  heard(): void {
    this.#heardAt = performance.now();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
