import { VirtxError } from "../model/error.ts";
import { reasonOf } from "../posix/reason.ts";
import { ARRIVE_BY_HEADER, type PeerClocks } from "./arrival.ts";
import { getWithBody } from "./get_with_body.ts";

/** A request as it goes out. */
export interface Outgoing {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body?: string | Uint8Array<ArrayBuffer> | undefined;
  /** Until the whole answer is there; left out, or Infinity: as long as it takes. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** What the request is for, for messages: "Cannot GET /vms at unix:/run/virtxd/virtxd.sock". */
  readonly what: string;
}

/** How many idle connections are kept to each server, and for how long. */
const IDLE_CONNECTIONS = 8;
const IDLE_MS = 60_000;

/** What is asked of a host whose clock is not known yet, and how long it may take. Hosts of the prototype have no such path. */
const CLOCK_PATH = "/healthz";
const CLOCK_MS = 3_000;

/** HTTP requests to other programs: kept-alive connections, deadlines, and what goes wrong in the words of virtxd. */
export class Transport implements Disposable {
  readonly #client: Deno.HttpClient;
  readonly #socket: string | undefined;
  readonly #clocks: PeerClocks | undefined;

  /**
   * @param socket of the server that all requests are for; left out: each goes where its URL says
   * @param clocks of the hosts that are asked, none of which then carries out a change that arrives too late
   */
  constructor(
    { socket, clocks }: { readonly socket?: string | undefined; readonly clocks?: PeerClocks } = {},
  ) {
    this.#socket = socket;
    this.#clocks = clocks;
    this.#client = Deno.createHttpClient({
      poolMaxIdlePerHost: IDLE_CONNECTIONS,
      poolIdleTimeout: IDLE_MS,
      ...(socket !== undefined && { proxy: { transport: "unix", path: socket } }),
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  /**
   * Sends a request and reads the answer, whatever its status. Redirections are not followed.
   * @throws VirtxError unreachable, if there is no answer or it breaks off; timeout; what `read` throws. An abort by the
   * caller's signal throws the signal's reason.
   */
  async exchange<T>(request: Outgoing, read: (response: Response) => Promise<T>): Promise<T> {
    const { method, url, headers, body, timeoutMs, signal, what } = request;
    signal?.throwIfAborted();
    const { origin } = new URL(url);
    if (this.#clocks) {
      if (method !== "GET" && !this.#clocks.knows(origin)) await this.#learnClock(origin, request);
      signal?.throwIfAborted();
      headers.set(ARRIVE_BY_HEADER, this.#clocks.arriveBy(origin));
    }
    const ended = new AbortController();
    let late = false;
    const timer = timeoutMs === undefined || timeoutMs === Infinity ? undefined : setTimeout(() => {
      late = true;
      ended.abort();
    }, timeoutMs);
    const abort = () => ended.abort();
    signal?.addEventListener("abort", abort);
    try {
      const response = method === "GET" && body !== undefined
        ? await getWithBody({ url, headers, signal: ended.signal, socket: this.#socket }, body)
        : await fetch(url, {
          method,
          headers,
          signal: ended.signal,
          client: this.#client,
          redirect: "manual",
          ...(body !== undefined && { body }),
        });
      this.#clocks?.learn(origin, response.headers);
      return await read(response);
    } catch (error) {
      signal?.throwIfAborted();
      if (late) {
        throw new VirtxError("timeout", `${what}: no answer within ${timeoutMs} ms`, { cause: error });
      }
      if (error instanceof VirtxError) throw error;
      throw new VirtxError("unreachable", `${what}: ${reasonOf(error)}`, { cause: error });
    } finally {
      // The command line has no timer, and the first call of either function costs it some milliseconds.
      if (timer !== undefined) clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Has a host tell its clock. If it does not answer, the request that is to follow will tell why. */
  async #learnClock(origin: string, { what, signal }: Outgoing): Promise<void> {
    const asked = {
      method: "GET",
      url: origin + CLOCK_PATH,
      headers: new Headers(),
      timeoutMs: CLOCK_MS,
      signal,
      what,
    };
    try {
      await this.exchange(asked, async (response) => await response.body?.cancel());
    } catch (error) {
      if (!(error instanceof VirtxError)) throw error;
    }
  }
}

/** Whether no connection came about, so that the request certainly did not reach the server. */
export function neverSent(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at.message.includes("client error (Connect)")) return true;
  }
  return false;
}
