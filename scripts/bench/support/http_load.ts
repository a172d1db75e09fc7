/**
 * A load on one URL from a process of its own, so that the server has a core for itself: keep-alive connections that each
 * have a few requests under way. Prints how many requests were answered.
 *
 *     deno run --allow-net scripts/bench/support/http_load.ts PORT PATH CONNECTIONS DEPTH MILLISECONDS
 */

/** Answers are told apart by their length, which is that of the first one: only an endpoint with a steady answer can be measured. */
async function answerLength(port: number, request: Uint8Array): Promise<number> {
  using connection = await Deno.connect({ port });
  await connection.write(request);
  const chunk = new Uint8Array(1 << 20);
  let head = "";
  let received = 0;
  while (!head.includes("\r\n\r\n")) {
    const count = await connection.read(chunk) ?? 0;
    if (count === 0) throw new Error("the server closed the connection");
    head += String.fromCharCode(...chunk.subarray(0, Math.min(count, 4096)));
    received += count;
    if (received > 1 << 20) throw new Error("no end of the header");
  }
  if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(head);
  const body = Number(head.match(/content-length: (\d+)/i)?.[1]);
  return head.indexOf("\r\n\r\n") + 4 + body;
}

async function load(
  port: number,
  path: string,
  connections: number,
  depth: number,
  durationMs: number,
): Promise<number> {
  const request = new TextEncoder().encode(
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  );
  const length = await answerLength(port, request);
  const batch = new Uint8Array(request.length * depth);
  for (let at = 0; at < depth; at++) batch.set(request, at * request.length);
  const end = performance.now() + durationMs;
  const answered = await Promise.all(Array.from({ length: connections }, async () => {
    using connection = await Deno.connect({ port });
    const chunk = new Uint8Array(1 << 20);
    let batches = 0;
    for (; performance.now() < end; batches++) {
      await connection.write(batch);
      for (let left = length * depth; left > 0;) left -= await connection.read(chunk) ?? Infinity;
    }
    return batches * depth;
  }));
  return answered.reduce((sum, count) => sum + count, 0);
}

if (import.meta.main) {
  const [port = "", path = "/", connections = "8", depth = "8", durationMs = "1000"] = Deno.args;
  const answered = await load(Number(port), path, Number(connections), Number(depth), Number(durationMs));
  await Deno.stdout.write(new TextEncoder().encode(`${answered}\n`));
}
