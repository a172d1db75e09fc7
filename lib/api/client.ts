import { toError } from "./answer_error.ts";
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
  /** Infinity: as long as it takes. */
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
    this.#transport = new Transport({ socket });
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
      ...this.#outgoing(method, path, headers, options.signal),
      body: body === undefined ? undefined : JSON.stringify(body),
      timeoutMs: options.timeoutMs ?? this.#o.timeoutMs ?? TIMEOUT_MS,
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

  /**
   * Reads an answer that goes on for as long as either side likes.
   * @param read is given the answer once it has begun and is a success
   * @throws as {@link request} does, also when the answer breaks off; what `read` throws
   */
  async follow<T>(
    path: string,
    read: (response: Response) => Promise<T>,
    options: Omit<RequestOptions, "timeoutMs"> = {},
  ): Promise<T> {
    const headers = new Headers({ ...this.#o.headers, ...options.headers });
    return await this.#transport.exchange(
      this.#outgoing("GET", path, headers, options.signal),
      async (response) => {
        if (!response.ok) throw toError(response, await response.text());
        return await read(response);
      },
    );
  }

  #outgoing(method: string, path: string, headers: Headers, signal: AbortSignal | undefined): Outgoing {
    const what = `Cannot ${method} ${path} at ${this.#o.address}`;
    return { method, url: this.#base + path, headers, signal, what };
  }
}
