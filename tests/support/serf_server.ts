import { Buffer } from "node:buffer";
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";

/** Commands whose request has a body, and those whose answer has one (Serf: command/agent/ipc.go). */
const REQUEST_BODY = new Set(["handshake", "auth", "stream", "event", "tags"]);
const ANSWER_BODY = new Set(["members", "stats"]);

/** A member as Serf's RPC writes it. */
export interface WireMember {
  readonly Name: string;
  readonly Addr: Uint8Array;
  readonly Port: number;
  readonly Tags: ReadonlyMap<string, string> | null;
  readonly Status: string;
}

/** What a client asked. */
export interface SerfRequest {
  readonly command: string;
  readonly body: ReadonlyMap<string, unknown> | undefined;
}

interface Client {
  readonly socket: Deno.TcpConn;
  version: number;
  authenticated: boolean;
  streamSeq: number | undefined;
  sending: Promise<void>;
}

/** A member of no account. */
export const SERVED_MEMBER: WireMember = {
  Name: "served",
  Addr: Uint8Array.of(192, 0, 2, 7),
  Port: 7946,
  Tags: null,
  Status: "alive",
};

/**
 * A Serf agent as seen through its RPC, which can be told to cut what it sends, to send anything, to refuse, to fall
 * silent, to die and to come back.
 */
export class SerfServer implements AsyncDisposable {
  readonly #packr = new Packr({ useRecords: false });
  readonly #clients = new Set<Client>();
  #listener: Deno.TcpListener | undefined;
  #work: Promise<unknown>[] = [];
  #port = 0;
  /** All that was asked, in order. */
  readonly requests: SerfRequest[] = [];
  /** By command: the error to answer with. */
  readonly refusals = new Map<string, string>();
  /** Commands that get no answer. */
  readonly silent = new Set<string>();
  /** Sent in the same breath as the answer to `stream`. */
  firstRecord: object | undefined;
  /** What is sent goes out in pieces of so many bytes. */
  pieceBytes = Infinity;
  members: readonly WireMember[] = [SERVED_MEMBER];

  private constructor(readonly authKey: string | undefined) {}

  static start(authKey?: string): SerfServer {
    const server = new SerfServer(authKey);
    server.listen();
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** How many clients are connected. */
  get connections(): number {
    return this.#clients.size;
  }

  /** The names of the commands so far. */
  get commands(): string[] {
    return this.requests.map(({ command }) => command);
  }

  /** Takes connections, again on the same port. */
  listen(): void {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: this.#port });
    this.#listener = listener;
    this.#port = listener.addr.port;
    this.#work.push(this.#accept(listener));
  }

  /** Closes everything. */
  async die(): Promise<void> {
    this.#listener?.close();
    this.#listener = undefined;
    for (const client of this.#clients) client.socket.close();
    await Promise.all(this.#work.splice(0));
  }

  /** Sends bytes to every client as they are. */
  async send(bytes: Iterable<number>): Promise<void> {
    for (const client of this.#clients) await this.#write(client, Uint8Array.from(bytes));
  }

  /** Sends a record to everybody who streams. */
  async emit(...records: readonly object[]): Promise<void> {
    for (const client of this.#clients) {
      if (client.streamSeq === undefined) continue;
      const header = { Seq: client.streamSeq, Error: "" };
      await this.#write(client, ...records.flatMap((record) => [header, record]));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.die();
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    try {
      for await (const socket of listener) this.#work.push(this.#serve(socket));
    } catch { // closed
    }
  }

  async #serve(socket: Deno.TcpConn): Promise<void> {
    const client: Client = {
      socket,
      version: 0,
      authenticated: this.authKey === undefined,
      streamSeq: undefined,
      sending: Promise.resolve(),
    };
    this.#clients.add(client);
    try {
      socket.setNoDelay(true);
      const values = readValues(socket);
      for (;;) {
        const header = await values.next();
        if (header.done || !(header.value instanceof Map)) break;
        if (!await this.#handle(client, header.value, values)) break;
      }
    } catch { // gone
    } finally {
      this.#clients.delete(client);
      try {
        socket.close();
      } catch { // by die()
      }
    }
  }

  /** Whether the connection can go on. */
  async #handle(client: Client, header: Map<string, unknown>, values: AsyncGenerator<unknown>) {
    const command = String(header.get("Command")), Seq = Number(header.get("Seq"));
    if (command !== "handshake" && client.version === 0) {
      await this.#write(client, { Seq, Error: "Handshake required" });
      return false;
    }
    if (!client.authenticated && command !== "handshake" && command !== "auth") {
      this.requests.push({ command, body: undefined });
      await this.#write(client, { Seq, Error: "Authentication required" }); // and leaves the body unread
      return true;
    }
    const body = REQUEST_BODY.has(command) ? (await values.next()).value as Map<string, unknown> : undefined;
    this.requests.push({ command, body });
    if (this.silent.has(command)) return true;
    let refusal = this.refusals.get(command) ?? "";
    if (command === "handshake") client.version = Number(body?.get("Version"));
    if (command === "auth") {
      client.authenticated = body?.get("AuthKey") === this.authKey;
      if (!client.authenticated) refusal = "Invalid authentication token";
    }
    const answer: object[] = [{ Seq, Error: refusal }];
    if (ANSWER_BODY.has(command)) answer.push(this.#answerBody(command, refusal));
    if (command === "stream" && refusal === "") {
      client.streamSeq = Seq;
      if (this.firstRecord) answer.push({ Seq, Error: "" }, this.firstRecord);
    }
    await this.#write(client, ...answer);
    return true;
  }

  #answerBody(command: string, refusal: string): object {
    if (command === "stats") return { agent: { name: "served" }, serf: { event_queue: "3" }, tags: null };
    return { Members: refusal === "" ? this.members : null };
  }

  #write(client: Client, ...values: readonly object[]): Promise<void> {
    const parts = values.map((value) =>
      value instanceof Uint8Array ? value : this.#packr.pack(value).slice()
    );
    client.sending = client.sending.then(async () => {
      const bytes = Buffer.concat(parts);
      for (let at = 0; at < bytes.length;) {
        at += await client.socket.write(bytes.subarray(at, at + this.pieceBytes));
        // Lets the other end read what there is
        if (this.pieceBytes < Infinity) await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }).catch(() => {}); // the client is gone
    return client.sending;
  }
}

/** MessagePack values from a socket, by msgpackr's own way of telling that one is cut. */
async function* readValues(socket: Deno.TcpConn): AsyncGenerator<unknown, void, void> {
  const unpackr = new Unpackr({
    useRecords: false,
    mapsAsObjects: false,
    int64AsType: "number",
    copyBuffers: true,
  });
  const chunk = new Uint8Array(65_536);
  let data = new Uint8Array();
  for (;;) {
    const count = await socket.read(chunk);
    if (count === null) return;
    data = Uint8Array.of(...data, ...chunk.subarray(0, count));
    let values: unknown[] = [];
    try {
      values = unpackr.unpackMultiple(data) as unknown[];
      data = new Uint8Array();
    } catch (error) {
      const cut = error as { incomplete?: boolean; values?: unknown[]; lastPosition?: number };
      if (!cut.incomplete) throw error;
      values = cut.values ?? [];
      data = data.slice(cut.lastPosition ?? 0);
    }
    yield* values;
  }
}
