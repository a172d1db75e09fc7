import { type ErrorKind, VirtxError } from "../model/error.ts";
import { kindOf, Problem } from "./problem.ts";
import { JSON_TYPE } from "./respond.ts";
import { type Outgoing, Transport } from "./transport.ts";

/** How long an answer may take unless a request says otherwise. */
const TIMEOUT_MS = 30_000;

export interface ApiClientOptions {
  /** `http://host:port`, or `unix:/path/of/the/socket`. */
  readonly address: string;
  readonly timeoutMs?: number;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer that is a success. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** What the JSON body holds; undefined: there is none. It is another program's word: check what matters. */
  readonly body: unknown;
}

/** A client of the API, for the command line and for tests. */
export class ApiClient implements Disposable {
  readonly #o: ApiClientOptions;
  readonly #base: string;
  readonly #transport: Transport;

  constructor(options: ApiClientOptions) {
    this.#o = options;
    const socket = options.address.startsWith("unix:") ? options.address.slice("unix:".length) : undefined;
    this.#base = socket === undefined ? options.address.replace(/\/$/, "") : "http://localhost";
    this.#transport = new Transport(socket);
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }

  /**
   * Sends a request; a body is sent as JSON.
   * @throws VirtxError what the server's problem details say; unreachable, if there is no answer; timeout. An abort by the
   * caller's signal throws the signal's reason.
   */
  async request(method: string, path: string, body?: unknown, options: RequestOptions = {}): Promise<Reply> {
    const headers = new Headers({ ...this.#o.headers, ...options.headers });
    if (body !== undefined) headers.set("content-type", JSON_TYPE);
    const outgoing: Outgoing = {
      method,
      url: this.#base + path,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      timeoutMs: options.timeoutMs ?? this.#o.timeoutMs ?? TIMEOUT_MS,
      signal: options.signal,
      what: `Cannot ${method} ${path} at ${this.#o.address}`,
    };
    return await this.#transport.exchange(outgoing, async (response) => {
      const text = await response.text();
      if (!response.ok && response.status !== 304) throw toError(response, text);
      return {
        status: response.status,
        headers: response.headers,
        body: text === "" ? undefined : JSON.parse(text),
      };
    });
  }
}

/** The error that the answer tells of: problem details (RFC 9457), or less from what is not virtxd. */
export function toError(response: Response, text: string): VirtxError {
  const problem = parseProblem(text);
  const kind: ErrorKind = kindOf(problem?.type ?? "", response.status);
  const retryAfter = Number(response.headers.get("retry-after") ?? NaN);
  return new VirtxError(
    kind,
    problem?.detail ?? `HTTP status ${response.status}: ${text.trim().slice(0, 200)}`,
    {
      ...(problem?.errors && { issues: problem.errors }),
      ...(problem?.libvirt && { libvirt: problem.libvirt }),
      ...(Number.isFinite(retryAfter) && { retryAfterS: retryAfter }),
    },
  );
}

function parseProblem(text: string): Problem | undefined {
  try {
    return Problem.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
