import assert from "node:assert/strict";
import { Listeners } from "../../../lib/api/listen.ts";
import { apiFixture, HERE } from "../../support/api_fixture.ts";
import { vmFilter } from "../../support/prototype_filters.ts";
import { rawExchange, type RawResponse } from "../../support/raw_http.ts";
import { numberedUuid, vmInfo } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const UUID = numberedUuid(1);

/** A listening API with one running VM, and a way to talk to it byte by byte. */
async function listening() {
  const fixture = apiFixture();
  fixture.inventory.putVm(vmInfo({ uuid: UUID, name: "naïve", host: HERE }));
  const listeners = await Listeners.open(fixture.app, [{ hostname: "127.0.0.1", port: 0 }]);
  const port = Number(new URL(listeners.addresses[0] ?? "").port);
  return {
    ...fixture,
    send: (text: string, responses?: number, head = false) =>
      rawExchange({ port }, text, { head, ...(responses !== undefined && { responses }) }),
    [Symbol.asyncDispose]: () => listeners[Symbol.asyncDispose](),
  };
}

function request(line: string, body = "", headers: readonly string[] = []): string {
  const length = body === "" ? [] : [`Content-Length: ${body.length}`];
  return [`${line} HTTP/1.1`, "Host: localhost", ...headers, ...length, "", body].join("\r\n");
}

const JSON_HEADER = "Content-Type: application/json";

/** As the prototype's client sends everything: a JSON type and a body that ends with a newline. */
function likeGo(line: string, value: unknown): string {
  return request(line, JSON.stringify(value) + "\n", [JSON_HEADER, "Accept-Encoding: gzip"]);
}

function only(responses: readonly RawResponse[]): RawResponse {
  assert.equal(responses.length, 1);
  const [response] = responses;
  assert.ok(response);
  return response;
}

Deno.test("every answer with a body states its length in bytes and is neither chunked nor compressed", async () => {
  await using server = await listening();
  for (
    const path of [
      "/vms",
      `/vms/${UUID}/runstate`,
      "/hosts",
      "/healthz",
      "/openapi.json",
      "/docs",
      "/nowhere",
    ]
  ) {
    const response = only(await server.send(likeGo(`GET ${path}`, null), 1));
    assert.equal(response.headers.get("transfer-encoding"), undefined);
    assert.equal(response.headers.get("content-encoding"), undefined);
    assert.ok(Number(response.headers.get("content-length")) > 0, path);
    assert.equal(response.body.length, Number(response.headers.get("content-length")));
  }
});

Deno.test("204 has neither body nor length, other empty answers have the length 0", async () => {
  await using server = await listening();
  const changed = only(await server.send(likeGo("PUT /loglevel", { level: "info" }), 1));
  assert.equal(changed.status, 204);
  assert.equal(changed.headers.has("content-length") || changed.headers.has("transfer-encoding"), false);
  const registered = only(await server.send(likeGo(`PUT /vms/${UUID}/register`, { host: "" }), 1));
  assert.deepEqual([registered.status, registered.headers.get("content-length")], [200, "0"]);
});

Deno.test("the requests of the prototype's client work, one after the other on one connection", async () => {
  await using server = await listening();
  const created = only(await server.send(likeGo("POST /vms", { vmdef: SMALL_VMDEF, host: "" }), 1));
  assert.equal(created.status, 201);
  const path = `/vms/${JSON.parse(created.body)}`;
  const responses = await server.send(
    [
      likeGo("GET /vms", vmFilter()),
      likeGo(`GET ${path}`, null),
      likeGo(`POST ${path}/runstate/boot`, { cloud_init: null }),
      likeGo(`GET ${path}/runstate`, null),
      likeGo(`DELETE ${path}/runstate/boot`, { force: 2 }),
      likeGo(`DELETE ${path}`, { deletestorage: true }),
    ].join(""),
    6,
  );
  assert.deepEqual(responses.map((response) => response.status), [200, 200, 204, 200, 204, 204]);
  assert.equal(JSON.parse(responses[0]?.body ?? "").items.length, 2);
});

Deno.test("HEAD has the length of GET and no body", async () => {
  await using server = await listening();
  const get = only(await server.send(request("GET /vms"), 1));
  const [head, next] = await server.send(request("HEAD /vms") + request("HEAD /healthz"), 2, true);
  assert.equal(head?.headers.get("content-length"), get.headers.get("content-length"));
  assert.equal(next?.status, 200);
});

Deno.test("a chunked body is counted as it comes and cut off at 1 MiB", async () => {
  await using server = await listening();
  const chunk = `10000\r\n${" ".repeat(65536)}\r\n`;
  const head = request("POST /vms", "", [JSON_HEADER, "Transfer-Encoding: chunked"]);
  assert.equal(only(await server.send(head + chunk.repeat(17), 1)).status, 413);
  assert.equal(
    only(await server.send(request("POST /vms", "", [JSON_HEADER, "Content-Length: 1048577"]), 1)).status,
    413,
  );
});

Deno.test("requests that could be read in two ways are refused", async () => {
  await using server = await listening();
  const hidden = request("GET /healthz");
  for (
    const ambiguous of [
      request("POST /vms", "", ["Content-Length: 4", "Transfer-Encoding: chunked"]) + "0\r\n\r\n" + hidden,
      request("POST /vms", "", ["Content-Length: 4", "Content-Length: 5"]) + "null" + hidden,
      request("POST /vms", "", ["Transfer-Encoding: chunked, identity"]) + "0\r\n\r\n" + hidden,
      request("POST /vms", "", ["Content-Length: +4"]) + "null" + hidden,
      "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
      "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n",
    ]
  ) {
    const responses = await server.send(ambiguous);
    assert.deepEqual(responses.map((response) => response.status), [400], ambiguous.slice(0, 90));
  }
});

Deno.test("absurd requests get an answer in our shape, or none, and the server lives on", async () => {
  await using server = await listening();
  const statuses: (number | undefined)[] = [];
  for (
    const absurd of [
      request("FROB /vms"),
      request("get /vms"),
      request("TRACE /vms"),
      request("CONNECT localhost:80"),
      request("OPTIONS *"),
      request("GET http://evil.example/vms"),
      request(`GET /vms?name=${"a".repeat(60_000)}`),
      request(`GET /${"a".repeat(70_000)}`),
      request("GET /vms/%ff%fe"),
      request("GET /vms/\xff"),
      "\x16\x03\x01\x02\x00\x01",
      request("GET /healthz", "", ["X-Request-Id: \xff\xfe"]),
    ]
  ) {
    statuses.push(
      (await server.send(absurd + request("GET /healthz", "", ["Connection: close"])))[0]?.status,
    );
  }
  assert.deepEqual(statuses, [405, 405, 405, 405, 204, 403, 200, 400, 400, 400, 400, 200]);
  assert.equal(only(await server.send(request("GET /healthz"), 1)).status, 200);
});

Deno.test("a path is what it is: nothing in it is resolved", async () => {
  await using server = await listening();
  const answers = await server.send(
    request("GET /vms/../hosts") + request("GET /vms/..") + request("GET /./vms", "", ["Connection: close"]),
  );
  assert.deepEqual(answers.map(({ status }) => status), [404, 400, 404]);
});

Deno.test("a client that goes away does not stop what it asked for", async () => {
  await using server = await listening();
  const gate = Promise.withResolvers<void>();
  server.vms.gate = gate.promise;
  const body = JSON.stringify({ vmdef: { ...SMALL_VMDEF, name: "survivor" } });
  const asked = Promise.withResolvers<void>();
  const create = server.vms.create.bind(server.vms);
  server.vms.create = (options, uuid) => {
    asked.resolve();
    return create(options, uuid);
  };
  // Reads no answer: the connection is closed as soon as all is written.
  await server.send(request("POST /vms", body, [JSON_HEADER]), 0);
  await asked.promise;
  gate.resolve();
  const deadline = Date.now() + 10_000;
  const created = () => [...server.inventory.vms()].some((vm) => vm.name === "survivor");
  while (!created() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(created());
});
