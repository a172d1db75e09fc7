import assert from "node:assert/strict";
import { apiFixture, HERE } from "../../support/api_fixture.ts";
import { hostEntry, numberedUuid } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const UUID = numberedUuid(1);

async function problemOf(answer: Promise<Response>, status: number) {
  const response = await answer;
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  const problem = await response.json();
  assert.equal(problem.status, status);
  assert.equal(response.status, status);
  return problem;
}

/** The fields that a request is refused for. */
async function fieldsOf(answer: Promise<Response>): Promise<string[]> {
  const { errors } = await problemOf(answer, 400);
  return errors.map((error: { field: string }) => error.field);
}

/** Sends a body that JSON.stringify could not write. */
function send(body: BodyInit, headers: Record<string, string> = { "content-type": "application/json" }) {
  const { app } = apiFixture();
  return Promise.resolve(app.fetch(new Request("http://localhost/vms", { method: "POST", headers, body })));
}

Deno.test("a body of the wrong shape is refused with every field at fault", async () => {
  const fields = await fieldsOf(
    apiFixture().call("POST", "/vms", {
      vmdef: {
        ...SMALL_VMDEF,
        cpudef: { model: 7, cores: "2", extra: 1 },
        memory: { total: 1.5, hp: "no" },
        disks: [SMALL_VMDEF.osdisk, { bus: 9 }],
        firmware: 2,
        surprise: true,
      },
      host: "virt1",
      color: "red",
    }),
  );
  assert.deepEqual(fields.toSorted(), [
    "color",
    "host",
    "vmdef.cpudef.cores",
    "vmdef.cpudef.extra",
    "vmdef.cpudef.model",
    "vmdef.disks[1].bus",
    "vmdef.disks[1].path",
    "vmdef.firmware",
    "vmdef.memory.hp",
    "vmdef.memory.total",
    "vmdef.surprise",
  ]);
});

Deno.test("a body of the right shape is held to the model's rules", async () => {
  const vmdef = { ...SMALL_VMDEF, name: "x".repeat(33), genid: "yes", disks: [SMALL_VMDEF.osdisk] };
  const fields = await fieldsOf(apiFixture().call("POST", "/vms", { vmdef }));
  assert.deepEqual(fields.toSorted(), ["vmdef.disks[0].path", "vmdef.genid", "vmdef.name"]);
});

Deno.test("path, query and body are judged together", async () => {
  const fields = await fieldsOf(apiFixture().call("PUT", "/vms/ABC?dry=1", { vmdef: SMALL_VMDEF, x: 1 }));
  assert.deepEqual(fields, ["uuid", "dry", "x"]);
});

Deno.test("definitions like the prototype's samples are accepted, with null for what Go has not allocated", async () => {
  const fixture = apiFixture();
  const response = await fixture.call("POST", "/vms", {
    vmdef: {
      name: "sample",
      cpudef: { model: "host-passthrough", sockets: 2, cores: 1, threads: 1 },
      memory: { total: 4096, hp: false },
      osdisk: { path: "/vms/ds/sample.qcow2", device: 0, bus: 0, man: 1 },
      disks: [{ path: "/vms/ds/install.iso", device: 1, bus: 2, man: 0 }],
      nets: null,
      custom: null,
      firmware: 1,
      genid: "43DC0CF8-809B-4ADB-9BEA-A9ABB5F3D90E",
    },
    host: "",
  });
  assert.equal(response.status, 201);
  const { def } = await (await fixture.call("GET", `/vms/${await response.json()}`)).json();
  assert.deepEqual(def.numa, { placement: false });
  assert.deepEqual([def.osdisk.prov, def.osdisk.size, def.cpudef.nodes, def.nets], [0, 0, 1, []]);
  assert.equal(def.genid, "43dc0cf8-809b-4adb-9bea-a9abb5f3d90e");
});

Deno.test("keys that mean something to JavaScript are only unknown keys", async () => {
  const body = `{"vmdef":${JSON.stringify(SMALL_VMDEF)},"host":"","__proto__":{"host":"x"},"constructor":1}`;
  const { errors } = await problemOf(send(body), 400);
  assert.deepEqual(errors.map((error: { field: string }) => error.field), ["__proto__", "constructor"]);
  assert.equal(Object.hasOwn(Object.prototype, "host"), false);
});

Deno.test("of a key that is given twice the last counts, as in the prototype", async () => {
  const vmdef = JSON.stringify(SMALL_VMDEF).replace('"vlanid":0', '"vlanid":"x","vlanid":5');
  assert.equal((await send(`{"vmdef":${vmdef}}`)).status, 201);
});

Deno.test("what is not JSON or not UTF-8 is refused, however deep it nests", async () => {
  for (const body of ["{", "", "nul", '{"vmdef":}', "[".repeat(500_000)]) {
    assert.equal((await problemOf(send(body), 400)).title, "The request is not valid");
  }
  await problemOf(send(new Uint8Array([0x22, 0xff, 0xfe, 0x22])), 400);
  await problemOf(send("[".repeat(400_000) + "]".repeat(400_000)), 400);
});

Deno.test("a flood of unknown keys gets a short answer", async () => {
  const body = JSON.stringify(
    Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`k${at}`.repeat(5), 0])),
  );
  const { errors } = await problemOf(send(body), 400);
  assert.equal(errors.length, 100);
});

Deno.test("only application/json is read", async () => {
  const body = JSON.stringify({ vmdef: SMALL_VMDEF });
  for (
    const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/jsonp",
      "multipart/form-data",
    ]
  ) {
    await problemOf(send(body, { "content-type": type }), 415);
  }
  assert.equal((await send(body, { "content-type": "application/json; charset=utf-8" })).status, 201);
  assert.equal((await send(body, { "content-type": "Application/JSON" })).status, 201);
});

Deno.test("a body may have 1 MiB, whether its length is stated or not", async () => {
  const json = JSON.stringify({ vmdef: SMALL_VMDEF });
  const fits = new Uint8Array(1024 * 1024).fill(0x20);
  new TextEncoder().encodeInto(json, fits);
  assert.equal((await send(fits)).status, 201);
  const chunked = (size: number) =>
    new ReadableStream({
      start(controller) {
        for (let sent = 0; sent < size; sent += 65536) {
          controller.enqueue(new Uint8Array(Math.min(65536, size - sent)).fill(0x20));
        }
        controller.close();
      },
    });
  await problemOf(send(chunked(fits.length + 1)), 413);
  await problemOf(send(new Uint8Array(fits.length + 1).fill(0x20)), 413);
});

Deno.test("query parameters are known, given once, and in range", async () => {
  const { call } = apiFixture();
  assert.deepEqual(
    await fieldsOf(call("GET", "/vms?nmae=x&name=a&name=b&vlanid=4095&runstate=__proto__&limit=0")),
    [
      "nmae",
      "name",
      "runstate",
      "vlanid",
      "limit",
    ],
  );
  assert.deepEqual(await fieldsOf(call("GET", "/vms?custom.value=x")), ["custom.value"]);
  assert.deepEqual(await fieldsOf(call("GET", "/vms?vlanid=1e3")), ["vlanid"]);
  assert.deepEqual(await fieldsOf(call("GET", "/hosts?sort=color&cstate=5")), ["cstate", "sort"]);
  assert.deepEqual(await fieldsOf(call("GET", "/vms?cursor=abc")), ["cursor"]);
  assert.deepEqual(await fieldsOf(call("GET", `/vms/${UUID}/runstate?x`)), ["x"]);
});

Deno.test("UUIDs are taken in either case, wherever they stand, and nothing else is", async () => {
  const { call, vms, inventory } = apiFixture();
  const lower = "abcdef00-0000-4000-8000-000000000001";
  const upper = lower.toUpperCase();
  await vms.create({ vmdef: SMALL_VMDEF, host: "" }, lower);
  inventory.putHost(hostEntry({ uuid: "abcdef00-0000-4000-8000-0000000000ff" }));
  for (const path of ["", "/runstate"]) assert.equal((await call("GET", `/vms/${upper}${path}`)).status, 200);
  assert.equal((await call("GET", "/hosts/ABCDEF00-0000-4000-8000-0000000000FF")).status, 200);
  assert.equal((await call("POST", `/vms/${upper}/runstate/boot`)).status, 204);
  const listed = await (await call("GET", `/vms?host=${HERE.toUpperCase()}`)).json();
  assert.deepEqual(listed.items.map(({ uuid }: { uuid: string }) => uuid), [lower]);
  const vmdef = { ...SMALL_VMDEF, genid: upper };
  const created = await call("POST", "/vms", { vmdef, host: HERE.toUpperCase() });
  assert.equal(created.status, 201);
  const { def } = await (await call("GET", `/vms/${await created.json()}`)).json();
  assert.equal(def.genid, lower);
  for (const uuid of ["1", "%00", "..%2f..", "%ff", `${UUID}x`, `{${UUID}}`]) {
    assert.deepEqual(await fieldsOf(call("GET", `/vms/${uuid}/runstate`)), ["uuid"], uuid);
  }
  await problemOf(call("GET", `/vms/${UUID}/runstate`), 404);
});
