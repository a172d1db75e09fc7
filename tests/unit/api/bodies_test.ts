import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type BodyOptions, BodyReader } from "../../../lib/api/body.ts";
import { BodyBudget } from "../../../lib/api/body_budget.ts";
import { HttpError } from "../../../lib/api/problem.ts";
import { Listeners } from "../../../lib/api/listen.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { until } from "../../../scripts/lab/until.ts";
import { apiFixture } from "../../support/api_fixture.ts";
import { rawExchange } from "../../support/raw_http.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };
const HEAD = "POST /vms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

async function serve(bodies: BodyOptions) {
  const fixture = apiFixture({ bodies });
  const listeners = await Listeners.open(fixture.app, [LOCAL]);
  const port = Number(new URL(listeners.addresses[0] ?? "").port);
  return { ...fixture, port, [Symbol.asyncDispose]: () => listeners[Symbol.asyncDispose]() };
}

/** A request whose body is what the test makes of it. */
function request(body: ReadableStream<Uint8Array>): Request {
  return new Request("http://localhost/vms", {
    method: "POST",
    body,
    headers: { "content-type": "application/json" },
  });
}

/** A body that begins with so many bytes of white space, and then stands still until it is cancelled. */
function standing(bytes: number, cancelled?: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(bytes).fill(0x20)),
    ...(cancelled && { cancel: cancelled }),
  });
}

function isUnavailable(error: unknown): boolean {
  return error instanceof VirtxError && error.kind === "unavailable" && error.retryAfterS !== undefined;
}

for (
  const [what, begin, pieces] of [
    ["stops", `Content-Length: 100\r\n\r\n{"vm`, 0],
    ["never ends, byte by byte,", "Transfer-Encoding: chunked\r\n\r\n", 100],
  ] as const
) {
  Deno.test(`a body that ${what} is answered with 408, and its connection is closed`, async () => {
    await using api = await serve({ stallMs: 200, totalMs: 400 });
    using connection = await Deno.connect({ port: api.port });
    const write = (text: string) => connection.write(new TextEncoder().encode(text));
    await write(HEAD + begin);
    const trickle = (async () => {
      for (let piece = 0; piece < pieces; piece++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (await write("1\r\n \r\n").catch(() => 0) === 0) return;
      }
    })();
    let answer = "";
    const chunk = new Uint8Array(4096);
    for (;;) {
      const count = await connection.read(chunk).catch(() => null);
      if (count === null) break;
      answer += new TextDecoder().decode(chunk.subarray(0, count));
    }
    assert.match(answer, /^HTTP\/1\.1 408 /);
    assert.match(answer, /urn:virtx:problem:body_too_slow/);
    await trickle;
    assert.deepEqual(api.lines.map(({ level, message }) => [level, message]), [["info", "request refused"]]);
  });
}

Deno.test("a client that hangs up in its body is no defect, but one line at level info", async () => {
  await using api = await serve({});
  {
    using connection = await Deno.connect({ port: api.port });
    await connection.write(new TextEncoder().encode(`${HEAD}Content-Length: 100\r\n\r\n{"vm`));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const line = await until("the log line", () => api.lines[0], 10_000);
  assert.deepEqual([line.level, line.message], ["info", "request refused"]);
  assert.match(String(line.fields.error), /hung up/);
  assert.equal(api.lines.length, 1);
});

Deno.test("quick clients get in while slow ones hold all the memory for bodies, and those are given up", async () => {
  const budget = new BodyBudget({ totalBytes: 1_000_000, slowMs: 100 });
  const bodies = new BodyReader({ budget });
  let cancelled = 0;
  const slow = [300_000, 300_000, 300_000].map((bytes) =>
    bodies.json(request(standing(bytes, () => cancelled++))).catch((error: unknown) => error)
  );
  await new Promise((resolve) => setTimeout(resolve, 200));
  const text = JSON.stringify("x".repeat(400_000));
  const quick = await bodies.json(new Request(request(new Blob([text]).stream())));
  assert.equal(quick.bytes.length, text.length);
  await until("slow bodies to be given up", () => cancelled >= 1 || undefined, 5_000);
  assert.ok(isUnavailable(await slow[0]), String(await slow[0]));
});

Deno.test("where all are quick, the one for which there is no room is told to come back", async () => {
  const budget = new BodyBudget({ totalBytes: 1_000_000, slowMs: 60_000 });
  const bodies = new BodyReader({ budget, stallMs: 100 });
  const first = bodies.json(request(standing(900_000))).catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, 10));
  await assert.rejects(bodies.json(request(standing(200_000))), isUnavailable);
  const error = await first;
  assert.ok(error instanceof HttpError && error.kind === "body_too_slow", String(error));
  // Both have given back what they had.
  const text = JSON.stringify("x".repeat(900_000));
  assert.equal((await bodies.json(request(new Blob([text]).stream()))).bytes.length, text.length);
});

Deno.test("2,000 half bodies of 0.9 MB take no more than there is for bodies, and a good client is served", async () => {
  await using api = await serve({ budget: new BodyBudget({ totalBytes: 16 << 20, slowMs: 50 }) });
  const before = Deno.memoryUsage().rss;
  const script = new URL("../../support/half_bodies.ts", import.meta.url);
  await using clients = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-net", fileURLToPath(script), String(api.port), "2000", "900000"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  await clients.stdout.pipeThrough(new TextDecoderStream()).getReader().read(); // all have sent what they could
  // Of the same address as the crowd, the good client may be turned away at first.
  await until("a good client to be served", async () => {
    const [answer] = await rawExchange(
      { port: api.port },
      `${HEAD}Connection: close\r\nContent-Length: ${JSON.stringify({ vmdef: SMALL_VMDEF }).length}\r\n\r\n` +
        JSON.stringify({ vmdef: SMALL_VMDEF }),
      { responses: 1 },
    );
    return answer?.status === 201 || undefined;
  }, 20_000);
  const taken = Deno.memoryUsage().rss - before;
  assert.ok(taken < 768 << 20, `${taken >> 20} MiB`); // without bounds it is 2,300
  await clients.stdin.close();
});
