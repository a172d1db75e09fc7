import assert from "node:assert/strict";
import { apiFixture } from "../../support/api_fixture.ts";

const LOOPBACK = { loopback: true, client: () => "127.0.0.1" };
const NETWORK = { loopback: false, client: () => "192.0.2.7" };

async function statusOf(
  headers: Record<string, string>,
  connection = NETWORK,
  method = "GET",
): Promise<number> {
  const { app } = apiFixture({ hostNames: ["virtx.example.com"] });
  return (await app.fetch(new Request("http://localhost:8080/healthz", { method, headers }), connection))
    .status;
}

Deno.test("programs may call by any name, except on loopback", async () => {
  assert.equal(await statusOf({ host: "anything.example:8080" }), 200);
  assert.equal(await statusOf({ host: "anything.example:8080" }, LOOPBACK), 403);
});

Deno.test("on loopback the Host is a name that only this machine has: DNS rebinding gets nowhere", async () => {
  for (const host of ["localhost:8080", "127.0.0.1", "[::1]:8080", "virt1:8080", "VIRTX.example.com"]) {
    assert.equal(await statusOf({ host }, LOOPBACK), 200, host);
  }
  for (
    const host of [
      "evil.example",
      "localhost.evil.example:8080",
      "127.0.0.1.evil.example",
      "virt1.evil.example",
    ]
  ) {
    assert.equal(await statusOf({ host }, LOOPBACK), 403, host);
  }
});

Deno.test("pages of other sites are refused", async () => {
  const host = "192.0.2.1:8080";
  for (
    const origin of ["http://evil.example", "null", "http://192.0.2.1:9999", "https://evil.example:8080"]
  ) {
    assert.equal(await statusOf({ host, origin }), 403, origin);
  }
  assert.equal(await statusOf({ host, origin: `http://${host}` }), 200);
  for (const site of ["cross-site", "same-site"]) {
    assert.equal(await statusOf({ host, "sec-fetch-site": site }), 403);
    assert.equal(
      await statusOf({ host, "sec-fetch-site": site, "sec-fetch-mode": "navigate" }, NETWORK, "POST"),
      403,
    );
  }
  assert.equal(await statusOf({ host, "sec-fetch-site": "same-origin" }), 200);
});

Deno.test("a page of a rebound name is refused even where it is its own origin", async () => {
  assert.equal(await statusOf({ host: "evil.example:8080", origin: "http://evil.example:8080" }), 403);
  assert.equal(await statusOf({ host: "virt1:8080", origin: "http://virt1:8080" }), 200);
});

Deno.test("a link to the documentation can be followed from anywhere", async () => {
  const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  assert.equal(await statusOf({ host: "localhost", ...link }, LOOPBACK), 200);
  assert.equal(await statusOf({ host: "localhost", ...link, "sec-fetch-dest": "iframe" }, LOOPBACK), 403);
});
