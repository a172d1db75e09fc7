import { AnswerError } from "../../api/answer_error.ts";
import { ApiClient, type Reply, type RequestOptions } from "../../api/client.ts";
import { neverSent } from "../../api/transport.ts";
import { VirtxError } from "../../model/error.ts";
import { reasonOf, systemCode } from "../../posix/reason.ts";
import { forPrototype, prototypeFailure, wantsBody } from "./prototype.ts";

const TIMEOUT_MS = 30_000;

/** The headers that say that an answer is worth less than it looks, and what each means. */
const CAUTIONS: Readonly<Record<string, (value: string) => string>> = {
  "x-virtx-stale": (s) =>
    `libvirt has been away for ${s} s on the host that answers: its VMs are shown as they were`,
  "x-virtx-cluster-stale": (s) =>
    `Serf has been away for ${s} s on the host that answers: other hosts are shown as they were`,
  "x-virtx-incomplete": (why) => `VMs may be missing: ${why}`,
};

export interface ServerOptions {
  /** At least one; see parseEndpoint. */
  readonly endpoints: readonly string[];
  readonly signal: AbortSignal;
  /** How long an answer may take unless a request says otherwise. */
  readonly timeoutMs?: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Told once of each thing that makes answers worth less than they look. */
  readonly onCaution?: (text: string) => void;
}

/**
 * The cluster as one server: whichever of the endpoints answers. Once one has answered it is kept to; when it goes away,
 * the others are tried, unless a change may have reached it.
 */
export class Server implements Disposable {
  readonly #o: ServerOptions;
  readonly #clients = new Map<string, ApiClient>();
  /** The endpoints that turned out to be hosts of the prototype. */
  readonly #prototypes = new Set<string>();
  /** Index of the endpoint that answered last. */
  #current = 0;
  readonly #cautions = new Set<string>();
  /** Why what was read last may lack VMs; undefined: it lacks none. */
  incomplete: string | undefined;

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
      const reply = await this.#try(
        (client, endpoint) => this.#ask(client, endpoint, { method, path, body, options: o }),
        method === "GET",
      );
      if (method === "GET") this.#heed(reply.headers);
      return reply;
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
    const follow = (client: ApiClient, endpoint: string) =>
      client.follow(path, (response) => {
        begun = true;
        return read(response);
      }, { signal: this.#o.signal, ...options }).catch((error) => {
        throw this.#prototypes.has(endpoint) ? prototypeFailure(error, path, endpoint) : error;
      });
    return await this.#try(follow, () => !begun);
  }

  /** Asks one; in the words of the prototype, where only that answers. */
  async #ask(
    client: ApiClient,
    endpoint: string,
    { method, path, body, options }: {
      readonly method: string;
      readonly path: string;
      readonly body: unknown;
      readonly options: RequestOptions;
    },
  ): Promise<Reply> {
    const asPrototype = async () => {
      const asked = forPrototype(method, path, body, endpoint);
      try {
        return await client.request(method, asked.path, asked.body, options);
      } catch (error) {
        throw prototypeFailure(error, path, endpoint);
      }
    };
    if (this.#prototypes.has(endpoint)) return await asPrototype();
    try {
      return await client.request(method, path, body, options);
    } catch (error) {
      if (method !== "GET" || body !== undefined || !wantsBody(error)) throw error;
      this.#prototypes.add(endpoint);
      return await asPrototype();
    }
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client[Symbol.dispose]();
  }

  /** What the server says of its own answer. */
  #heed(headers: Headers): void {
    this.incomplete = headers.get("x-virtx-incomplete") ?? undefined;
    for (const [name, caution] of Object.entries(CAUTIONS)) {
      const value = headers.get(name);
      if (value === null || this.#cautions.has(name)) continue;
      this.#cautions.add(name);
      this.#o.onCaution?.(caution(value));
    }
  }

  /** @param repeatable whether it does no harm if another server gets the request as well */
  async #try<T>(
    ask: (client: ApiClient, endpoint: string) => Promise<T>,
    repeatable: boolean | (() => boolean),
  ): Promise<T> {
    const failures: Failure[] = [];
    const count = this.#o.endpoints.length;
    for (let n = 0; n < count; n++) {
      const at = (this.#current + n) % count;
      try {
        const answer = await ask(this.#client(at), this.#o.endpoints[at] ?? "");
        this.#current = at;
        return answer;
      } catch (error) {
        if (isForeign(error) && !this.#prototypes.has(this.#o.endpoints[at] ?? "")) {
          throw foreign(this.#o.endpoints[at] ?? "", error);
        }
        // An AnswerError of this kind speaks of another host: this one has answered.
        const isAway = error instanceof VirtxError && error.kind === "unreachable";
        if (!isAway || error instanceof AnswerError) throw error;
        const mayRepeat = typeof repeatable === "function" ? repeatable() : repeatable;
        if (!neverSent(error) && !mayRepeat) throw error;
        failures.push({ endpoint: this.#o.endpoints[at] ?? "", error });
      }
    }
    throw unreachable(failures);
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

/** An endpoint that could not be reached. */
interface Failure {
  readonly endpoint: string;
  readonly error: VirtxError;
}

/** The error of a set of servers of which none answers; `denied` if that is for want of rights alone. */
function unreachable(failures: readonly Failure[]): VirtxError {
  const reasons = failures.map(({ endpoint, error }) => `${endpoint}: ${reasonFor(endpoint, error)}`);
  const [only] = reasons;
  const isDenied = failures.every(({ error }) => systemCode(error) === "EACCES");
  return new VirtxError(
    isDenied ? "denied" : "unavailable",
    `${NO_SERVER}${reasons.length === 1 ? ` at ${only}` : `:\n  ${reasons.join("\n  ")}`}`,
  );
}

/** How messages begin about servers of which none answers. */
export const NO_SERVER = "No server answers";

function reasonFor(endpoint: string, error: VirtxError): string {
  const isMissing = endpoint.startsWith("unix:") && systemCode(error) === "ENOENT";
  return isMissing ? "there is no such socket" : reasonOf(error);
}

/** Whether an answer came that virtxd would not give: no JSON, or a failure without problem details. */
function isForeign(error: unknown): error is VirtxError {
  if (error instanceof AnswerError) return !error.isProblem;
  return error instanceof VirtxError && error.cause instanceof SyntaxError;
}

function foreign(endpoint: string, cause: VirtxError): VirtxError {
  const [said = ""] = cause instanceof AnswerError ? cause.message.split("\n") : ["something else than JSON"];
  return new VirtxError("unavailable", `What answers at ${endpoint} is no virtxd: ${said.slice(0, 100)}`, {
    cause,
  });
}
