import assert from "node:assert/strict";
import { Listeners } from "../../../lib/api/listen.ts";
import { Health } from "../../../lib/model/health.ts";
import { Sockets } from "../../../lib/posix/sockets.ts";
import { until } from "../../../scripts/lab/until.ts";
import { apiFixture, type LogLine, recordingLogger } from "../../support/api_fixture.ts";
import { rawExchange } from "../../support/raw_http.ts";
import { TempDir } from "../../support/temp_dir.ts";

const PATIENCE_MS = 10_000;
const HEALTH = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

type Place = Deno.ConnectOptions | Deno.UnixConnectOptions;

async function isServed(to: Place): Promise<true | undefined> {
  const answers = await rawExchange(to, HEALTH, { responses: 1 }).catch(() => []);
  return answers[0]?.status === 200 || undefined;
}

async function serveUnix(path: string) {
  const lines: LogLine[] = [];
  const health = new Health();
  const listeners = await Listeners.open(apiFixture().app, [{ path }], {
    health,
    log: recordingLogger(lines),
    probeMs: 50,
    answerMs: 1_000,
  });
  const levels = () => lines.map(({ level, message }) => `${level}: ${message}`);
  return { health, levels, [Symbol.asyncDispose]: () => listeners[Symbol.asyncDispose]() };
}

const FAILED_AND_BACK = [
  "error: listener failed, and is opened again",
  "info: listener is open again",
];

Deno.test("a listener that the system ends is opened again at the same address", async () => {
  const lines: LogLine[] = [];
  const health = new Health();
  await using _listeners = await Listeners.open(apiFixture().app, [{ hostname: "127.0.0.1", port: 0 }], {
    health,
    log: recordingLogger(lines),
  });
  const port = Number(new URL(_listeners.addresses[0] ?? "").port);
  using sockets = Sockets.open();
  for (const fd of sockets.descriptors()) {
    if (sockets.peer(fd) === undefined && sockets.local(fd)?.port === port) sockets.end(fd);
  }
  await until("the failure to be noticed", () => lines[0], PATIENCE_MS);
  const [condition] = health.conditions;
  assert.ok(condition === undefined || condition.blocking);
  await until("the listener to be back", () => isServed({ port }), PATIENCE_MS);
  await until("its fault to be over", () => health.conditions.length === 0 || undefined, PATIENCE_MS);
  assert.deepEqual(lines.map(({ level, message }) => `${level}: ${message}`), FAILED_AND_BACK);
});

Deno.test("a unix socket whose path was removed, with its directory, is there again", async () => {
  await using dir = await TempDir.create();
  const path = dir.at("run/s");
  await using api = await serveUnix(path);
  await Deno.remove(dir.at("run"), { recursive: true });
  await until("the socket to be back", () => isServed({ transport: "unix", path }), PATIENCE_MS);
  await until("its fault to be over", () => api.health.conditions.length === 0 || undefined, PATIENCE_MS);
  assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o660);
  assert.deepEqual(api.levels(), FAILED_AND_BACK);
});

Deno.test("what somebody has put in the socket's place stays; when it is gone the socket is back", async () => {
  await using dir = await TempDir.create();
  const path = dir.at("s");
  await using api = await serveUnix(path);
  await Deno.writeTextFile(dir.at("file"), "precious");
  await Deno.rename(dir.at("file"), path);
  const [condition] = await until(
    "the fault to be told",
    () =>
      api.health.conditions[0]?.reason.includes("something else than a socket")
        ? api.health.conditions
        : undefined,
    PATIENCE_MS,
  );
  assert.equal(condition?.blocking, false);
  assert.equal(await Deno.readTextFile(path), "precious");
  await Deno.remove(path);
  await until("the socket to be back", () => isServed({ transport: "unix", path }), PATIENCE_MS);
  await until("its fault to be over", () => api.health.conditions.length === 0 || undefined, PATIENCE_MS);
});

Deno.test("a socket that another process serves in our place is not taken from it, nor at the end", async () => {
  await using dir = await TempDir.create();
  const path = dir.at("s");
  {
    await using api = await serveUnix(path);
    using _other = Deno.listen({ transport: "unix", path: dir.at("other") });
    await Deno.rename(dir.at("other"), path);
    await until(
      "the fault to be told",
      () => api.health.conditions[0]?.reason.includes("another process listens there") || undefined,
      PATIENCE_MS,
    );
  }
  assert.ok((await Deno.lstat(path)).isSocket);
});

Deno.test("a listener that has gone deaf is noticed, and one that hears again is open", async () => {
  const lines: LogLine[] = [];
  const { app } = apiFixture();
  const answers = Promise.withResolvers<void>();
  let deaf = true;
  // To those who ask, an answer that never comes is the same as a listener that does not hear.
  const api = {
    ...app,
    fetch: (...request: Parameters<typeof app.fetch>) =>
      deaf ? answers.promise.then(() => new Response("late")) : app.fetch(...request),
  };
  await using listeners = await Listeners.open(api, [{ hostname: "127.0.0.1", port: 0 }], {
    log: recordingLogger(lines),
    probeMs: 50,
    answerMs: 200,
  });
  const port = Number(new URL(listeners.addresses[0] ?? "").port);
  await until("deafness to be noticed", () => lines[0], PATIENCE_MS);
  assert.match(String(lines[0]?.fields.reason), /does not answer/);
  deaf = false;
  answers.resolve();
  await until("the listener to be back", () => isServed({ port }), PATIENCE_MS);
});

Deno.test("a unix socket that has gone deaf is replaced in its place, which is not taken for another's", async () => {
  await using dir = await TempDir.create();
  const path = dir.at("s");
  const lines: LogLine[] = [];
  const { app } = apiFixture();
  const release = Promise.withResolvers<void>();
  let deaf = true;
  const api = {
    ...app,
    fetch: (...request: Parameters<typeof app.fetch>) =>
      deaf ? release.promise.then(() => new Response("late")) : app.fetch(...request),
  };
  await using _listeners = await Listeners.open(api, [{ path }], {
    log: recordingLogger(lines),
    probeMs: 50,
    answerMs: 200,
  });
  await until("deafness to be noticed", () => lines[0], PATIENCE_MS);
  deaf = false;
  await until("the socket to be back", () => isServed({ transport: "unix", path }), PATIENCE_MS);
  release.resolve();
  await until(
    "it to be told",
    () => lines.find(({ message }) => message === "listener is open again"),
    PATIENCE_MS,
  );
});
