import assert from "node:assert/strict";
import { toError } from "../../../lib/api/answer_error.ts";
import { RemoteConsole } from "../../../lib/api/console_line.ts";
import {
  CONSOLE_CLOSE,
  CONSOLE_PROTOCOL,
  consolePath,
  INPUT_WINDOW,
} from "../../../lib/api/console_protocol.ts";
import { Listeners } from "../../../lib/api/listen.ts";
import { type ServerAddress, WebSocketClient } from "../../../lib/api/websocket_client.ts";
import { Opcode } from "../../../lib/api/websocket_frames.ts";
import { awaitedLater } from "../../../lib/model/background.ts";
import { HostState } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { until } from "../../../scripts/lab/until.ts";
import { ApiCluster, type ApiHost } from "../../support/api_cluster.ts";
import { apiFixture, HERE } from "../../support/api_fixture.ts";
import { MemoryConsoles } from "../../support/memory_consoles.ts";
import { rawExchange } from "../../support/raw_http.ts";
import { flood, openRawWebSocket, rawFrame } from "../../support/raw_websocket.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { refusal } from "../../support/libvirt_connections.ts";
import { vmInfo } from "../../support/vm_info.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

interface OpenOptions {
  readonly force?: boolean;
  readonly protocol?: string;
  readonly headers?: Record<string, string>;
}

async function openSocket(to: ServerAddress, uuid: string, o: OpenOptions = {}): Promise<WebSocketClient> {
  const answer = await WebSocketClient.open({
    to,
    path: consolePath(uuid, { force: o.force ?? false }),
    authority: "localhost",
    protocol: o.protocol ?? CONSOLE_PROTOCOL,
    headers: new Headers(o.headers),
    timeoutMs: 10_000,
    what: "Cannot open the console",
  });
  if (answer instanceof Response) throw toError(answer, await answer.text());
  return answer;
}

function addressOf({ url }: ApiHost): ServerAddress {
  const { hostname, port } = new URL(url);
  return { hostname, port: Number(port) };
}

/** Two hosts and a VM on the second; consoles of both in one place. */
class Scene implements AsyncDisposable {
  readonly vm = crypto.randomUUID();
  private constructor(readonly cluster: ApiCluster, readonly consoles: MemoryConsoles) {}

  static async start(): Promise<Scene> {
    const consoles = new MemoryConsoles();
    const scene = new Scene(await ApiCluster.start(2, { consoles }), consoles);
    const { uuid, inventory } = scene.cluster.host(1);
    inventory.putVm(vmInfo({ uuid: scene.vm, host: uuid }));
    scene.cluster.gossip();
    return scene;
  }

  /** By a host; 0: the one that the VM is not on. */
  async open(by: number, o: OpenOptions = {}): Promise<RemoteConsole> {
    return new RemoteConsole(await openSocket(addressOf(this.cluster.host(by)), this.vm, o));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}

async function readText(line: RemoteConsole, length = Infinity): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  while (text.length < length) {
    const part = await line.read();
    if (part === undefined) break;
    text += decoder.decode(part, { stream: true });
  }
  return text;
}

for (const [by, which] of [[1, "the VM's host"], [0, "another host"]] as const) {
  Deno.test(`through ${which} a guest's output and its user's input pass whole and in order`, async () => {
    await using scene = await Scene.start();
    const line = await scene.open(by);
    const terminal = scene.consoles.of(scene.vm);
    const output = Array.from({ length: 100_000 }, (_, number) => `line ${number}\r\n`).join("");
    for (let at = 0; at < output.length; at += 1_000) terminal.print(output.slice(at, at + 1_000));
    assert.equal(await readText(line, output.length), output);

    const input = Array.from({ length: 40_000 }, (_, number) => `input ${number}\r`).join("");
    const reading = readText(line);
    await line.write(bytes(input));
    await until(
      "all input",
      () => Promise.resolve(terminal.typed.length >= input.length || undefined),
      10_000,
    );
    assert.equal(terminal.typed, input);

    terminal.print("goodbye");
    terminal.end({ fate: "stopped", reason: 'VM "web1" has stopped' });
    assert.equal(await reading, "goodbye");
    assert.deepEqual(await line.ended, { code: CONSOLE_CLOSE.stopped, reason: 'VM "web1" has stopped' });
  });

  Deno.test(`through ${which} a user who goes gives the console back`, async () => {
    await using scene = await Scene.start();
    const line = await scene.open(by);
    const terminal = scene.consoles.of(scene.vm);
    line.close();
    await until("the console to be given back", () => Promise.resolve(terminal.closed || undefined), 10_000);
  });

  Deno.test(`through ${which} a second user is told that the console is taken, and can take it by force`, async () => {
    await using scene = await Scene.start();
    const first = await scene.open(by);
    const error = await refusal(scene.open(by));
    assert.equal(error.kind, "conflict");
    assert.match(error.message, /another user has it/);
    const second = await scene.open(by, { force: true });
    assert.equal(await first.read(), undefined);
    assert.deepEqual(await first.ended, {
      code: CONSOLE_CLOSE.taken,
      reason: "Another user has taken the console",
    });
    scene.consoles.of(scene.vm).print("yours");
    assert.equal(await readText(second, 5), "yours");
    second.close();
  });

  Deno.test(`through ${which} output waits in the line while its reader does not read`, async () => {
    await using scene = await Scene.start();
    const line = await scene.open(by);
    const terminal = scene.consoles.of(scene.vm);
    for (let part = 0; part < 1_024; part++) terminal.print("x".repeat(16_384));
    await new Promise((resolve) => setTimeout(resolve, 500));
    // What the network holds, twice where it is passed on, is far less than 16 MiB.
    assert.ok(terminal.readBytes < 12 * 1024 * 1024, `${terminal.readBytes}`);
    assert.equal((await readText(line, 16 * 1024 * 1024)).length, 16 * 1024 * 1024);
    line.close();
  });

  Deno.test(`through ${which} input waits at the client while the guest takes none`, async () => {
    await using scene = await Scene.start();
    const line = await scene.open(by);
    const { promise, resolve } = Promise.withResolvers<void>();
    scene.consoles.of(scene.vm).gate = promise;
    const reading = readText(line);
    let written = 0;
    const writing = (async () => {
      for (let part = 0; part < 100; part++) {
        await line.write(bytes("y".repeat(4_096)));
        written += 4_096;
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(written <= 2 * INPUT_WINDOW, `${written}`);
    resolve();
    await writing;
    line.close();
    await reading;
  });

  Deno.test(`through ${which} the reason for a failure is told before the upgrade`, async () => {
    await using scene = await Scene.start();
    scene.consoles.obstacle = new VirtxError(
      "conflict",
      'Cannot open the console of VM "web1": it is not running',
    );
    const error = await refusal(scene.open(by));
    assert.equal(error.kind, "conflict");
    assert.equal(error.message, 'Cannot open the console of VM "web1": it is not running');
  });

  Deno.test(`when ${which} stops it says so`, async () => {
    await using scene = await Scene.start();
    const line = await scene.open(by);
    const reading = line.read();
    await scene.cluster.host(by).stop();
    assert.equal(await reading, undefined);
    assert.equal((await line.ended).code, 1001);
  });
}

Deno.test("a client that has fallen asleep does not hold up the end", async () => {
  const consoles = new MemoryConsoles();
  const { app, inventory } = apiFixture({ consoles });
  const listeners = await Listeners.open(app, [{ hostname: "127.0.0.1", port: 0 }]);
  const vm = crypto.randomUUID();
  inventory.putVm(vmInfo({ uuid: vm, host: HERE }));
  const port = Number(new URL(listeners.addresses[0] ?? "").port);
  const socket = await openSocket({ hostname: "127.0.0.1", port }, vm);
  const start = performance.now();
  assert.equal(await listeners.close(30_000), true);
  assert.ok(performance.now() - start < 10_000);
  socket.abandon("it sleeps");
  await socket.ended;
});

Deno.test("when the VM's host fails, a console that is passed on ends and says which host it was", async () => {
  await using scene = await Scene.start();
  const line = await scene.open(0);
  scene.cluster.turn(1, HostState.failed);
  assert.equal(await line.read(), undefined);
  const { code, reason } = await line.ended;
  assert.equal(code, CONSOLE_CLOSE.lost);
  assert.match(reason, /host "virt2"/);
});

Deno.test("a request that was passed on to the wrong host is not passed on again", async () => {
  await using scene = await Scene.start();
  const error = await refusal(scene.open(0, { headers: { "x-virtx-loop": "1" } }));
  assert.equal(error.kind, "loop");
});

Deno.test("more input than the window is refused instead of piling up", async () => {
  await using scene = await Scene.start();
  const socket = await openSocket(addressOf(scene.cluster.host(1)), scene.vm);
  scene.consoles.of(scene.vm).gate = new Promise(() => {});
  await socket.send(new Uint8Array(INPUT_WINDOW + 1));
  assert.equal(await socket.read(), undefined);
  assert.equal((await socket.ended).code, 1009);
});

for (
  const [what, frame, reason] of [
    ["empty messages", rawFrame(Opcode.binary, new Uint8Array()), /messages in a second/],
    ["texts", rawFrame(Opcode.text, bytes("x")), /binary/],
    [
      "fragments of a message that never ends",
      rawFrame(Opcode.continuation, new Uint8Array(65_536), false),
      /without end/,
    ],
  ] as const
) {
  Deno.test(`a client that sends ${what} for as long as it can is cut off before it takes much memory`, async () => {
    await using scene = await Scene.start();
    const host = scene.cluster.host(1);
    using client = await openRawWebSocket(addressOf(host), consolePath(scene.vm, { force: false }));
    if (what.startsWith("fragments")) await client.write(rawFrame(Opcode.binary, bytes("x"), false));
    const many = new Uint8Array(Math.max(1, Math.floor(65_536 / frame.length)) * frame.length);
    for (let at = 0; at < many.length; at += frame.length) many.set(frame, at);
    const before = Deno.memoryUsage().rss;
    const sent = await flood(client, many, 16_384); // a gigabyte, if nobody stops it
    assert.ok(sent < 512 << 20, `${sent >> 20} MiB were taken`);
    assert.ok(Deno.memoryUsage().rss - before < 512 << 20, `${(Deno.memoryUsage().rss - before) >> 20} MiB`);
    const ended = await until(
      "the log line of its end",
      () => host.lines.find(({ message }) => message === "console ended"),
      10_000,
    );
    assert.match(String(ended.fields.reason), reason);
  });
}

Deno.test("over a unix socket, too, a message without end is cut off", async () => {
  await using directory = await TempDir.create();
  const { app, inventory, lines } = apiFixture({ consoles: new MemoryConsoles() });
  const path = directory.at("sock");
  await using _listeners = await Listeners.open(app, [{ path }]);
  const vm = crypto.randomUUID();
  inventory.putVm(vmInfo({ uuid: vm, host: HERE }));
  using client = await openRawWebSocket({ path }, consolePath(vm, { force: false }));
  await client.write(rawFrame(Opcode.binary, bytes("x"), false));
  const fragment = rawFrame(Opcode.continuation, new Uint8Array(65_536), false);
  const sent = await flood(client, fragment, 65_536); // 4 GiB, if nobody stops it
  assert.ok(sent < 2 ** 30, `${sent / 2 ** 20} MiB were taken`);
  await until("its end", () => lines.find(({ message }) => message === "console ended"), 10_000);
});

Deno.test("a client that only listens and gives signs of life keeps its console", async () => {
  await using scene = await Scene.start();
  using client = await openRawWebSocket(
    addressOf(scene.cluster.host(1)),
    consolePath(scene.vm, { force: false }),
  );
  for (let round = 0; round < 10; round++) {
    await client.write(rawFrame(Opcode.ping, bytes("are you there?")));
    await client.read(new Uint8Array(100));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  scene.consoles.of(scene.vm).print("here");
  const chunk = new Uint8Array(100);
  const count = await client.read(chunk) ?? 0;
  assert.match(new TextDecoder().decode(chunk.subarray(0, count)), /here/);
});

Deno.test("over a unix socket a console is used like over TCP", async () => {
  await using directory = await TempDir.create();
  const consoles = new MemoryConsoles();
  const { app, inventory, lines } = apiFixture({ consoles });
  const path = directory.at("sock");
  await using _listeners = await Listeners.open(app, [{ path }]);
  const vm = crypto.randomUUID();
  inventory.putVm(vmInfo({ uuid: vm, host: HERE }));
  const line = new RemoteConsole(await openSocket({ path }, vm, { headers: { "x-request-id": "mine" } }));
  await line.write(bytes("hello"));
  consoles.of(vm).print("hi");
  assert.equal(await readText(line, 2), "hi");
  line.close();
  await line.ended;
  const ended = await until(
    "the log line of its end",
    () => Promise.resolve(lines.find(({ message }) => message === "console ended")),
    10_000,
  );
  const { ms: _ms, ...fields } = ended.fields;
  assert.deepEqual(fields, {
    request: "mine",
    vm,
    client: undefined,
    passedTo: undefined,
    code: 1000,
    reason: "",
    sentBytes: 2,
    receivedBytes: 5,
  });
  const begun = lines.find(({ fields }) => fields.status === 101);
  assert.equal(begun?.fields.op, "VmConsole");
  assert.equal(begun.fields.path, `/vms/${vm}/console`);
});

Deno.test("what is no request for such a WebSocket is refused with what is missing", async () => {
  await using scene = await Scene.start();
  const to = addressOf(scene.cluster.host(1));
  assert.ok("port" in to);
  const ask = async (lines: readonly string[], method = "GET") => {
    const head = [
      `${method} ${consolePath(scene.vm, { force: false })} HTTP/1.1`,
      "host: localhost",
      ...lines,
    ];
    const [answer] = await rawExchange(to, `${head.join("\r\n")}\r\n\r\n`, {
      responses: 1,
      head: method === "HEAD",
    });
    return answer;
  };
  const plain = await ask([]);
  assert.equal(plain?.status, 426);
  assert.equal(plain.headers.get("upgrade"), "websocket");
  const upgrade = ["connection: Upgrade", "upgrade: websocket"];
  const key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
  assert.equal((await ask([...upgrade, key, "sec-websocket-version: 12"]))?.status, 426);
  assert.equal((await ask([...upgrade, "sec-websocket-version: 13"]))?.status, 426);
  assert.equal((await ask([...upgrade, key, "sec-websocket-version: 13"], "HEAD"))?.status, 426);
  const other = [...upgrade, key, "sec-websocket-version: 13", "sec-websocket-protocol: chat"];
  const refused = await ask(other);
  assert.equal(refused?.status, 400);
  assert.match(refused.body, /console\.virtx/);
  assert.throws(() => scene.consoles.of(scene.vm), /no console was opened/);
  assert.equal((await ask([...upgrade, key, "sec-websocket-version: 13"]))?.status, 101);
});

Deno.test("a page of another site gets no WebSocket through its user's browser, one of ours does", async () => {
  await using scene = await Scene.start();
  const { url } = scene.cluster.host(1);
  for (const headers of [{ origin: "https://evil.example" }, { "sec-fetch-site": "cross-site" }]) {
    const error = await refusal(scene.open(1, { headers }));
    assert.equal(error.kind, "denied");
    assert.match(error.message, /page of another site/);
  }
  const { host } = new URL(url);
  const answer = await WebSocketClient.open({
    to: addressOf(scene.cluster.host(1)),
    path: consolePath(scene.vm, { force: false }),
    authority: host,
    protocol: CONSOLE_PROTOCOL,
    headers: new Headers({ origin: url, "sec-fetch-site": "same-origin" }),
    timeoutMs: 10_000,
    what: "Cannot open the console",
  });
  assert.ok(answer instanceof WebSocketClient);
  await answer.close(1000, "");
});

Deno.test("a defect while input is passed on ends the console, and its user is told", async () => {
  await using scene = await Scene.start();
  const line = await scene.open(1);
  scene.consoles.of(scene.vm).gate = awaitedLater(Promise.reject(new TypeError("it is undefined")));
  await line.write(bytes("hello"));
  assert.equal(await line.read(), undefined);
  assert.deepEqual(await line.ended, { code: 1011, reason: "virtxd failed; its log has the details" });
  assert.ok(scene.consoles.of(scene.vm).closed);
});
