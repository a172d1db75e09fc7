import assert from "node:assert/strict";
import { showBody } from "../../../../lib/api/get_body.ts";
import { Cluster } from "../../../../lib/cli/server/cluster.ts";
import { Server } from "../../../../lib/cli/server/server.ts";
import { HostState, Runstate } from "../../../../lib/model/enums.ts";
import { VirtxError } from "../../../../lib/model/error.ts";
import { hostFilter, vmFilter } from "../../../support/prototype_filters.ts";
import { numberedUuid } from "../../../support/vm_info.ts";

const VM = numberedUuid(1);
const HOST = numberedUuid(2);

/** A host of the prototype: it decodes a body of every request, and says in plain text what is wrong (protocol.md §1). */
function prototype(answers: Readonly<Record<string, () => Response>>) {
  const asked: [request: string, body: unknown][] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    showBody(request);
    const { pathname, search } = new URL(request.url);
    const text = await request.text();
    const what = `${request.method} ${pathname}`;
    const answer = answers[what];
    if (answer === undefined) return new Response("404 page not found\n", { status: 404 });
    if (text === "") return new Response("failed to decode body\n", { status: 400 });
    asked.push([what + search, JSON.parse(text)]);
    return answer();
  });
  const endpoint = `http://127.0.0.1:${server.addr.port}`;
  const client = new Server({ endpoints: [endpoint], signal: new AbortController().signal, headers: {} });
  return {
    asked,
    endpoint,
    server: client,
    cluster: new Cluster(client),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await server.shutdown();
    },
  };
}

const LISTS = {
  "GET /vms": () =>
    Response.json({
      items: [{ uuid: VM, fields: { ...vmFilter().filter, name: "web1", host: HOST, runstate: 4 } }],
    }),
  "GET /hosts": () => Response.json({ items: null }),
};

async function failure(promise: Promise<unknown>): Promise<VirtxError> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof VirtxError, String(error));
  return error;
}

Deno.test("a host of the prototype is asked as it wants it, and its lists are read", async () => {
  await using host = prototype(LISTS);
  const [vm] = await host.cluster.vms();
  assert.deepEqual([vm?.name, vm?.host, vm?.runstate, vm?.cstate], [
    "web1",
    HOST,
    Runstate.running,
    HostState.active,
  ]);
  assert.deepEqual(await host.cluster.hosts(), []);
  assert.deepEqual(host.asked, [["GET /vms", { filter: {} }], ["GET /hosts", { filter: {} }]]);
});

Deno.test("filters go to a host of the prototype in the body, in its types", async () => {
  await using host = prototype(LISTS);
  await host.cluster.vms({
    name: "7",
    runstate: "running",
    vlanid: "7",
    "custom.name": "a",
    "custom.value": "1",
  });
  await host.cluster.hosts({ cstate: "failed", arch: "x86_64", memoryavailable: "512" });
  assert.deepEqual(host.asked.map(([, body]) => body), [
    { filter: { name: "7", runstate: 4, vlanid: 7, custom: { name: "a", value: "1" } } },
    { filter: { cstate: 3, cpuarch: { arch: "x86_64" }, memoryavailable: 512 } },
  ]);
  const known = { ...vmFilter().filter, ...hostFilter().filter };
  for (const [, body] of host.asked) {
    const { filter } = body as { filter: Readonly<Record<string, unknown>> };
    for (const field of Object.keys(filter)) assert.ok(Object.hasOwn(known, field), field);
  }
});

Deno.test("what the prototype does not know is not asked of it, as it would do something else", async () => {
  await using host = prototype(LISTS);
  await host.cluster.vms();
  const requests: [() => Promise<unknown>, RegExp][] = [
    [() => host.cluster.vms({ sort: "-name" }), /host of the prototype, which does not know "sort" of \/vms/],
    [() => host.cluster.vms({ limit: "3" }), /does not know "limit"/],
    [() => host.cluster.verdicts(VM, {}), /does not know "dry_run" of \/vms\/.*\/runstate\/migrate/],
    [() => host.cluster.operations(), /host of the prototype, which has no \/operations/],
    [
      () => host.server.follow("/events", () => Promise.resolve()),
      /host of the prototype, which has no \/events/,
    ],
  ];
  for (const [request, reason] of requests) {
    const error = await failure(request());
    assert.equal(error.kind, "unimplemented");
    assert.match(error.message, reason);
  }
  assert.ok(host.asked.every(([what]) => !what.includes("migrate")));
});

Deno.test("what a host of the prototype says in plain text is told as it is", async () => {
  await using host = prototype({
    ...LISTS,
    [`POST /vms/${VM}/runstate/pause`]: () => new Response("VM not running\n", { status: 422 }),
    [`DELETE /vms/${VM}/runstate/pause`]: () => new Response(null, { status: 204 }),
  });
  await host.cluster.vms();
  const error = await failure(host.cluster.change("POST", `/vms/${VM}/runstate/pause`, undefined));
  assert.equal(error.message, "HTTP status 422: VM not running");
  const { status } = await host.cluster.change("DELETE", `/vms/${VM}/runstate/pause`, undefined);
  assert.equal(status, 204);
  assert.deepEqual(host.asked.at(-1), [`DELETE /vms/${VM}/runstate/pause`, null]);
});
