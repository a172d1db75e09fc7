import assert from "node:assert/strict";
import { type ErrorKind, VirtxError } from "../../../lib/model/error.ts";
import { apiFixture } from "../../support/api_fixture.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const UUID = numberedUuid(1);
const CREATE = { vmdef: SMALL_VMDEF, host: "" };

Deno.test("each kind of failure has the status of the protocol", async () => {
  const statuses: Record<ErrorKind, number> = {
    invalid: 400,
    denied: 403,
    not_found: 404,
    cancelled: 409,
    duplicate: 409,
    stale: 412,
    conflict: 422,
    refused: 424,
    internal: 500,
    unimplemented: 501,
    unreachable: 502,
    unavailable: 503,
    timeout: 504,
    storage: 507,
    loop: 508,
  };
  for (const [kind, status] of Object.entries(statuses) as [ErrorKind, number][]) {
    const { call, vms } = apiFixture();
    vms.obstacle = new VirtxError(kind, "Cannot do it");
    const response = await call("POST", "/vms", CREATE);
    assert.equal(response.status, status);
    assert.equal((await response.json()).type, `urn:virtx:problem:${kind}`);
  }
});

Deno.test("a failure says what libvirt said, when to try again, and which request it was", async () => {
  const { call, vms, lines } = apiFixture();
  const libvirt = { code: 38, domain: 7, level: 2, message: "cannot access" };
  vms.obstacle = new VirtxError("unavailable", 'Cannot create VM "small"', { libvirt, retryAfterS: 4.2 });
  const response = await call("POST", "/vms", CREATE, { "x-request-id": "mine-1" });
  assert.equal(response.headers.get("retry-after"), "5");
  assert.equal(response.headers.get("x-request-id"), "mine-1");
  assert.deepEqual(await response.json(), {
    type: "urn:virtx:problem:unavailable",
    title: "What the request needs is away",
    status: 503,
    detail: 'Cannot create VM "small"',
    instance: "urn:virtx:request:mine-1",
    libvirt,
  });
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.level, "warn");
  assert.equal(lines[0]?.fields["request"], "mine-1");
});

Deno.test("a defect is logged with its stack and answered without any of it", async () => {
  for (const defect of [new TypeError("secret is undefined"), new VirtxError("internal", "secret state")]) {
    const { call, vms, lines } = apiFixture();
    vms.obstacle = defect;
    const response = await call("POST", "/vms", CREATE);
    assert.equal(response.status, 500);
    assert.doesNotMatch(await response.text(), /secret/);
    assert.equal(lines[0]?.level, "error");
    assert.match(String(lines[0]?.fields["error"]), /secret[^]*memory_vms|secret[^]*http_test/);
  }
});

Deno.test("changes and failures are logged at info, reads that go well only at debug", async () => {
  const { call, lines } = apiFixture();
  await call("GET", "/vms");
  await call("GET", "/vms/nonsense");
  await call("POST", "/vms", CREATE);
  assert.deepEqual(lines.map((line) => [line.level, line.fields["op"], line.fields["status"]]), [
    ["info", "VmGet", 400],
    ["info", "VmCreate", 201],
  ]);
  await call("PUT", "/loglevel", { level: "debug" });
  await call("GET", "/vms");
  assert.deepEqual(lines.at(-1)?.level, "debug");
});

Deno.test("an id is taken over if it is harmless, and made for all that is logged", async () => {
  const { call } = apiFixture();
  const idOf = async (path: string, sent: string) =>
    (await call("GET", path, undefined, { "x-request-id": sent })).headers.get("x-request-id");
  assert.equal(await idOf("/healthz", "a-1._B"), "a-1._B");
  assert.equal(await idOf(`/vms/${UUID}/runstate`, "a-1._B"), "a-1._B");
  const made = await Promise.all(
    ["a b", "x".repeat(65), "<script>", ""].map((sent) => idOf("/nowhere", sent)),
  );
  assert.equal(new Set(made).size, 4);
  for (const id of made) assert.match(id ?? "", /^[0-9a-f]{8}-[0-9a-z]+$/);
  assert.equal(await idOf("/healthz", "a b"), null);
});

Deno.test("answers with text in them are not kept and not guessed at", async () => {
  const { call } = apiFixture();
  for (const path of ["/healthz", "/nowhere", `/vms/${UUID}`, "/docs"]) {
    const { headers } = await call("GET", path);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("cache-control"), "no-store");
  }
  const { headers } = await call("GET", "/vms");
  assert.deepEqual([headers.get("cache-control"), headers.get("x-content-type-options")], [
    "no-cache",
    "nosniff",
  ]);
});

Deno.test("an unknown path answers 404, a known one with another method 405 and what it allows", async () => {
  const { call } = apiFixture();
  for (
    const path of ["/vm", "/vms/", `/vms/${UUID}/`, `/vms/${UUID}/runstate/x`, "//vms", "/vms/a/b/c/d"]
  ) {
    const response = await call("GET", path);
    assert.equal(response.status, 404, path);
    const { type, detail } = await response.json();
    assert.deepEqual([type, /\/docs tells which there are/.test(detail)], [
      "urn:virtx:problem:no_such_path",
      true,
    ]);
  }
  const root = await call("GET", "/");
  assert.deepEqual([root.status, root.headers.get("location")], [302, "docs"]);
  const response = await call("PATCH", `/vms/${UUID}`, {});
  assert.equal(response.status, 405);
  assert.equal(response.headers.get("allow"), "GET, PUT, DELETE, HEAD, OPTIONS");
  assert.equal((await call("POST", "/healthz")).headers.get("allow"), "GET, HEAD, OPTIONS");
});

Deno.test("OPTIONS tells what a path allows", async () => {
  const { call } = apiFixture();
  const response = await call("OPTIONS", `/vms/${UUID}/runstate/boot`);
  assert.equal(response.status, 204);
  assert.equal(response.headers.get("allow"), "POST, DELETE, OPTIONS");
});

Deno.test("HEAD answers as GET does, without the body", async () => {
  const { call } = apiFixture();
  for (const path of ["/vms", "/healthz", "/openapi.json", "/docs"]) {
    const [get, head] = [await call("GET", path), await call("HEAD", path)];
    assert.equal(head.status, 200);
    assert.equal(head.body, null);
    for (const name of ["content-type", "etag"]) {
      assert.equal(head.headers.get(name), get.headers.get(name), `${path} ${name}`);
    }
    assert.equal(Number(head.headers.get("content-length")), (await get.arrayBuffer()).byteLength);
  }
  assert.equal((await call("HEAD", `/vms/${UUID}`)).status, 404);
});
