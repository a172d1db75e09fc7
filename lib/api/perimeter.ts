import type { Clock } from "../model/clock.ts";
import { isDefect } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { LogFields, Logger, LogLevel } from "../model/log.ts";
import { ARRIVE_BY_HEADER, moment, MOMENT_HEADER } from "./arrival.ts";
import { type BrowserGuard, isSafe } from "./browser_guard.ts";
import type { Connection, Exchange } from "./exchange.ts";
import { OPERATION_HEADER } from "./passing.ts";
import { HttpError, problemResponse } from "./problem.ts";
import { headerText } from "./respond.ts";
import type { Unsure } from "./unsure.ts";

/** Ids that we take over from a client: short, and harmless in a header, a log line and a URN. */
const SANE_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Where a request comes from if nobody says: a test, or another listener of this process. */
const UNKNOWN_CONNECTION: Connection = { loopback: false, client: () => undefined };

/** How many requests may wait for their answers, of all clients and of one; of reads that wait twice as many. */
const WAITING_MAX = 1_024;
const WAITING_MAX_PER_CLIENT = 512;
const RETRY_S = 2;

export interface PerimeterOptions {
  readonly guard: BrowserGuard;
  readonly log: Logger;
  readonly level: () => LogLevel;
  readonly clock: Clock;
  /** Since when what is read of this host is from memory only, UTC milliseconds; undefined: it is fresh. */
  readonly stale: () => number | undefined;
  /** Since when there is no news of who is in the cluster, likewise. */
  readonly clusterStale: () => number | undefined;
  /** Why VMs may be missing from lists. */
  readonly unsure: Unsure;
  /** Answers what the guard lets through. */
  readonly inner: (exchange: Exchange) => Response | Promise<Response>;
}

/**
 * What every request and every answer passes: request ids, protection from browsers, last resort for errors, common
 * headers, and the log line. It stays synchronous where the answer is.
 */
export class Perimeter {
  readonly #o: PerimeterOptions;
  /** Unlike that of any other process, so that ids are unique across the cluster's logs. */
  readonly #idPrefix = crypto.randomUUID().slice(0, 8);
  #requests = 0;
  /** What is still being answered, each as a way to answer it at once. */
  readonly #open = new Set<() => void>();
  /** How many of them are of which client. */
  readonly #clients = new Map<string, number>();
  #answered = Promise.withResolvers<void>();

  constructor(options: PerimeterOptions) {
    this.#o = options;
  }

  fetch(request: Request, connection: Connection = UNKNOWN_CONNECTION): Response | Promise<Response> {
    const wanted = request.headers.get("x-request-id");
    const isOwnId = wanted !== null && SANE_ID.test(wanted);
    const exchange: Exchange = {
      request,
      connection,
      id: isOwnId ? wanted : this.#newId(),
      isOwnId,
      startedMs: this.#o.clock(),
      operation: undefined,
      readsOnly: isSafe(request),
      streams: false,
      passedTo: undefined,
      tracked: undefined,
      failure: undefined,
    };
    try {
      this.#o.guard.check(request, connection);
      if (this.#open.size >= WAITING_MAX_PER_CLIENT) this.#requireRoom(exchange);
      const response = this.#o.inner(exchange);
      return response instanceof Promise ? this.#later(exchange, response) : this.#finish(exchange, response);
    } catch (error) {
      return this.#fail(exchange, error);
    }
  }

  /** Answers every request that is still open with 503, since virtxd ends; what they do goes on for as long as it can. */
  interrupt(): void {
    for (const answer of this.#open) answer();
  }

  /** Resolves when everything that was asked is answered; whether the answers have been taken is another matter. */
  async idle(): Promise<void> {
    while (this.#open.size > 0) await this.#answered.promise;
  }

  /** What is answered at once is answered even so, as /readyz is; and reads get in when changes do no more. */
  #requireRoom({ readsOnly, connection }: Exchange): void {
    const factor = readsOnly ? 2 : 1;
    const mine = this.#clients.get(connection.client() ?? "") ?? 0;
    if (this.#open.size < factor * WAITING_MAX && mine < factor * WAITING_MAX_PER_CLIENT) return;
    throw new VirtxError("unavailable", `${this.#open.size} requests wait for their answers already`, {
      retryAfterS: RETRY_S,
    });
  }

  #newId(): string {
    return `${this.#idPrefix}-${(++this.#requests).toString(36)}`;
  }

  async #later(exchange: Exchange, response: Promise<Response>): Promise<Response> {
    const { promise: end, reject } = Promise.withResolvers<never>();
    const why = "virtxd is shutting down before this is done: see later what came of it";
    const interrupt = () => reject(new VirtxError("unavailable", why));
    this.#open.add(interrupt);
    const client = exchange.connection.client() ?? "";
    this.#clients.set(client, (this.#clients.get(client) ?? 0) + 1);
    try {
      return this.#finish(exchange, await Promise.race([response, end]));
    } catch (error) {
      return this.#fail(exchange, error);
    } finally {
      this.#open.delete(interrupt);
      const left = (this.#clients.get(client) ?? 1) - 1;
      if (left > 0) this.#clients.set(client, left);
      else this.#clients.delete(client);
      this.#answered.resolve();
      this.#answered = Promise.withResolvers();
    }
  }

  #fail(exchange: Exchange, error: unknown): Response {
    exchange.failure = error instanceof Error ? error : new Error(String(error));
    return this.#finish(exchange, problemResponse(error, exchange.id));
  }

  /** Completes an answer. Of a read that goes well nothing is logged, so it tells an id only to who brought one. */
  #finish(exchange: Exchange, response: Response): Response {
    const { readsOnly } = exchange;
    if (readsOnly && exchange.passedTo === undefined) this.#setAges(response);
    if (exchange.request.headers.has(ARRIVE_BY_HEADER)) response.headers.set(MOMENT_HEADER, moment());
    if (exchange.tracked !== undefined) response.headers.set(OPERATION_HEADER, exchange.tracked);
    const isLogged = !readsOnly || exchange.failure !== undefined || this.#o.level() === "debug";
    if (isLogged || exchange.isOwnId) response.headers.set("x-request-id", exchange.id);
    if (isLogged) this.#log(exchange, response.status);
    return response;
  }

  /** What is shown is older than it looks while libvirt, or Serf, is away, or less than there is. (Headers that nobody asks for cost nothing.) */
  #setAges(response: Response): void {
    const { stale, clusterStale, unsure, clock } = this.#o;
    const since = stale();
    if (since !== undefined) response.headers.set("x-virtx-stale", seconds(since, clock()));
    const clusterSince = clusterStale();
    if (clusterSince !== undefined) {
      response.headers.set("x-virtx-cluster-stale", seconds(clusterSince, clock()));
    }
    const reason = unsure();
    if (reason !== undefined) response.headers.set("x-virtx-incomplete", headerText(reason));
  }

  /** One line for each change and each failure; for reads that went well only at level debug. */
  #log(exchange: Exchange, status: number): void {
    const { request, connection, failure, id, operation, tracked, passedTo, readsOnly, startedMs } = exchange;
    const fields: LogFields = {
      request: id,
      client: connection.client(),
      op: operation,
      operation: tracked,
      passedTo,
      method: request.method.slice(0, 16),
      path: new URL(request.url).pathname.slice(0, 200),
      status,
      ms: this.#o.clock() - startedMs,
    };
    if (failure === undefined) {
      if (readsOnly) this.#o.log.debug("request", fields);
      else this.#o.log.info("request", fields);
    } else if (!(failure instanceof HttpError) && isDefect(failure)) {
      this.#o.log.defect("request failed by a defect", failure, fields);
    } else if (status >= 500) {
      this.#o.log.warn("request failed", { ...fields, error: failure.message });
    } else {
      this.#o.log.info("request refused", { ...fields, error: failure.message });
    }
  }
}

function seconds(since: number, now: number): string {
  return String(Math.max(0, Math.round((now - since) / 1000)));
}
