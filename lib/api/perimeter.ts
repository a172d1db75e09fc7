import type { Clock } from "../model/clock.ts";
import { VirtxError } from "../model/error.ts";
import type { LogFields, Logger, LogLevel } from "../model/log.ts";
import type { BrowserGuard } from "./browser_guard.ts";
import type { Connection, Exchange } from "./exchange.ts";
import { HttpError, problemResponse } from "./problem.ts";

/** Ids that we take over from a client: short, and harmless in a header, a log line and a URN. */
const SANE_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Where a request comes from if nobody says: a test, or another listener of this process. */
const UNKNOWN_CONNECTION: Connection = { loopback: false, client: () => undefined };

export interface PerimeterOptions {
  readonly guard: BrowserGuard;
  readonly log: Logger;
  readonly level: () => LogLevel;
  readonly clock: Clock;
  /** Since when what is read is from memory only, UTC milliseconds; undefined: it is fresh. */
  readonly stale: () => number | undefined;
  /** Answers what the guard lets through. */
  readonly inner: (request: Request, exchange: Exchange) => Response | Promise<Response>;
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

  constructor(options: PerimeterOptions) {
    this.#o = options;
  }

  fetch(request: Request, connection: Connection = UNKNOWN_CONNECTION): Response | Promise<Response> {
    const startedMs = performance.now();
    const wanted = request.headers.get("x-request-id");
    const exchange: Exchange = {
      id: wanted !== null && SANE_ID.test(wanted)
        ? wanted
        : `${this.#idPrefix}-${(++this.#requests).toString(36)}`,
      operation: undefined,
      failure: undefined,
    };
    const finish = (response: Response) => this.#finish(request, connection, exchange, response, startedMs);
    const fail = (error: unknown) => finish(this.#fail(exchange, error));
    try {
      this.#o.guard.check(request, connection);
      const response = this.#o.inner(request, exchange);
      return response instanceof Promise
        ? this.#interruptible(response).then(finish, fail)
        : finish(response);
    } catch (error) {
      return fail(error);
    }
  }

  /** Answers every request that is still open with 503, since virtxd ends; what they do goes on for as long as it can. */
  interrupt(): void {
    for (const answer of this.#open) answer();
  }

  #interruptible(response: Promise<Response>): Promise<Response> {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const end = () => {
      reject(
        new VirtxError(
          "unavailable",
          "virtxd is shutting down before this is done: see later what came of it",
        ),
      );
    };
    this.#open.add(end);
    response.then(resolve, reject).finally(() => this.#open.delete(end));
    return promise;
  }

  #fail(exchange: Exchange, error: unknown): Response {
    exchange.failure = error instanceof Error ? error : new Error(String(error));
    return problemResponse(error, exchange.id);
  }

  #finish(
    request: Request,
    connection: Connection,
    exchange: Exchange,
    response: Response,
    startedMs: number,
  ): Response {
    const { headers } = response;
    headers.set("x-request-id", exchange.id);
    headers.set("x-content-type-options", "nosniff");
    if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
    const reading = request.method === "GET" || request.method === "HEAD";
    const staleSince = reading ? this.#o.stale() : undefined;
    if (staleSince !== undefined) {
      headers.set("x-virtx-stale", String(staleSeconds(staleSince, this.#o.clock())));
    }
    if (exchange.failure !== undefined || !reading || this.#o.level() === "debug") {
      this.#log(request, connection, exchange, response.status, startedMs);
    }
    return response;
  }

  /** One line for each change and each failure; for reads that went well only at level debug. */
  #log(
    request: Request,
    connection: Connection,
    exchange: Exchange,
    status: number,
    startedMs: number,
  ): void {
    const { failure, id, operation } = exchange;
    const fields: LogFields = {
      request: id,
      client: connection.client(),
      op: operation,
      method: request.method.slice(0, 16),
      path: new URL(request.url).pathname.slice(0, 200),
      status,
      ms: Math.round(performance.now() - startedMs),
    };
    if (failure === undefined) {
      const isChange = request.method !== "GET" && request.method !== "HEAD" && request.method !== "OPTIONS";
      if (isChange) this.#o.log.info("request", fields);
      else this.#o.log.debug("request", fields);
    } else if (isDefect(failure)) {
      this.#o.log.error("request failed by a defect", { ...fields, error: failure.stack ?? String(failure) });
    } else {
      this.#o.log.info("request refused", { ...fields, error: failure.message });
    }
  }
}

function isDefect(failure: Error): boolean {
  return !(failure instanceof HttpError) && !(failure instanceof VirtxError && failure.kind !== "internal");
}

function staleSeconds(since: number, now: number): number {
  return Math.max(0, Math.round((now - since) / 1000));
}
