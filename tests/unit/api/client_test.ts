import assert from "node:assert/strict";
import { ApiClient } from "../../../lib/api/client.ts";
import { Listeners } from "../../../lib/api/listen.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { type ApiFixture, apiFixture } from "../../support/api_fixture.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

/** A client of an API that listens on a port of its own. */
async function connected(fixture: ApiFixture = apiFixture()) {
  const stack = new AsyncDisposableStack();
  const listeners = stack.use(await Listeners.open(fixture.app, [{ hostname: "127.0.0.1", port: 0 }]));
  const client = stack.use(new ApiClient({ address: listeners.addresses[0] ?? "" }));
  return { ...fixture, client, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function failure(promise: Promise<unknown>): Promise<VirtxError> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof VirtxError, String(error));
  return error;
}

Deno.test("an answer comes with its status, headers and body, if it has one", async () => {
  await using api = await connected();
  const created = await api.client.request("POST", "/vms", { vmdef: SMALL_VMDEF });
  assert.equal(created.status, 201);
  assert.equal(created.headers.get("location"), `/vms/${created.body}`);
  const deleted = await api.client.request("DELETE", `/vms/${created.body}`, null);
  assert.deepEqual([deleted.status, deleted.body], [204, undefined]);
});

Deno.test("a failure arrives as the error that the server threw", async () => {
  await using api = await connected();
  const libvirt = { code: 38, domain: 7, level: 2, message: "cannot access" };
  for (
    const kind of ["conflict", "refused", "unavailable", "timeout", "storage", "loop", "internal"] as const
  ) {
    api.vms.obstacle = new VirtxError(kind, `Cannot: ${kind}`, { libvirt, retryAfterS: 3 });
    const error = await failure(api.client.request("POST", "/vms", { vmdef: SMALL_VMDEF }));
    assert.equal(error.kind, kind);
    if (kind === "internal") continue;
    assert.equal(error.message, `Cannot: ${kind}`);
    assert.deepEqual([error.libvirt, error.retryAfterS], [libvirt, 3]);
  }
  const invalid = await failure(api.client.request("POST", "/vms", { vmdef: { ...SMALL_VMDEF, name: "" } }));
  assert.deepEqual(invalid.issues, [{ field: "vmdef.name", message: "must not be empty" }]);
});

Deno.test("an answer of another program is told by its status", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("vm not running\n", { status: 422 }),
  );
  using client = new ApiClient({ address: `http://127.0.0.1:${server.addr.port}` });
  const error = await failure(client.request("GET", "/vms"));
  assert.deepEqual([error.kind, error.message], ["conflict", "HTTP status 422: vm not running"]);
});

Deno.test("no listener is unreachable, no answer in time a timeout, an abort the caller's own", async () => {
  const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `http://127.0.0.1:${gone.addr.port}`;
  gone.close();
  using nobody = new ApiClient({ address });
  const unreachable = await failure(nobody.request("GET", "/vms"));
  assert.equal(unreachable.kind, "unreachable");
  assert.match(unreachable.message, new RegExp(`^Cannot GET /vms at ${address}: `));

  await using api = await connected();
  const gate = Promise.withResolvers<void>();
  api.vms.gate = gate.promise;
  const path = "/vms/00000000-0000-4000-8000-000000000001";
  assert.equal(
    (await failure(api.client.request("GET", path, undefined, { timeoutMs: 20 }))).kind,
    "timeout",
  );
  const reason = new Error("changed my mind");
  const signal = AbortSignal.abort(reason);
  await assert.rejects(api.client.request("GET", path, undefined, { signal }), reason);
  gate.resolve();
});
