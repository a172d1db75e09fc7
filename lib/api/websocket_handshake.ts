import { VirtxError } from "../model/error.ts";

/** What a server appends to the key before it hashes it (RFC 6455 §1.3). */
const SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES = 16;
/** The longest head of an answer, and the longest body of a refusal, in bytes. */
const HEAD_MAX = 32 * 1024, BODY_MAX = 1024 * 1024;

/** What a WebSocket is asked for with. */
export interface UpgradeRequest {
  /** Path and query. */
  readonly path: string;
  /** The server's name and port, for the Host header. */
  readonly authority: string;
  readonly protocol: string;
  readonly headers: Headers;
}

/** The server's consent, and what it sent right behind it; or its refusal. */
export type UpgradeAnswer = { readonly rest: Uint8Array<ArrayBuffer> } | { readonly refusal: Response };

/**
 * Asks for a WebSocket on a connection (RFC 6455 §4.1).
 * @throws VirtxError unreachable: the answer is none of HTTP, or no WebSocket with this protocol
 */
export async function upgrade(connection: Deno.Conn, request: UpgradeRequest): Promise<UpgradeAnswer> {
  const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toBase64();
  await writeAll(connection, new TextEncoder().encode(requestText(request, key)));
  const { head, rest } = await readHead(connection);
  const { status, headers } = parseHead(head);
  if (status !== 101) {
    const body = await readBody(connection, rest, Number(headers.get("content-length") ?? 0));
    const empty = status === 204 || status === 304;
    if (status < 200 || status > 599) throw unusable(`HTTP status ${status}`);
    return { refusal: new Response(empty ? null : body, { status, headers }) };
  }
  if (headers.get("sec-websocket-accept") !== await acceptance(key)) throw unusable("no WebSocket of ours");
  const protocol = headers.get("sec-websocket-protocol");
  if (protocol !== request.protocol) throw unusable(`the protocol "${protocol ?? ""}"`);
  return { rest };
}

/** Writes everything. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
}

function requestText({ path, authority, protocol, headers }: UpgradeRequest, key: string): string {
  const all = new Headers(headers);
  all.set("connection", "Upgrade");
  all.set("upgrade", "websocket");
  all.set("sec-websocket-key", key);
  all.set("sec-websocket-protocol", protocol);
  all.set("sec-websocket-version", "13");
  const lines = [...all].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `GET ${path} HTTP/1.1\r\nhost: ${authority}\r\n${lines}\r\n`;
}

async function acceptance(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(key + SUFFIX));
  return new Uint8Array(digest).toBase64();
}

async function readHead(
  connection: Deno.Conn,
): Promise<{ readonly head: string; readonly rest: Uint8Array<ArrayBuffer> }> {
  let bytes = new Uint8Array();
  while (bytes.length < HEAD_MAX) {
    bytes = await readMore(connection, bytes);
    const text = new TextDecoder("latin1").decode(bytes);
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) return { head: text.slice(0, end), rest: bytes.slice(end + 4) };
  }
  throw unusable("an endless head");
}

async function readBody(
  connection: Deno.Conn,
  start: Uint8Array<ArrayBuffer>,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!(length <= BODY_MAX)) throw unusable(`${length} bytes`);
  let bytes = start;
  while (bytes.length < length) bytes = await readMore(connection, bytes);
  return bytes.slice(0, length);
}

async function readMore(
  connection: Deno.Conn,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunk = new Uint8Array(4096);
  const count = await connection.read(chunk);
  if (count === null) throw unusable("nothing more");
  const joined = new Uint8Array(bytes.length + count);
  joined.set(bytes);
  joined.set(chunk.subarray(0, count), bytes.length);
  return joined;
}

function parseHead(head: string): { readonly status: number; readonly headers: Headers } {
  const [first = "", ...lines] = head.split("\r\n");
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1];
  if (status === undefined) throw unusable("no HTTP");
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) headers.append(name, value);
  }
  return { status: Number(status), headers };
}

function unusable(what: string): VirtxError {
  return new VirtxError("unreachable", `the server answered with ${what}`);
}
