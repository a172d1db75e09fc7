import { AnswerError } from "../../api/answer_error.ts";
import { ApiClient, type Reply, type RequestOptions } from "../../api/client.ts";
import { neverSent } from "../../api/transport.ts";
import { errorMessage, VirtxError } from "../../model/error.ts";

const TIMEOUT_MS = 30_000;

export interface ServerOptions {
  /** At least one; see parseEndpoint. */
  readonly endpoints: readonly string[];
  readonly signal: AbortSignal;
  /** How long an answer may take unless a request says otherwise. */
  readonly timeoutMs?: number;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The cluster as one server: whichever of the endpoints answers. Once one has answered it is kept to; when it goes away,
 * the others are tried, unless a change may have reached it.
 */
export class Server implements Disposable {
  readonly #o: ServerOptions;
  readonly #clients = new Map<string, ApiClient>();
  /** Index of the endpoint that answered last. */
  #current = 0;

  constructor(options: ServerOptions) {
    this.#o = options;
  }

  /** The endpoint that answered last, or is to be tried first. */
  get endpoint(): string {
    return this.#o.endpoints[this.#current] ?? "";
  }

  /** All endpoints, the one that answered last first: for who connects by other means than requests. */
  get endpoints(): readonly string[] {
    const { endpoints } = this.#o;
    return [...endpoints.slice(this.#current), ...endpoints.slice(0, this.#current)];
  }

  /** Sent with every request. */
  get headers(): Readonly<Record<string, string>> {
    return this.#o.headers;
  }

  /**
   * Asks; see ApiClient.request.
   * @throws VirtxError what the server says; unavailable, if none of the endpoints can be reached
   */
  async request(method: string, path: string, body?: unknown, options: RequestOptions = {}): Promise<Reply> {
    const { timeoutMs = this.#o.timeoutMs ?? TIMEOUT_MS, signal = this.#o.signal } = options;
    // Rather than the ApiClient's own timer: the runtime's setTimeout takes as long to load as all else here.
    const limit = AbortSignal.timeout(timeoutMs);
    const o = { ...options, timeoutMs: Infinity, signal: AbortSignal.any([signal, limit]) };
    try {
      return await this.#try((client) => client.request(method, path, body, o), method === "GET");
    } catch (error) {
      if (error !== limit.reason || signal.aborted) throw error;
      throw new VirtxError("timeout", `${this.endpoint} has not answered within ${timeoutMs / 1000} s`);
    }
  }

  /** Reads an answer that goes on; see ApiClient.follow. */
  async follow<T>(
    path: string,
    read: (response: Response) => Promise<T>,
    options: Omit<RequestOptions, "timeoutMs"> = {},
  ): Promise<T> {
    let begun = false;
    return await this.#try((client) =>
      client.follow(path, (response) => {
        begun = true;
        return read(response);
      }, { signal: this.#o.signal, ...options }), () => !begun);
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client[Symbol.dispose]();
  }

  /** @param repeatable whether it does no harm if another server gets the request as well */
  async #try<T>(
    ask: (client: ApiClient) => Promise<T>,
    repeatable: boolean | (() => boolean),
  ): Promise<T> {
    const failures: string[] = [];
    let denied = 0;
    const count = this.#o.endpoints.length;
    for (let n = 0; n < count; n++) {
      const at = (this.#current + n) % count;
      try {
        const answer = await ask(this.#client(at));
        this.#current = at;
        return answer;
      } catch (error) {
        // An AnswerError of this kind speaks of another host: this one has answered.
        const isAway = error instanceof VirtxError && error.kind === "unreachable";
        if (!isAway || error instanceof AnswerError) throw error;
        const mayRepeat = typeof repeatable === "function" ? repeatable() : repeatable;
        if (!neverSent(error) && !mayRepeat) throw error;
        const reason = reasonOf(error);
        if (reason === "Permission denied") denied++;
        failures.push(`${this.#o.endpoints[at]}: ${reason}`);
      }
    }
    throw new VirtxError(denied === count ? "denied" : "unavailable", unreachable(failures));
  }

  #client(at: number): ApiClient {
    const address = this.#o.endpoints[at] ?? "";
    const known = this.#clients.get(address);
    if (known !== undefined) return known;
    const client = new ApiClient({ address, headers: this.#o.headers });
    this.#clients.set(address, client);
    return client;
  }
}

/** The reason alone, without "Cannot GET … at …: " and Deno's number. */
function reasonOf(error: VirtxError): string {
  const message = errorMessage(error.cause instanceof Error ? innermost(error.cause) : error);
  return message.replace(/^.*client error \(\w+\): /, "").replace(
    /^(tcp connect error|unix socket connect error): /,
    "",
  )
    .replace(/ \(os error \d+\)$/, "");
}

function innermost(error: Error): Error {
  return error.cause instanceof Error ? innermost(error.cause) : error;
}

function unreachable(failures: readonly string[]): string {
  const [only] = failures;
  const reasons = failures.length === 1 ? ` at ${only}` : `:\n  ${failures.join("\n  ")}`;
  return `No server answers${reasons}`;
}
