import assert from "node:assert/strict";
import { apiFixture } from "../../support/api_fixture.ts";

const LOOPBACK = { loopback: true, client: () => "127.0.0.1" };
const NETWORK = { loopback: false, client: () => "192.0.2.7" };

/** The status of a change (that changes nothing) or, with GET, a read. */
async function statusOf(
  host: string,
  headers: Record<string, string> = {},
  connection = NETWORK,
  method = "PUT",
): Promise<number> {
  const { app } = apiFixture({ hostNames: ["virtx.example.com"] });
  const body = method === "GET" ? {} : { body: JSON.stringify({ level: "info" }) };
  const init = { method, headers: { "content-type": "application/json", ...headers }, ...body };
  return (await app.fetch(new Request(`http://${host}/loglevel`, init), connection)).status;
}

Deno.test("programs may call by any name, except on loopback", async () => {
  assert.equal(await statusOf("anything.example:8080"), 204);
  assert.equal(await statusOf("anything.example:8080", {}, LOOPBACK), 403);
});

Deno.test("on loopback the Host is a name that only this machine has: DNS rebinding gets nowhere", async () => {
  const evil = [
    "evil.example",
    "localhost.evil.example:8080",
    "127.0.0.1.evil.example",
    "virt1.evil.example",
    "1.2.3.4x",
  ];
  for (const method of ["GET", "PUT"]) {
    for (const host of ["localhost:8080", "127.0.0.1", "[::1]:8080", "virt1:8080", "VIRTX.example.com"]) {
      assert.equal(await statusOf(host, {}, LOOPBACK, method), method === "GET" ? 200 : 204, host);
    }
    for (const host of evil) assert.equal(await statusOf(host, {}, LOOPBACK, method), 403, host);
  }
});

Deno.test("pages of other sites can change nothing", async () => {
  const host = "192.0.2.1:8080";
  for (
    const origin of ["http://evil.example", "null", "http://192.0.2.1:9999", "https://evil.example:8080", ""]
  ) {
    assert.equal(await statusOf(host, { origin }), 403, origin);
  }
  assert.equal(await statusOf(host, { origin: `http://${host}` }), 204);
  assert.equal(await statusOf(host, { "sec-fetch-site": "cross-site" }), 403);
  assert.equal(await statusOf(host, { "sec-fetch-site": "same-site" }), 403);
  assert.equal(await statusOf(host, { "sec-fetch-site": "same-origin" }), 204);
});

Deno.test("pages of other sites may ask, but no answer lets them read it", async () => {
  const { app } = apiFixture();
  for (const method of ["GET", "OPTIONS"]) {
    const headers = { "origin": "http://evil.example", "access-control-request-method": "POST" };
    const response = await app.fetch(new Request("http://192.0.2.1:8080/vms", { method, headers }), NETWORK);
    assert.ok(response.ok);
    assert.deepEqual([...response.headers.keys()].filter((name) => name.startsWith("access-control")), []);
  }
});

Deno.test("a page of a rebound name is refused even where it is its own origin", async () => {
  assert.equal(await statusOf("evil.example:8080", { origin: "http://evil.example:8080" }), 403);
  assert.equal(await statusOf("virt1:8080", { origin: "http://virt1:8080" }), 204);
});
