/**
 * Many clients that begin a request with a body of 1 MB and send only so much of it: `half_bodies.ts PORT CLIENTS BYTES`. Says
 * when they have, and stays until its standard input ends.
 */
const [port, clients, bytes] = Deno.args.map(Number) as [number, number, number];
const head =
  "POST /vms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
const piece = new Uint8Array(bytes).fill(0x20);

/** A client may be kept waiting by so many others; then it has sent what it could. */
const PATIENCE_MS = 8_000;

async function half(): Promise<Deno.Conn | undefined> {
  let connection: Deno.Conn | undefined;
  const timer = setTimeout(() => connection?.close(), PATIENCE_MS);
  try {
    connection = await Deno.connect({ port, signal: AbortSignal.timeout(PATIENCE_MS) });
    await connection.write(new TextEncoder().encode(head));
    for (let rest = piece; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
    return connection;
  } catch {
    return undefined; // refused, or hung up on, as some of so many may be
  } finally {
    clearTimeout(timer);
  }
}

const open = await Promise.all(Array.from({ length: clients }, half));
await Deno.stdout.write(new TextEncoder().encode(`${open.length}\n`));
await Deno.stdin.read(new Uint8Array(1));
Deno.exit();
