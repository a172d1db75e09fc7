import assert from "node:assert/strict";
import type { ClusterView } from "../../../lib/api/cluster_operations.ts";
import { HttpPeers } from "../../../lib/api/http_peers.ts";
import { Listeners } from "../../../lib/api/listen.ts";
import { encodeStates, StateReader } from "../../../lib/api/state_lines.ts";
import { Transport } from "../../../lib/api/transport.ts";
import type { OriginState, Vector, Want } from "../../../lib/cluster/exchange.ts";
import type { Peer } from "../../../lib/cluster/ports.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { type ApiFixture, apiFixture } from "../../support/api_fixture.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const DIGEST = "0123456789abcdef";
const STAMP = { epoch: 1_700_000_000_000, seq: 7, digest: DIGEST };

/** A host as it stands with so many VMs. */
function originState(host: string, vms: number, part: Partial<OriginState> = {}): OriginState {
  return {
    uuid: host,
    ...STAMP,
    host: hostEntry({ uuid: host }),
    base: undefined,
    vms: Array.from({ length: vms }, (_, at) => vmInfo({ uuid: numberedUuid(at), name: `vm ${at} é`, host })),
    gone: [],
    ...part,
  };
}

const VECTOR: Vector = {
  uuid: numberedUuid(1),
  digest: DIGEST,
  origins: [{ uuid: numberedUuid(1), ...STAMP, count: 3 }],
};

/** A cluster that knows these states. */
function knowing(states: readonly OriginState[]): ClusterView {
  return {
    vector: (known) => known === VECTOR.digest ? undefined : VECTOR,
    states: (wants) => states.filter(({ uuid }) => wants.some((want) => want.uuid === uuid)),
  };
}

/** The API of a host that knows these states, and knows nobody. */
function knowingHost(states: readonly OriginState[]) {
  const stack = new DisposableStack();
  const transport = stack.use(new Transport());
  const cluster = {
    ...knowing(states),
    member: () => undefined,
    catchUp: () => Promise.resolve(),
    staleSince: undefined,
    misunderstood: () => {},
    unsure: undefined,
  };
  const fixture = apiFixture({ cluster, transport });
  return { ...fixture, [Symbol.dispose]: () => stack.dispose() };
}

/** A host that listens, as another one sees it. */
async function peer(serve: ApiFixture["app"] | Deno.ServeHandler) {
  const stack = new AsyncDisposableStack();
  const transport = stack.use(new Transport());
  let port: number;
  if (typeof serve === "function") {
    port = stack.use(Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, serve)).addr.port;
  } else {
    const listeners = stack.use(await Listeners.open(serve, [{ hostname: "127.0.0.1", port: 0 }]));
    port = Number(new URL(listeners.addresses[0] ?? "").port);
  }
  const there: Peer = { uuid: numberedUuid(1), name: "virt1", address: "127.0.0.1", port, prototype: false };
  return { there, peers: new HttpPeers(transport), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const signal = new AbortController().signal;
const everything = (uuid: string): Want => ({ uuid, since: undefined });

Deno.test("a vector is told, unless the asker knows as much", async () => {
  using fixture = knowingHost([]);
  await using host = await peer(fixture.app);
  assert.deepEqual(await host.peers.vector(host.there, "0".repeat(16), signal), VECTOR);
  assert.equal(await host.peers.vector(host.there, DIGEST, signal), undefined);
});

Deno.test("states arrive as they were, large ones and small ones, changes and all", async () => {
  const states = [
    originState(numberedUuid(1), 5_000),
    originState(numberedUuid(2), 0, { host: undefined, base: 3, gone: [numberedUuid(9)] }),
    originState(numberedUuid(3), 1),
  ];
  using fixture = knowingHost(states);
  await using host = await peer(fixture.app);
  const wants = [1, 2, 3, 4].map((number) => everything(numberedUuid(number)));
  assert.deepEqual(await host.peers.states(host.there, wants, signal), states);
  const since = { epoch: STAMP.epoch, seq: 3 };
  assert.equal((await host.peers.states(host.there, [{ uuid: numberedUuid(2), since }], signal)).length, 1);
});

Deno.test("asking is not logged, though it is done by POST", async () => {
  using fixture = knowingHost([]);
  await using host = await peer(fixture.app);
  await host.peers.states(host.there, [everything(numberedUuid(1))], signal);
  assert.deepEqual(fixture.lines, []);
});

Deno.test("no line is long, however many VMs there are", () => {
  const value = "x".repeat(1024);
  const custom = Array.from({ length: 64 }, (_, at) => ({ name: `field${at}`, value }));
  const state = originState(numberedUuid(1), 100);
  const lines = [...encodeStates([{ ...state, vms: state.vms.map((vm) => ({ ...vm, custom })) }])];
  assert.ok(lines.length > 10);
  for (const line of lines) assert.ok(line.length < 256 * 1024, String(line.length));
});

Deno.test("what is cut anywhere, or is not what it should be, is refused as a whole", () => {
  const text = [...encodeStates([originState(numberedUuid(1), 500)])].join("");
  const read = (given: string) => {
    const reader = new StateReader();
    reader.take(given);
    return reader.finish();
  };
  assert.equal(read(text)[0]?.vms.length, 500);
  const firstLine = text.slice(0, text.indexOf("\n") + 1);
  const foreign = encodeStates([originState(numberedUuid(2), 1)]).next().value ?? "";
  for (
    const wrong of [
      text.slice(0, -1),
      text.slice(0, 100),
      firstLine,
      firstLine + foreign,
      "null\n",
      "[]\n",
      "x\n",
      text.replace('"runstate":4', '"runstate":44'),
      text.replace(numberedUuid(7), "../etc"),
      "[".repeat(2_000_000),
    ]
  ) {
    assert.throws(() => read(wrong), (error) => error instanceof VirtxError && error.kind === "invalid");
  }
});

Deno.test("a peer that is not there, refuses, lies or breaks off is told apart", async () => {
  const kindOf = async (handler: Deno.ServeHandler) => {
    await using host = await peer(handler);
    const error = await host.peers.states(host.there, [], signal).then(() => undefined, (error) => error);
    assert.ok(error instanceof VirtxError, String(error));
    return error.kind;
  };
  assert.equal(await kindOf(() => new Response("no", { status: 503 })), "unavailable");
  assert.equal(await kindOf(() => new Response("<html>\n")), "invalid");
  const breaking = () =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode('{"uuid":')),
        pull: (controller) => controller.close(),
      }),
    );
  assert.equal(await kindOf(breaking), "invalid");
  const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const there = { uuid: numberedUuid(1), name: "virt1", address: "127.0.0.1", prototype: false };
  gone.close();
  using transport = new Transport();
  await assert.rejects(
    new HttpPeers(transport).vector({ ...there, port: gone.addr.port }, DIGEST, signal),
    (error) =>
      error instanceof VirtxError && error.kind === "unreachable" &&
      /^Cannot ask host "virt1" \(127.0.0.1\) .*Connection refused/.test(error.message),
  );
});

Deno.test("an abort ends a question with its reason", async () => {
  const arrived = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  await using host = await peer((request) => {
    arrived.resolve();
    const { promise, resolve } = Promise.withResolvers<Response>();
    request.signal.addEventListener("abort", () => {
      gone.resolve();
      resolve(new Response());
    });
    return promise;
  });
  const asking = new AbortController();
  const answer = host.peers.vector(host.there, DIGEST, asking.signal);
  await arrived.promise;
  asking.abort(new Error("stopped"));
  await assert.rejects(answer, /^Error: stopped$/);
  await gone.promise;
});

/** A body that repeats a text until nobody takes it any more. */
function endless(text: string): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  return new ReadableStream({ pull: (controller) => controller.enqueue(bytes) });
}

Deno.test("an answer without end is given up, whatever it is made of", async () => {
  const line = encodeStates([originState(numberedUuid(1), 0)]).next().value ?? "";
  for (
    const [answer, kind] of [
      [() => new Response(endless("x".repeat(65_536)), { status: 503 }), "unreachable"],
      [() => new Response(endless("x".repeat(65_536))), "invalid"],
      [() => new Response(endless("\n".repeat(65_536))), "invalid"],
      [() => new Response(endless(line.replace('"more":false', '"more":true').repeat(100))), "invalid"],
    ] as const
  ) {
    await using host = await peer(answer);
    const before = Deno.memoryUsage().rss;
    const error = await host.peers.states(host.there, [], signal).then(() => undefined, (error) => error);
    assert.ok(error instanceof VirtxError && error.kind === kind, String(error));
    assert.ok(Deno.memoryUsage().rss - before < 1 << 30);
  }
});

Deno.test("states that come byte by byte, and one VM to a line, are put together", () => {
  const { vms, ...state } = originState(numberedUuid(1), 50);
  const lines = vms.map((vm, at) =>
    JSON.stringify({ ...state, vms: [vm], more: at < vms.length - 1 }) + "\n"
  );
  const reader = new StateReader();
  for (const character of lines.join("")) reader.take(character);
  assert.deepEqual(reader.finish(), [{ ...state, vms }]);
});
