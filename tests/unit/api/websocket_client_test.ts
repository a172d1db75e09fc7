import assert from "node:assert/strict";
import { WebSocketClient, type WebSocketOptions } from "../../../lib/api/websocket_client.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { flood } from "../../support/raw_websocket.ts";
import { TempDir } from "../../support/temp_dir.ts";

const PROTOCOL = "test.virtx";

/** The runtime's own WebSocket server, on TCP or a unix socket. */
class Server implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.Addr>;
  readonly #sockets: WebSocket[] = [];
  /** URL and X-VirtX-Loop of each request; an upgraded one can be asked no more. */
  readonly requests: (readonly [url: string, loop: string | null])[] = [];

  private constructor(
    readonly o: {
      readonly serve: (socket: WebSocket) => void;
      readonly path?: string;
      readonly idleS?: number;
    },
  ) {
    const handler = (request: Request) => this.#upgrade(request);
    this.#server = o.path === undefined
      ? Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handler)
      : Deno.serve({ path: o.path, onListen() {} }, handler);
  }

  static start(serve: (socket: WebSocket) => void, o: { path?: string; idleS?: number } = {}): Server {
    return new Server({ serve, ...o });
  }

  get options(): WebSocketOptions {
    const { addr } = this.#server;
    const to = this.o.path === undefined
      ? { hostname: "127.0.0.1", port: (addr as Deno.NetAddr).port }
      : { path: this.o.path };
    return {
      to,
      path: "/socket?force=true",
      authority: "localhost",
      protocol: PROTOCOL,
      headers: new Headers({ "x-virtx-loop": "1" }),
      timeoutMs: 10_000,
      what: "Cannot open a WebSocket",
    };
  }

  async open(): Promise<WebSocketClient> {
    const socket = await WebSocketClient.open(this.options);
    assert.ok(socket instanceof WebSocketClient);
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  #upgrade(request: Request): Response {
    this.requests.push([request.url, request.headers.get("x-virtx-loop")]);
    const { socket, response } = Deno.upgradeWebSocket(request, {
      protocol: PROTOCOL,
      idleTimeout: this.o.idleS ?? 0,
    });
    socket.binaryType = "arraybuffer";
    this.#sockets.push(socket);
    this.o.serve(socket);
    return response;
  }
}

/** Sends everything back. */
function echo(socket: WebSocket): void {
  socket.onmessage = ({ data }) => socket.send(data);
}

/** Reads that many bytes of binary data. */
async function readBytes(socket: WebSocketClient, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const part = await socket.read();
    assert.equal(part?.kind, "binary");
    bytes.set(part.bytes, at);
    at += part.bytes.length;
  }
  return bytes;
}

/** A server of one connection that speaks as the test has it. */
async function withRawServer(
  speak: (connection: Deno.Conn) => Promise<void>,
  test: (options: WebSocketOptions) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const speaking = (async () => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(4096));
    await speak(connection);
  })();
  await using server = Server.start(echo);
  await test({ ...server.options, to: { hostname: "127.0.0.1", port: listener.addr.port }, timeoutMs: 500 });
  await speaking;
}

for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000]) {
  Deno.test(`${length} bytes go to the runtime's own server and come back`, async () => {
    await using server = Server.start(echo);
    await using socket = await server.open();
    const bytes = new Uint8Array(length).map((_, at) => at * 7);
    await socket.send(bytes);
    assert.deepEqual(await readBytes(socket, length), bytes);
  });
}

Deno.test("a WebSocket goes over a unix socket, with headers, path and protocol", async () => {
  await using directory = await TempDir.create();
  await using server = Server.start(echo, { path: directory.at("sock") });
  await using socket = await server.open();
  await socket.send(new Uint8Array([1, 2, 3]));
  assert.deepEqual(await readBytes(socket, 3), new Uint8Array([1, 2, 3]));
  const [url = "", loop] = server.requests[0] ?? [];
  assert.equal(loop, "1");
  assert.match(url, /\/socket\?force=true$/);
});

Deno.test("texts arrive whole, whatever their language", async () => {
  await using server = Server.start((socket) => {
    socket.onopen = () => socket.send("grüße, 世界");
  });
  await using socket = await server.open();
  assert.deepEqual(await socket.read(), { kind: "text", text: "grüße, 世界" });
});

/** A server of one connection that agrees to the WebSocket, and then speaks as the test has it. */
async function withAgreeingServer(
  speak: (connection: Deno.Conn) => Promise<void>,
  test: (socket: WebSocketClient) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const speaking = (async () => {
    using connection = await listener.accept();
    const chunk = new Uint8Array(4096);
    const request = new TextDecoder().decode(chunk.subarray(0, await connection.read(chunk) ?? 0));
    const key = /sec-websocket-key: (\S+)/.exec(request)?.[1] ?? "";
    const digest = await crypto.subtle.digest(
      "SHA-1",
      new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`),
    );
    const head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n" +
      `sec-websocket-accept: ${
        new Uint8Array(digest).toBase64()
      }\r\nsec-websocket-protocol: ${PROTOCOL}\r\n\r\n`;
    await connection.write(new TextEncoder().encode(head));
    await speak(connection);
  })();
  await using server = Server.start(echo);
  const socket = await WebSocketClient.open({
    ...server.options,
    to: { hostname: "127.0.0.1", port: listener.addr.port },
  });
  assert.ok(socket instanceof WebSocketClient);
  await test(socket);
  await speaking;
}

for (
  const [what, frame] of [
    ["empty messages", [0x82, 0]],
    ["empty fragments of a text", [0x01, 0]],
    ["pings, and does not take the answers,", [0x89, 1, 112]],
    ["pongs", [0x8a, 0]],
    ["texts", [0x81, 1, 120]],
  ] as const
) {
  Deno.test(`a server that sends ${what} without end is hung up on before it takes much memory`, async () => {
    await withAgreeingServer(async (connection) => {
      const many = new Uint8Array(60_000).map((_, at) => frame[at % frame.length] ?? 0);
      assert.ok(await flood(connection, many, 10_000) < 200 << 20);
    }, async (socket) => {
      const before = Deno.memoryUsage().rss;
      while (await socket.read() !== undefined);
      assert.match((await socket.ended).reason, /empty frames/);
      assert.ok(Deno.memoryUsage().rss - before < 200 << 20);
    });
  });
}

Deno.test("a frame is put together from single bytes", async () => {
  const payload = new Uint8Array(3_000).map((_, at) => at);
  await withAgreeingServer(async (connection) => {
    for (const byte of [0x82, 126, payload.length >> 8, payload.length & 0xff, ...payload]) {
      await connection.write(Uint8Array.of(byte));
    }
    await connection.read(new Uint8Array(100)).catch(() => {}); // until the client says goodbye, or hangs up
  }, async (socket) => {
    assert.deepEqual(await readBytes(socket, payload.length), payload);
    socket.abandon("that was all");
    await socket.ended;
  });
});

Deno.test("fragments are put together, also with a ping between them, which is answered", async () => {
  const accepted = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n";
  let answer = new Uint8Array();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const speaking = (async () => {
    using connection = await listener.accept();
    const chunk = new Uint8Array(4096);
    const request = new TextDecoder().decode(chunk.subarray(0, await connection.read(chunk) ?? 0));
    const key = /sec-websocket-key: (\S+)/.exec(request)?.[1] ?? "";
    const digest = await crypto.subtle.digest(
      "SHA-1",
      new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`),
    );
    const head = `${accepted}sec-websocket-accept: ${new Uint8Array(digest).toBase64()}\r\n` +
      `sec-websocket-protocol: ${PROTOCOL}\r\n\r\n`;
    // text "He" · ping "p" · continuation "llo", final · binary 1 · continuation 2, final
    const frames = [0x01, 2, 72, 101, 0x89, 1, 112, 0x80, 3, 108, 108, 111, 0x02, 1, 1, 0x80, 1, 2];
    await connection.write(Uint8Array.from([...new TextEncoder().encode(head), ...frames]));
    answer = chunk.slice(0, await connection.read(chunk) ?? 0);
  })();
  await using server = Server.start(echo);
  const socket = await WebSocketClient.open({
    ...server.options,
    to: { hostname: "127.0.0.1", port: listener.addr.port },
  });
  assert.ok(socket instanceof WebSocketClient);
  assert.deepEqual(await socket.read(), { kind: "text", text: "Hello" });
  assert.deepEqual(await readBytes(socket, 2), new Uint8Array([1, 2]));
  await speaking;
  assert.equal(answer[0], 0x8a); // a pong, final
  assert.equal(answer[1], 0x81); // masked, with one byte
  assert.equal((answer[6] ?? 0) ^ (answer[2] ?? 0), 112);
  assert.equal(await socket.read(), undefined);
  assert.equal((await socket.ended).code, 1006);
});

Deno.test("the server's code and reason are told when it ends, after what it sent before", async () => {
  await using server = Server.start((socket) => {
    socket.onopen = () => {
      socket.send(new Uint8Array([9]));
      socket.close(4001, "the guest has moved");
    };
  });
  await using socket = await server.open();
  assert.deepEqual(await readBytes(socket, 1), new Uint8Array([9]));
  assert.equal(await socket.read(), undefined);
  assert.deepEqual(await socket.ended, { code: 4001, reason: "the guest has moved" });
});

Deno.test("the server hears our code and reason when we end", async () => {
  const { promise, resolve } = Promise.withResolvers<CloseEvent>();
  await using server = Server.start((socket) => socket.onclose = resolve);
  const socket = await server.open();
  await socket.close(4002, "enough");
  const { code, reason } = await promise;
  assert.deepEqual({ code, reason }, { code: 4002, reason: "enough" });
  await socket.send(new Uint8Array(1)); // goes nowhere
  assert.equal(await socket.read(), undefined);
});

Deno.test("pings of the server are answered while we read", async () => {
  await using server = Server.start((socket) => {
    socket.onopen = () => setTimeout(() => socket.send("still there"), 3_000);
  }, { idleS: 1 });
  await using socket = await server.open();
  assert.deepEqual(await socket.read(), { kind: "text", text: "still there" });
});

Deno.test("what is not read holds the server back", async () => {
  let server: WebSocket | undefined;
  await using listening = Server.start((socket) => {
    server = socket;
    socket.onopen = () => {
      for (let sent = 0; sent < 512; sent++) socket.send(new Uint8Array(65_536));
    };
  });
  await using socket = await listening.open();
  await readBytes(socket, 65_536);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok((server?.bufferedAmount ?? 0) > 16 * 1024 * 1024);
  await readBytes(socket, 511 * 65_536);
});

Deno.test("a refusal is handed to the caller with its status, headers and body", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response('{"detail":"no"}', { status: 422, headers: { "x-virtx-host": "there" } }),
  );
  await using other = Server.start(echo);
  const refusal = await WebSocketClient.open({ ...other.options, to: server.addr });
  assert.ok(refusal instanceof Response);
  assert.equal(refusal.status, 422);
  assert.equal(refusal.headers.get("x-virtx-host"), "there");
  assert.equal(await refusal.text(), '{"detail":"no"}');
  await server.shutdown();
});

for (
  const [what, answer, message] of [
    ["is no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", /no HTTP/],
    ["hangs up", "", /nothing more/],
    ["accepts another key", "HTTP/1.1 101 x\r\nsec-websocket-accept: AAAA\r\n\r\n", /no WebSocket of ours/],
    ["has an endless head", `HTTP/1.1 200 ok\r\n${"x: y\r\n".repeat(10_000)}`, /endless head/],
  ] as const
) {
  Deno.test(`a server that ${what} is told of as such`, async () => {
    await withRawServer(async (connection) => {
      if (answer !== "") await connection.write(new TextEncoder().encode(answer));
    }, async (options) => {
      await assert.rejects(WebSocketClient.open(options), (error) => {
        assert.ok(error instanceof VirtxError);
        assert.equal(error.kind, "unreachable");
        assert.match(error.message, message);
        return true;
      });
    });
  });
}

Deno.test("a server that does not answer is given up in time, or when the caller has enough", async () => {
  await withRawServer(async (connection) => {
    await connection.read(new Uint8Array(1)).catch(() => {});
  }, async (options) => {
    await assert.rejects(WebSocketClient.open(options), (error) => {
      assert.ok(error instanceof VirtxError);
      assert.equal(error.kind, "timeout");
      return true;
    });
  });
  await withRawServer(async (connection) => {
    await connection.read(new Uint8Array(1)).catch(() => {});
  }, async (options) => {
    const { signal } = { signal: AbortSignal.timeout(50) };
    await assert.rejects(WebSocketClient.open({ ...options, signal, timeoutMs: 10_000 }), {
      name: "TimeoutError",
    });
  });
});

Deno.test("nothing that listens there is an error that says so", async () => {
  await using server = Server.start(echo);
  await assert.rejects(
    WebSocketClient.open({ ...server.options, to: { hostname: "127.0.0.1", port: 1 } }),
    /^VirtxError: Cannot open a WebSocket: Connection refused/,
  );
});
