/** HTTP on the wire, byte for byte: what clients, proxies and attackers really send and get. */

export interface RawResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Nothing on this machine takes so long; it ends a test that would hang. */
const PATIENCE_MS = 10_000;

/**
 * Sends bytes (one for each character) on a connection of its own and reads the answers: as many as are expected, or all
 * until the server closes the connection.
 */
export async function rawExchange(
  to: Deno.ConnectOptions | Deno.UnixConnectOptions,
  sent: string,
  o: { readonly responses?: number; readonly head?: boolean } = {},
): Promise<RawResponse[]> {
  using connection = "path" in to ? await Deno.connect(to) : await Deno.connect(to);
  const timer = setTimeout(() => connection.close(), PATIENCE_MS);
  try {
    const bytes = Uint8Array.from(sent, (character) => character.charCodeAt(0));
    const writing = writeAll(connection, bytes);
    const responses: RawResponse[] = [];
    const chunk = new Uint8Array(65536);
    let received = "";
    while (responses.length < (o.responses ?? Infinity)) {
      const parsed = parse(received, o.head ?? false);
      if (parsed !== undefined) {
        responses.push(parsed.response);
        received = parsed.rest;
        continue;
      }
      const count = await connection.read(chunk).catch(() => null);
      if (count === null) break;
      for (const byte of chunk.subarray(0, count)) received += String.fromCharCode(byte);
    }
    await writing;
    return responses;
  } finally {
    clearTimeout(timer);
  }
}

/** A server may close before it has read everything. */
async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < bytes.length) {
    const count = await connection.write(bytes.subarray(offset)).catch(() => 0);
    if (count === 0) return;
    offset += count;
  }
}

function parse(text: string, head: boolean): { response: RawResponse; rest: string } | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [statusLine = "", ...lines] = text.slice(0, end).split("\r\n");
  const headers = new Map(lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  }));
  const status = Number(statusLine.split(" ")[1]);
  const rest = text.slice(end + 4);
  const length = head || status < 200 ? 0 : Number(headers.get("content-length") ?? 0);
  if (rest.length < length) return undefined;
  return { response: { status, headers, body: rest.slice(0, length) }, rest: rest.slice(length) };
}
