import assert from "node:assert/strict";
import { isUuid } from "../../../lib/model/uuid.ts";
import { newIdOfHost } from "../../../lib/model/host_id.ts";
import { ApiCluster } from "../../support/api_cluster.ts";
import { type ApiFixture, apiFixture, HERE } from "../../support/api_fixture.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const CREATE = { vmdef: SMALL_VMDEF, host: "" };
const LIVE = { host: numberedUuid(2000), migration_type: 1 };
const ASYNC = { prefer: "respond-async" };

function operationOf(response: Response): string {
  const id = response.headers.get("x-virtx-operation") ?? "";
  assert.ok(isUuid(id), id);
  return id;
}

async function operation({ call }: ApiFixture, id: string) {
  return await (await call("GET", `/operations/${id}`)).json();
}

/** A host with a VM, whose migrations begin, and end as the test wants. */
async function migrating() {
  const fixture = apiFixture();
  const vm = await (await fixture.call("POST", "/vms", CREATE)).json();
  const { promise, resolve, reject } = Promise.withResolvers<{ host: string }>();
  promise.catch(() => {});
  fixture.vms.migrationEnd = promise;
  const migrate = (headers = {}) => fixture.call("POST", `/vms/${vm}/runstate/migrate`, LIVE, headers);
  return { ...fixture, migrate, resolve, reject };
}

Deno.test("a creation that is under way is cancelled: that is told to who asks for it, and to who waits", async () => {
  const fixture = apiFixture();
  fixture.vms.gate = new Promise(() => {});
  const waiting = fixture.call("POST", "/vms", CREATE);
  const begun = await fixture.call("POST", "/vms", CREATE, ASYNC);
  const response = await fixture.call("DELETE", `/operations/${operationOf(begun)}`, null);
  assert.equal(response.status, 200);
  const cancelled = await response.json();
  assert.deepEqual([cancelled.id, cancelled.state, cancelled.error.status], [
    operationOf(begun),
    "cancelled",
    409,
  ]);
  assert.ok(cancelled.ended > 0);
  const listed = await (await fixture.call("GET", "/operations?state=cancelled")).json();
  assert.deepEqual(listed.items, [cancelled]);

  const [other] = (await (await fixture.call("GET", "/operations?state=running")).json()).items;
  assert.equal((await fixture.call("DELETE", `/operations/${other.id}`)).status, 200);
  const refused = await waiting;
  assert.deepEqual([refused.status, (await refused.json()).type], [409, "urn:virtx:problem:cancelled"]);
});

Deno.test("what cannot be cancelled is refused, with the reason", async () => {
  const fixture = apiFixture();
  const cancel = async (id: string) => {
    const response = await fixture.call("DELETE", `/operations/${id}`);
    return [response.status, (await response.json()).detail];
  };
  const done = await fixture.call("POST", "/vms", CREATE);
  assert.match((await cancel(operationOf(done))).join(" "), /^422 .*has ended already \(completed\)/);
  const { promise, resolve } = Promise.withResolvers<void>();
  fixture.vms.gate = promise;
  const boot = await fixture.call("POST", `/vms/${await done.json()}/runstate/boot`, null, ASYNC);
  assert.match((await cancel(operationOf(boot))).join(" "), /^422 .*VmBoot cannot be cancelled/);
  resolve();
  assert.match((await cancel(newIdOfHost(HERE))).join(" "), /^404 .*no host knows it/);
});

Deno.test("any host cancels an operation of any host", async () => {
  await using cluster = await ApiCluster.start(3);
  const [a, b, c] = [cluster.host(0), cluster.host(1), cluster.host(2)];
  b.vms.gate = new Promise(() => {});
  const begun = await a.send("POST", "/vms", { ...CREATE, host: b.uuid }, { headers: ASYNC });
  await begun.body?.cancel();
  const response = await c.send("DELETE", `/operations/${operationOf(begun)}`);
  assert.deepEqual([response.status, (await response.json()).state], [200, "cancelled"]);
  assert.equal(response.headers.get("x-virtx-operation"), null);
  assert.equal(b.operations.list({ state: "cancelled", limit: 10 }).length, 1);
});

Deno.test("a migration is answered when it has begun, and its operation lasts until it has ended", async () => {
  for (const headers of [{}, ASYNC, { prefer: "respond-async, wait=60" }]) {
    const fixture = await migrating();
    const response = await fixture.migrate(headers);
    assert.equal(response.status, 202);
    const id = operationOf(response);
    assert.equal((await operation(fixture, id)).state, "running");
    fixture.resolve({ host: LIVE.host });
    await fixture.operations.cancel(id).catch(() => {}); // is too late, but waits
    const { state, result } = await operation(fixture, id);
    assert.deepEqual([state, result], ["completed", { host: LIVE.host }]);
  }
});

Deno.test("a migration that cannot begin is refused at once", async () => {
  const fixture = await migrating();
  fixture.vms.migrationEnd = undefined;
  const response = await fixture.migrate();
  assert.equal(response.status, 503);
  assert.equal((await operation(fixture, operationOf(response))).state, "failed");
});

Deno.test("a migration is asked for twice with one key: while it goes on, and when it is over", async () => {
  const fixture = await migrating();
  const key = { "idempotency-key": "k" };
  const first = await fixture.migrate(key);
  const again = await fixture.migrate(key);
  assert.deepEqual([again.status, operationOf(again)], [202, operationOf(first)]);
  fixture.resolve({ host: LIVE.host });
  const over = await fixture.migrate(key);
  assert.deepEqual([over.status, operationOf(over)], [202, operationOf(first)]);
});

Deno.test("a migration that is cancelled has its operation cancelled", async () => {
  const fixture = await migrating();
  const response = await fixture.migrate();
  const cancelled = await fixture.call("DELETE", `/operations/${operationOf(response)}`);
  assert.equal(cancelled.status, 200);
  assert.equal((await operation(fixture, operationOf(response))).state, "cancelled");
});

Deno.test("the progress of what is under way is told, and of nothing else", async () => {
  const { call, operations } = apiFixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  const progress = { total: 64, done: 16, rate: 8.5, timeleft: 6_000 };
  const run = operations.run(
    { id: newIdOfHost(HERE), op: "VmMigrate", vm: numberedUuid(1) },
    async (control) => {
      control.follow(() => progress);
      control.begun();
      await promise;
    },
  );
  await run.goesOn;
  const get = async () => await (await call("GET", `/operations/${run.operation.id}`)).json();
  assert.deepEqual((await get()).progress, progress);
  resolve();
  await run.done;
  assert.equal((await get()).progress, undefined);
});
