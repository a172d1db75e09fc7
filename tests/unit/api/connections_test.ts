import assert from "node:assert/strict";
import { limitsFor } from "../../../lib/api/connections.ts";
import { Listeners, type ListenOptions, type PlainAddress } from "../../../lib/api/listen.ts";
import { Health } from "../../../lib/model/health.ts";
import { until } from "../../../scripts/lab/until.ts";
import { type ApiFixture, apiFixture, HERE } from "../../support/api_fixture.ts";
import { rawExchange } from "../../support/raw_http.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { numberedUuid, vmInfo } from "../../support/vm_info.ts";

const PATIENCE_MS = 10_000;
const HEALTH = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
/** Short, so that tests are, and far apart, so that it shows which one it was. */
const SHORT = { headerMs: 300, idleMs: 1_000, stallMs: 500, passMs: 50 };

type Place = Deno.ConnectOptions | Deno.UnixConnectOptions;

interface Scene extends ApiFixture, AsyncDisposable {
  readonly to: Place;
  readonly listeners: Listeners;
}

/** An API on a listener of its own. */
async function serve(
  kind: "TCP" | "a unix socket",
  options: ListenOptions,
  fixture = apiFixture(),
): Promise<Scene> {
  await using held = new AsyncDisposableStack();
  const directory = held.use(await TempDir.create());
  const path = directory.at("s");
  const address: PlainAddress = kind === "TCP" ? { hostname: "127.0.0.1", port: 0 } : { path };
  const listeners = held.use(await Listeners.open(fixture.app, [address], options));
  const to: Place = kind === "TCP"
    ? { port: Number(new URL(listeners.addresses[0] ?? "").port) }
    : { transport: "unix", path };
  const all = held.move();
  return { ...fixture, listeners, to, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

async function connect(to: Place): Promise<Deno.Conn> {
  return "path" in to ? await Deno.connect(to) : await Deno.connect(to);
}

async function send(connection: Deno.Conn, text: string): Promise<void> {
  await connection.write(new TextEncoder().encode(text));
}

/** Reads until the server hangs up; what it sent. Fails if it does not. */
async function untilClosed(connection: Deno.Conn): Promise<string> {
  const timer = setTimeout(() => connection.close(), PATIENCE_MS);
  const chunk = new Uint8Array(65_536);
  let text = "";
  try {
    for (;;) {
      const count = await connection.read(chunk).catch((error) => {
        if (error instanceof Deno.errors.ConnectionReset) return null;
        throw error;
      });
      if (count === null) return text;
      text += new TextDecoder().decode(chunk.subarray(0, count));
    }
  } finally {
    clearTimeout(timer);
  }
}

/** One answer on a connection that is kept. */
async function ask(connection: Deno.Conn): Promise<void> {
  await send(connection, HEALTH);
  const count = await connection.read(new Uint8Array(4096));
  assert.ok((count ?? 0) > 0, "an answer");
}

function lastsFor(ms: number, work: Promise<unknown>): Promise<boolean> {
  return Promise.race([
    work.then(() => false),
    new Promise<boolean>((resolve) => setTimeout(resolve, ms, true)),
  ]);
}

for (const kind of ["TCP", "a unix socket"] as const) {
  Deno.test(`over ${kind} a connection on which no request comes is closed`, async () => {
    await using scene = await serve(kind, { limits: SHORT });
    using silent = await connect(scene.to);
    using half = await connect(scene.to);
    await send(half, "GET /healthz HTT");
    assert.equal(await untilClosed(silent), "");
    assert.equal(await untilClosed(half), "");
  });

  Deno.test(`over ${kind} a connection that is kept and idle is closed, though not at once`, async () => {
    await using scene = await serve(kind, { limits: SHORT });
    using kept = await connect(scene.to);
    await ask(kept);
    const closed = untilClosed(kept);
    const startMs = performance.now();
    await closed;
    assert.ok(performance.now() - startMs > 600, `${performance.now() - startMs} ms`);
  });

  Deno.test(`over ${kind} a connection in use is not closed, by a stream without news or a slow answer`, async () => {
    const gate = Promise.withResolvers<void>();
    const fixture = apiFixture();
    fixture.inventory.putVm(vmInfo({ uuid: numberedUuid(1), host: HERE }));
    fixture.vms.pause = async () => await gate.promise;
    await using scene = await serve(kind, { limits: { ...SHORT, idleMs: 2_000 } }, fixture);
    using stream = await connect(scene.to);
    await send(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert.ok((await stream.read(new Uint8Array(4096)) ?? 0) > 0);
    const ended = untilClosed(stream);
    using waiting = await connect(scene.to);
    await send(
      waiting,
      `POST /vms/${numberedUuid(1)}/runstate/pause HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    const answered = untilClosed(waiting);
    assert.equal(await lastsFor(1_500, Promise.race([ended, answered])), true);
    gate.resolve();
    assert.match(await answered, /^HTTP\/1\.1 204 /);
    await scene.listeners.close(0);
    await ended;
  });

  Deno.test(`over ${kind} too many connections give way to one that asks`, async () => {
    const health = new Health();
    const limits = { ...SHORT, headerMs: 60_000, total: 10, perClient: 8 };
    await using scene = await serve(kind, { limits, health });
    using held = new DisposableStack();
    const idle: Deno.Conn[] = [];
    for (let count = 0; count < 40; count++) idle.push(held.use(await connect(scene.to)));
    const ends = idle.map(untilClosed);
    using good = await connect(scene.to);
    for (let request = 0; request < 20; request++) {
      await ask(good);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await until("the rest to be closed", () => scene.listeners.connections <= 8 || undefined, PATIENCE_MS);
    await ask(good);
    const [told, ...more] = health.conditions;
    assert.deepEqual([told?.blocking, more], [false, []]);
    assert.match(
      told?.reason ?? "",
      /^too many connections \(there may be 10, and 8 of one address\): \d+ were closed$/,
    );
    await Promise.all(ends.slice(0, 30)); // the oldest have gone
    await scene.listeners.close(0);
    await Promise.all(ends);
  });
}

Deno.test("a client that takes nothing of its answer is cut off, one that is slow is not", async () => {
  const fixture = apiFixture();
  const { inventory } = fixture;
  const name = "x".repeat(50_000); // so that the list is more than the network holds
  for (let at = 0; at < 300; at++) inventory.putVm(vmInfo({ uuid: numberedUuid(at), host: HERE, name }));
  await using scene = await serve("TCP", { limits: { ...SHORT, idleMs: 2_000 } }, fixture);
  using asleep = await connect(scene.to);
  using slow = await connect(scene.to);
  const list = "GET /vms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  await send(asleep, list);
  await send(slow, list);
  let taken = 0;
  const chunk = new Uint8Array(1 << 20);
  for (;;) {
    const count = await slow.read(chunk);
    if (count === null) break;
    taken += count;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const [whole] = await rawExchange(scene.to, list, { responses: 1 });
  assert.ok(taken > (whole?.body.length ?? 0) && (whole?.body.length ?? 0) > 12 << 20, `${taken}`);
  await until(
    "the sleeping one to be cut off",
    () => scene.listeners.connections === 0 || undefined,
    PATIENCE_MS,
  );
});

Deno.test("the limits leave descriptors for everything else, however few there are", () => {
  for (const descriptors of [120, 1_024, 65_536, 1_048_576]) {
    const { total, perClient } = limitsFor(descriptors);
    assert.ok(total <= descriptors / 4 && total >= 8 && perClient < total && perClient >= 4);
  }
  assert.ok(limitsFor(1_048_576).total <= 4_096);
});
