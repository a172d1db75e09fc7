import type { Cluster } from "../cluster/cluster.ts";
import type { HostEntry, Inventory } from "../cluster/inventory.ts";
import type { Peer } from "../cluster/ports.ts";
import { inBackground } from "../model/background.ts";
import { enumName, HostState } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { virtxdAway } from "../model/host_condition.ts";
import { newIdOfHost } from "../model/host_id.ts";
import { toError } from "./answer_error.ts";
import { BodyBudget } from "./body_budget.ts";
import type { Exchange } from "./exchange.ts";
import { peerUrl } from "./http_peers.ts";
import { HttpError, PROBLEM_JSON } from "./problem.ts";
import { readBytes } from "./read_bytes.ts";
import { JSON_TYPE } from "./respond.ts";
import type { Transport } from "./transport.ts";
import { WebSocketClient } from "./websocket_client.ts";

/** What a host sets on a request that it passes on, so that none travels in a circle (protocol.md §1). */
export const LOOP_HEADER = "x-virtx-loop";
/**
 * On an answer with status 508: the UUID of the host that the request is for, as far as the answering host knows. On that of an
 * operation that has ended: of the host that its VM is on since.
 */
export const HOST_HEADER = "x-virtx-host";

/** On an answer: the id of the operation that was begun. On a request that is passed on: the id that it is to have. */
export const OPERATION_HEADER = "x-virtx-operation";
/** Of an answer: until when what was deleted can be restored. */
export const TRASH_HEADER = "x-virtx-trash-until";

/** What passes on its way there, and on the way back. */
const REQUEST_HEADERS = ["accept", "if-match", "prefer", "idempotency-key"];
const ANSWER_HEADERS = [
  "etag",
  "link",
  "location",
  "preference-applied",
  "retry-after",
  "warning",
  "x-virtx-stale",
  HOST_HEADER,
  OPERATION_HEADER,
  TRASH_HEADER,
];

/** The longest answer that is passed back, and how long all that are being read may be together, in bytes. */
const ANSWER_MAX_BYTES = 16 * 1024 * 1024;
const ANSWERS_MAX_BYTES = 128 * 1024 * 1024;

/** What is to be said of a host that Serf has forgotten. */
const GONE =
  "Serf does not know it any more; Serf and virtxd have to run there; or, if it is sure that it will not come back, virtx vm " +
  "register --host takes its VMs over";

/** A host whose virtxd is away is asked again by those that watch it within so many seconds. */
const AWAY_RETRY_S = 5;

/** A UUID in a path, in either case. */
const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;

/** How long another host may take to answer: `storage` is for what may have to write whole disks. */
export type Patience = "read" | "change" | "storage";

/** The other hosts, and the way to them. */
export interface OtherHosts {
  /** Who they are and where: Serf's word, not that of a record. */
  readonly cluster: Pick<
    Cluster,
    "member" | "vector" | "states" | "catchUp" | "staleSince" | "misunderstood" | "unsure"
  >;
  readonly transport: Transport;
}

export interface PassingOptions {
  readonly inventory: Inventory;
  /** Left out: this host is alone. */
  readonly others: OtherHosts | undefined;
  readonly patienceMs: Readonly<Record<Patience, number>>;
}

/** A request that is for another host. */
export interface PassedRequest {
  readonly exchange: Exchange;
  /** Its body as it came; empty: it has none. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly patience: Patience;
  /** It is carried out as an operation that can be looked up. */
  readonly tracked: boolean;
}

/** What the other host answered, as far as it is passed back. */
export interface PassedAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** JSON; empty: there is no body. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A WebSocket that another host has agreed to. */
export interface PassedSocket {
  readonly socket: WebSocketClient;
  /** The host's name. */
  readonly host: string;
}

/** Passes requests on to other hosts (protocol.md §1), each to one, once. */
export class Passing {
  readonly #o: PassingOptions;
  readonly #budget = new BodyBudget({
    totalBytes: ANSWERS_MAX_BYTES,
    slowMs: Infinity,
    what: "the other host's answer",
  });

  constructor(options: PassingOptions) {
    this.#o = options;
  }

  /**
   * Has another host answer. What reads is given up when its client goes away; what changes something is not.
   * @throws VirtxError unavailable: the host is not known, not active, or ceases to be so meanwhile; unreachable; timeout
   */
  async send(uuid: string, request: PassedRequest): Promise<PassedAnswer> {
    const { others, patienceMs } = this.#o;
    const { exchange, bytes, patience, tracked } = request;
    const what = this.#purpose(exchange);
    const { peer, transport } = this.#require(uuid, others, what);
    const { pathname, search } = new URL(exchange.request.url);
    const path = pathname.replace(UUID, (uuid) => uuid.toLowerCase()); // which others may insist on
    if (peer.prototype && new URLSearchParams(search).get("dry_run") === "true") {
      // It does not know the parameter, and would do it.
      throw new VirtxError(
        "unimplemented",
        `Cannot ask host "${peer.name}" what it would do: it runs the prototype`,
      );
    }
    if (peer.prototype && exchange.request.headers.has("if-match")) {
      throw new VirtxError(
        "unimplemented",
        `Cannot ${what}: host "${peer.name}" runs the prototype, which does not heed If-Match`,
      );
    }
    exchange.passedTo = peer.name;
    // The prototype wants a body with each request, `null` where there is nothing to say.
    const none = peer.prototype ? "null" : undefined;
    const body = bytes.byteLength > 0 ? bytes : none;
    const operation = tracked ? newIdOfHost(uuid) : undefined;
    using given = this.#whileActive(uuid, peer);
    try {
      return await transport.exchange({
        method: exchange.request.method,
        url: peerUrl(peer, path + search),
        headers: passedHeaders(exchange, operation, body !== undefined),
        body,
        timeoutMs: patienceMs[patience],
        signal: exchange.readsOnly ? AbortSignal.any([given.signal, exchange.request.signal]) : given.signal,
        what: `Cannot ${what} to ${described(peer)}`,
      }, (response) => readAnswer(response, peer, this.#budget));
    } catch (error) {
      // It may have begun there: then this is how to find out what became of it.
      exchange.tracked = operation;
      if (error instanceof VirtxError) throw error;
      throw new HttpError("client_gone", "The client went away before the other host answered");
    }
  }

  /**
   * Asks another host for the WebSocket that a request is for; its answer, if it refuses. The WebSocket ends when the host
   * fails.
   * @throws VirtxError as {@link send}
   */
  async connect(uuid: string, exchange: Exchange, protocol: string): Promise<PassedSocket | PassedAnswer> {
    const what = this.#purpose(exchange);
    const { peer } = this.#require(uuid, this.#o.others, what);
    const { pathname, search } = new URL(exchange.request.url);
    exchange.passedTo = peer.name;
    using held = new DisposableStack();
    const { signal } = held.use(this.#whileActive(uuid, peer));
    const answer = await WebSocketClient.open({
      to: { hostname: peer.address, port: peer.port },
      path: pathname + search,
      authority: new URL(peerUrl(peer, "/")).host,
      protocol,
      headers: passedHeaders(exchange, undefined, false),
      timeoutMs: this.#o.patienceMs.read,
      signal,
      what: `Cannot ${what} to ${described(peer)}`,
    });
    if (answer instanceof Response) return await readAnswer(answer, peer, this.#budget);
    const active = held.move();
    signal.addEventListener("abort", () => answer.abandon("the host failed"), { once: true });
    inBackground(answer.ended.then(() => active.dispose()));
    return { socket: answer, host: peer.name };
  }

  /**
   * Reads a path of another host's API: what its JSON says, unchecked.
   * @throws VirtxError as above, and what the host itself answers
   */
  async read(uuid: string, path: string, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    const { peer, transport } = this.#require(uuid, this.#o.others, "ask for what it knows");
    return await transport.exchange({
      method: "GET",
      url: peerUrl(peer, path),
      headers: new Headers({ [LOOP_HEADER]: "1" }),
      timeoutMs,
      signal,
      what: `Cannot ask ${described(peer)}`,
    }, async (response) => {
      const { status, bytes } = await readAnswer(response, peer, this.#budget);
      const text = new TextDecoder().decode(bytes);
      if (status >= 400) throw toError(response, text);
      return JSON.parse(text);
    });
  }

  /** Has this host see what another has just done, so that who is told of it can read it here. */
  async seeChangeAt(uuid: string): Promise<void> {
    await this.#o.others?.cluster.catchUp(uuid);
  }

  /** What is passed on, for messages: 'pass VmBoot of VM "web1" on'. */
  #purpose({ operation, request }: Exchange): string {
    const uuid = UUID.exec(request.url)?.[0].toLowerCase();
    const vm = uuid === undefined ? undefined : this.#o.inventory.vm(uuid);
    return `pass ${operation ?? "the request"}${vm === undefined ? "" : ` of VM "${vm.name}"`} on`;
  }

  #require(uuid: string, others: OtherHosts | undefined, what: string): { peer: Peer; transport: Transport } {
    const member = others?.cluster.member(uuid);
    const host = this.#o.inventory.host(uuid);
    const away = virtxdAway(host?.conditions);
    if (others && member?.cstate === HostState.active) {
      if (away === undefined) return { peer: member.peer, transport: others.transport };
      throw new VirtxError(
        "unavailable",
        `Cannot ${what}: host "${member.peer.name}" is active, but ${away.reason}`,
        {
          retryAfterS: AWAY_RETRY_S,
        },
      );
    }
    const name = host?.def.name ?? member?.peer.name;
    const isGone = others !== undefined && member === undefined && name !== undefined;
    if (isGone) throw new VirtxError("unavailable", `Cannot ${what}: host "${name}" is gone: ${GONE}`);
    const known = name === undefined ? `host ${uuid} is not known` : `host "${name}" is not active`;
    const state = member?.cstate ?? host?.cstate;
    const why = state === undefined || state === HostState.active ? "" : ` but ${enumName(HostState, state)}`;
    const next = name === undefined ? "GET /hosts has all that are" : "Serf and virtxd have to run there";
    throw new VirtxError("unavailable", `Cannot ${what}: ${known}${why}; ${next}`);
  }

  /** A signal for when the host fails: a connection to it might stay silent until the deadline. */
  #whileActive(uuid: string, { name }: Peer): { readonly signal: AbortSignal } & Disposable {
    const ended = new AbortController();
    const host = (changed: string, entry: HostEntry | undefined) => {
      if (changed !== uuid || (entry?.cstate === HostState.active && !virtxdAway(entry.conditions))) return;
      const what = entry?.cstate === HostState.active ? "no longer answers" : "failed before it answered";
      const why = `host "${name}" ${what}, and whether it was done is not known`;
      ended.abort(new VirtxError("unavailable", `Cannot pass the answer back: ${why}`));
    };
    const watch = this.#o.inventory.watch({ host });
    return { signal: ended.signal, [Symbol.dispose]: () => watch[Symbol.dispose]() };
  }
}

function described({ name, address, port }: Peer): string {
  return `host "${name}" (${address}:${port})`;
}

function passedHeaders(
  { request, connection, id }: Exchange,
  operation: string | undefined,
  hasBody: boolean,
): Headers {
  const headers = new Headers({ [LOOP_HEADER]: "1", "x-request-id": id });
  if (operation !== undefined) headers.set(OPERATION_HEADER, operation);
  for (const name of REQUEST_HEADERS) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const way = [request.headers.get("x-forwarded-for"), connection.client()].filter(Boolean).join(", ");
  if (way !== "") headers.set("x-forwarded-for", way);
  if (hasBody) headers.set("content-type", JSON_TYPE);
  return headers;
}

/** Only JSON comes back; what the prototype says in plain text becomes problem details. */
async function readAnswer(response: Response, { name }: Peer, budget: BodyBudget): Promise<PassedAnswer> {
  const { status } = response;
  using share = budget.share(() => {}); // each is over soon: it has a deadline
  const bytes = await readBytes(response.body, ANSWER_MAX_BYTES, () => {
    throw new VirtxError("unreachable", `Host "${name}" answers more than ${ANSWER_MAX_BYTES} bytes`);
  }, (more) => share.grow(more));
  if (status >= 300 && status < 400 && status !== 304) {
    throw new VirtxError(
      "unreachable",
      `Host "${name}" answers with status ${status}: is it a host of virtxd?`,
    );
  }
  const isProblem = response.headers.get("content-type")?.startsWith(PROBLEM_JSON);
  if (!response.ok && status !== 304 && !isProblem) {
    throw toError(response, new TextDecoder().decode(bytes));
  }
  const headers = new Headers({ "content-type": response.ok ? JSON_TYPE : PROBLEM_JSON });
  for (const header of ANSWER_HEADERS) {
    const value = response.headers.get(header);
    if (value !== null) headers.set(header, value);
  }
  return { status, headers, bytes };
}
