import assert from "node:assert/strict";
import { readEvents } from "../../../../lib/cli/server/event_stream.ts";
import { Server } from "../../../../lib/cli/server/server.ts";
import { VirtxError } from "../../../../lib/model/error.ts";

const forever = new AbortController().signal;

/** A server of HTTP on a port of its own. */
function serve(handler: Deno.ServeHandler) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handler);
  return Object.assign(server, { url: `http://127.0.0.1:${server.addr.port}` });
}

/** An address at which nobody listens. */
function nobody(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `http://127.0.0.1:${listener.addr.port}`;
}

async function failure(promise: Promise<unknown>): Promise<VirtxError> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof VirtxError, String(error));
  return error;
}

Deno.test("the servers are tried in turn, and the one that answered is kept to", async () => {
  let asked = 0;
  await using second = serve(() => {
    asked++;
    return Response.json([]);
  });
  using server = new Server({ endpoints: [nobody(), second.url], signal: forever, headers: {} });
  await server.request("GET", "/vms");
  await server.request("POST", "/vms", null);
  assert.deepEqual([asked, server.endpoint], [2, second.url]);
});

Deno.test("when none answers, each is named with the reason", async () => {
  const gone = nobody();
  using server = new Server({ endpoints: ["unix:/nowhere.sock", gone], signal: forever, headers: {} });
  const error = await failure(server.request("GET", "/vms"));
  assert.equal(error.kind, "unavailable");
  assert.equal(
    error.message,
    `No server answers:\n  unix:/nowhere.sock: there is no such socket\n  ${gone}: Connection refused, nobody listens there`,
  );
});

Deno.test("a change that may have reached a server is not handed to another, a question is", async () => {
  let changes = 0;
  await using second = serve((request) => {
    if (request.method !== "GET") changes++;
    return Response.json([]);
  });
  const breaking = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = (async () => {
    for await (const connection of breaking) {
      await connection.read(new Uint8Array(4096));
      connection.close();
    }
  })();
  const endpoints = [`http://127.0.0.1:${breaking.addr.port}`, second.url];
  {
    using server = new Server({ endpoints, signal: forever, headers: {} });
    assert.equal((await failure(server.request("POST", "/vms", null))).kind, "unreachable");
    assert.equal(changes, 0);
    assert.deepEqual((await server.request("GET", "/vms")).body, []);
  }
  breaking.close();
  await accepting;
});

Deno.test("what a server says of another host is its answer, and no other is asked", async () => {
  let others = 0;
  const problem = {
    type: "urn:virtx:problem:unreachable",
    title: "",
    status: 502,
    detail: "virt2 is away",
    instance: "",
  };
  await using first = serve(() => Response.json(problem, { status: 502, headers: { "x-request-id": "r1" } }));
  await using second = serve(() => {
    others++;
    return Response.json([]);
  });
  using server = new Server({ endpoints: [first.url, second.url], signal: forever, headers: {} });
  const error = await failure(server.request("GET", "/vms"));
  assert.deepEqual([error.message, others], ["virt2 is away", 0]);
  assert.equal("requestId" in error && error.requestId, "r1");
});

Deno.test("a server that does not answer in time is told so", async () => {
  const answered = Promise.withResolvers<Response>();
  await using slow = serve(() => answered.promise);
  using server = new Server({ endpoints: [slow.url], signal: forever, timeoutMs: 50, headers: {} });
  const error = await failure(server.request("GET", "/vms"));
  assert.deepEqual([error.kind, error.message], ["timeout", `${slow.url} has not answered within 0.05 s`]);
  answered.resolve(new Response("[]"));
});

Deno.test("events are taken apart wherever the stream is cut; comments count as signs of life", async () => {
  const text =
    'event: vm\ndata: {"a":1}\nid: e-1\n\n: no news\nid: e-2\n\nevent: resync\ndata: é\nid: e-3\n\nevent: half';
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 7, bytes.length]) {
    const parts = Array.from(
      { length: Math.ceil(bytes.length / size) },
      (_, i) => bytes.slice(i * size, (i + 1) * size),
    );
    const signs: string[] = [];
    const events = await Array.fromAsync(readEvents(ReadableStream.from(parts), (id) => signs.push(id)));
    assert.deepEqual(events, [
      { type: "vm", data: '{"a":1}', id: "e-1" },
      { type: "resync", data: "é", id: "e-3" },
    ]);
    assert.deepEqual(signs, ["e-1", "e-2", "e-3"]);
  }
});

Deno.test("what makes an answer worth less than it looks is told once of each kind", async () => {
  const headers: Record<string, string> = {
    "x-virtx-stale": "7",
    "x-virtx-incomplete": "virt2 is not known",
  };
  await using host = serve(() => Response.json([], { headers }));
  const cautions: string[] = [];
  using server = new Server({
    endpoints: [host.url],
    signal: forever,
    headers: {},
    onCaution: (text) => cautions.push(text),
  });
  await server.request("GET", "/vms");
  await server.request("GET", "/hosts");
  assert.equal(server.incomplete, "virt2 is not known");
  assert.match(
    cautions.join("\n"),
    /^libvirt has been away for 7 s .*\nVMs may be missing: virt2 is not known$/,
  );
  delete headers["x-virtx-incomplete"];
  await server.request("GET", "/vms");
  assert.equal(server.incomplete, undefined);
});
