import type { ServerAddress } from "../../lib/api/websocket_client.ts";

/** A frame as any client may send it (RFC 6455 §5.2): masked with zeros, so that its payload travels as it is. */
export function rawFrame(opcode: number, payload: Uint8Array, final = true): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  const head = length < 126 ? [0x80 | length] : [0x80 | 127, 0, 0, 0, 0, ...bigEndian(length)];
  return Uint8Array.from([(final ? 0x80 : 0) | opcode, ...head, 0, 0, 0, 0, ...payload]);
}

function bigEndian(number: number): number[] {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff);
}

/** A connection on which a WebSocket has been agreed on, for a client that keeps to no rules. */
export async function openRawWebSocket(to: ServerAddress, path: string): Promise<Deno.Conn> {
  const connection = "path" in to
    ? await Deno.connect({ transport: "unix", path: to.path })
    : await Deno.connect(to);
  const head = [
    `GET ${path} HTTP/1.1`,
    "host: localhost",
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version: 13",
  ];
  await connection.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n`));
  const answer = new Uint8Array(4096);
  const count = await connection.read(answer) ?? 0;
  const text = new TextDecoder().decode(answer.subarray(0, count));
  if (!text.startsWith("HTTP/1.1 101 ")) throw new Error(`no WebSocket: ${text}`);
  return connection;
}

/** Sends the same bytes again and again until the other end hangs up, or so often; how many bytes it took. */
export async function flood(connection: Deno.Conn, bytes: Uint8Array, times: number): Promise<number> {
  let sent = 0;
  try {
    for (let round = 0; round < times; round++) {
      for (let rest = bytes; rest.length > 0;) {
        const count = await connection.write(rest);
        rest = rest.subarray(count);
        sent += count;
      }
    }
  } catch {
    // it hung up
  }
  return sent;
}
