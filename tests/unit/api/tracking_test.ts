import assert from "node:assert/strict";
import { until } from "../../../scripts/lab/until.ts";
import { HostState } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { isUuid } from "../../../lib/model/uuid.ts";
import { newIdOfHost } from "../../../lib/model/host_id.ts";
import { ApiCluster, type ApiHost } from "../../support/api_cluster.ts";
import { apiFixture } from "../../support/api_fixture.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const CREATE = { vmdef: SMALL_VMDEF, host: "" };

/** Holds the next operations until it is opened. */
function gate(host: { vms: { gate: Promise<void> } }): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  host.vms.gate = promise;
  return resolve;
}

function operationOf(response: Response): string {
  const id = response.headers.get("x-virtx-operation") ?? "";
  assert.ok(isUuid(id), id);
  return id;
}

Deno.test("each change has an operation that can be looked up, whether it went well or not; reads have none", async () => {
  const { call, vms } = apiFixture();
  const created = await call("POST", "/vms", CREATE);
  const uuid = await created.json();
  const { started, ended, ...operation } = await (await call("GET", `/operations/${operationOf(created)}`))
    .json();
  const host = operation.host;
  assert.deepEqual(operation, {
    id: operationOf(created),
    op: "VmCreate",
    vm: uuid,
    host,
    state: "completed",
    result: uuid,
  });
  assert.ok(started > 0 && ended >= started);

  vms.obstacle = new VirtxError("conflict", "Cannot boot: no");
  const failed = await call("POST", `/vms/${uuid}/runstate/boot`, null);
  const told = await (await call("GET", `/operations/${operationOf(failed)}`)).json();
  assert.deepEqual([told.state, told.error.status, told.error.detail], ["failed", 422, "Cannot boot: no"]);
  assert.equal(told.error.instance, `urn:virtx:operation:${told.id}`);

  vms.obstacle = undefined;
  assert.equal((await call("GET", `/vms/${uuid}`)).headers.get("x-virtx-operation"), null);
  assert.equal((await call("GET", `/operations/${numberedUuid(1)}`)).status, 404);
});

Deno.test("nothing is told of a defect, and its log line names the operation", async () => {
  const { call, vms, lines } = apiFixture();
  vms.obstacle = new TypeError("secret");
  const response = await call("POST", "/vms", CREATE);
  const id = operationOf(response);
  assert.doesNotMatch(await (await call("GET", `/operations/${id}`)).text(), /secret/);
  assert.equal(lines[0]?.fields["operation"], id);
});

Deno.test("who prefers it is answered at once, and finds what became of it", async () => {
  const fixture = apiFixture();
  const open = gate(fixture);
  const response = await fixture.call("POST", "/vms", CREATE, {
    prefer: "return=minimal, Respond-Async; x=1",
  });
  assert.equal(response.status, 202);
  const id = operationOf(response);
  assert.equal(response.headers.get("location"), `/operations/${id}`);
  assert.equal(response.headers.get("preference-applied"), "respond-async");
  const begun = await response.json();
  assert.deepEqual([begun.state, begun.ended], ["running", 0]);
  const listed = await (await fixture.call("GET", "/operations?state=running")).json();
  assert.deepEqual(listed, { items: [begun], missing: [] });
  open();
  await new Promise((resolve) => setTimeout(resolve, 5));
  const ended = await (await fixture.call("GET", `/operations/${id}`)).json();
  assert.deepEqual([ended.state, ended.result], ["completed", begun.vm]);
  assert.ok(fixture.inventory.vm(begun.vm));
});

Deno.test("with wait, only what takes longer is answered with 202", async () => {
  const fixture = apiFixture();
  const prefer = { prefer: "respond-async, wait=60" };
  assert.equal((await fixture.call("POST", "/vms", CREATE, prefer)).status, 201);
  fixture.vms.obstacle = new VirtxError("storage", "Cannot");
  assert.equal((await fixture.call("POST", "/vms", CREATE, prefer)).status, 507);
  assert.equal((await fixture.call("POST", "/vms", CREATE, { prefer: "wait=60" })).status, 507);
});

Deno.test("the same request ten times at once with one key is carried out once and answered alike", async () => {
  await using cluster = await ApiCluster.start(3);
  const [a, b, c] = [cluster.host(0), cluster.host(1), cluster.host(2)];
  const open = gate(c);
  const body = { ...CREATE, host: c.uuid };
  const init = { headers: { "idempotency-key": '"0ff1ce"' } };
  const asked = Array.from({ length: 10 }, (_, at) => [a, b, c][at % 3]?.send("POST", "/vms", body, init));
  open();
  const answers = await Promise.all(asked.map(async (asking) => {
    const response = await asking;
    assert.ok(response);
    return [response.status, await response.json(), operationOf(response), response.headers.get("location")];
  }));
  assert.equal(answers[0]?.[0], 201);
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
  assert.equal([...c.inventory.claimsOf(c.uuid)].length, 1);
  const later = await b.send("POST", "/vms", body, init);
  assert.deepEqual([later.status, await later.json()], [201, answers[0]?.[1]]);
});

Deno.test("a key with another body, path or method is refused with 422; one that is no key with 400", async () => {
  const { call } = apiFixture();
  const key = { "idempotency-key": "k1" };
  const created = await call("POST", "/vms", CREATE, key);
  const uuid = await created.json();
  const others: [string, string, unknown][] = [
    ["POST", "/vms", { ...CREATE, vmdef: { ...SMALL_VMDEF, name: "other" } }],
    ["DELETE", `/vms/${uuid}`, null],
    ["POST", `/vms/${uuid}/runstate/boot`, null],
  ];
  for (const [method, path, body] of others) {
    const response = await call(method, path, body, key);
    assert.equal(response.status, 422);
    assert.match((await response.json()).detail, new RegExp(operationOf(created)));
  }
  for (const wrong of ["", '""', "a b", "x".repeat(201)]) {
    const response = await call("POST", "/vms", CREATE, { "idempotency-key": wrong });
    assert.deepEqual([response.status, (await response.json()).errors[0].field], [400, "Idempotency-Key"]);
  }
});

Deno.test("what failed is tried again with the same key, for its cause may be gone", async () => {
  const { call, vms } = apiFixture();
  const key = { "idempotency-key": "k1" };
  vms.obstacle = new VirtxError("unavailable", "libvirt is away");
  assert.equal((await call("POST", "/vms", CREATE, key)).status, 503);
  vms.obstacle = new VirtxError("storage", "no space");
  assert.equal((await call("POST", "/vms", CREATE, key)).status, 507);
  vms.obstacle = undefined;
  assert.equal((await call("POST", "/vms", CREATE, key)).status, 201);
  vms.obstacle = new VirtxError("storage", "no space");
  assert.equal((await call("POST", "/vms", CREATE, key)).status, 201);
});

Deno.test("any host tells of an operation of any host, and lists those of all", async () => {
  await using cluster = await ApiCluster.start(3);
  const ids: string[] = [];
  for (const host of cluster.hosts) {
    const created = await cluster.host(0).send("POST", "/vms", { ...CREATE, host: host.uuid });
    ids.push(operationOf(created));
    await created.body?.cancel();
  }
  cluster.gossip();
  const list = async (host: ApiHost, query = "") =>
    await (await host.send("GET", `/operations${query}`)).json();
  for (const host of cluster.hosts) {
    for (const [at, id] of ids.entries()) {
      const operation = await (await host.send("GET", `/operations/${id}`)).json();
      assert.deepEqual([operation.id, operation.host], [id, cluster.host(at).uuid]);
    }
    const { items, missing } = await list(host);
    assert.deepEqual(items.map(({ id }: { id: string }) => id).sort(), ids.toSorted());
    assert.deepEqual(missing, []);
    assert.equal((await list(host, "?limit=2")).items.length, 2);
    assert.deepEqual(
      (await list(host, `?host=${cluster.host(2).uuid}`)).items.map((item: { id: string }) => item.id),
      [
        ids[2],
      ],
    );
  }
  await cluster.host(1).stop();
  const { items, missing } = await list(cluster.host(0));
  assert.equal(items.length, 2);
  assert.deepEqual(missing.map(({ name }: { name: string }) => name), ["virt2"]);
  assert.match(missing[0].reason, /Connection refused/);
  cluster.turn(1, HostState.failed);
  assert.deepEqual((await list(cluster.host(0))).missing, []);
  const gone = await cluster.host(0).send("GET", `/operations/${ids[1]}`);
  assert.deepEqual([gone.status, /"virt2" is not active/.test((await gone.json()).detail)], [503, true]);
});

Deno.test("Prefer passes to the host that does it, and its operation's id comes back", async () => {
  await using cluster = await ApiCluster.start(2);
  const [a, b] = [cluster.host(0), cluster.host(1)];
  const open = gate(b);
  const response = await a.send("POST", "/vms", { ...CREATE, host: b.uuid }, {
    headers: { prefer: "respond-async", "x-virtx-operation": newIdOfHost(b.uuid) },
  });
  assert.equal(response.status, 202);
  const { id, host } = await response.json();
  assert.deepEqual([id, host, response.headers.get("location")], [
    operationOf(response),
    b.uuid,
    `/operations/${id}`,
  ]);
  open();
});

Deno.test("a change whose answer is lost on the way can still be looked up", async () => {
  await using cluster = await ApiCluster.start(2);
  const [a, b] = [cluster.host(0), cluster.host(1)];
  const open = gate(b);
  const asked = a.send("POST", "/vms", { ...CREATE, host: b.uuid });
  while (b.operations.list({ limit: 1 }).length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  cluster.turn(1, HostState.failed);
  const response = await asked;
  assert.equal(response.status, 503);
  await response.body?.cancel();
  cluster.turn(1, HostState.active);
  open();
  await new Promise((resolve) => setTimeout(resolve, 5));
  const operation = await (await a.send("GET", `/operations/${operationOf(response)}`)).json();
  assert.equal(operation.state, "completed");
});

Deno.test("while storage hangs, what needs it is not begun; what was begun before goes on, and who waits is told so", async () => {
  let hangs = false;
  const { promise: hung, reject } = Promise.withResolvers<never>();
  hung.catch(() => {});
  const reason = 'storage "/vms" has not answered for 8 s';
  const { call, vms, operations } = apiFixture({
    storage: {
      refusal: () => hangs ? new VirtxError("unavailable", reason, { retryAfterS: 10 }) : undefined,
      whileAnswering: (task, describe = String) =>
        Promise.race([
          task,
          hung.catch(() => {
            throw new VirtxError("timeout", describe(reason));
          }),
        ]),
    },
  });
  const open = gate({ vms });
  const waiting = call("POST", "/vms", CREATE, { "idempotency-key": '"once"' });
  await until("the operation to begin", () => operations.list({ limit: 1 })[0], 10_000);
  hangs = true;
  reject(new Error("the storage hangs"));
  const told = await waiting;
  const id = operationOf(told);
  assert.equal(told.status, 504);
  assert.equal(
    (await told.json()).detail,
    `VmCreate is not done yet: ${reason}; operation ${id} goes on when it does`,
  );
  assert.equal(operations.get(id)?.state, "running");

  const refused = await call("POST", "/vms", CREATE, { prefer: "respond-async" });
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "10"]);
  assert.equal((await refused.json()).detail, `Cannot carry VmCreate out: ${reason}`);
  assert.equal(operations.list({ limit: 10 }).length, 1);

  hangs = false;
  open();
  const again = await call("POST", "/vms", CREATE, { "idempotency-key": '"once"', prefer: "respond-async" });
  assert.equal(operationOf(again), id);
  assert.equal((await call("GET", `/operations/${id}`).then((it) => it.json())).state, "completed");
});
