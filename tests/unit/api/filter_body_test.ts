import assert from "node:assert/strict";
import { HOST_FILTER, VM_FILTER, withFilter } from "../../../lib/api/filter_body.ts";
import { Listeners } from "../../../lib/api/listen.ts";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import type { FieldIssue } from "../../../lib/model/error.ts";
import { apiFixture, HERE } from "../../support/api_fixture.ts";
import { hostFilter, vmFilter } from "../../support/prototype_filters.ts";
import { rawExchange, type RawResponse } from "../../support/raw_http.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const OTHER = numberedUuid(77);

/** A listening API with four VMs and three hosts, on TCP and on a unix socket, asked byte by byte. */
async function listening() {
  const held = new AsyncDisposableStack();
  const directory = held.use(await TempDir.create());
  const fixture = apiFixture({ bodies: { stallMs: 200 } });
  const { inventory } = fixture;
  const def = hostEntry().def;
  inventory.putHost(hostEntry({ uuid: OTHER, def: { ...def, name: "virt2", osv: "13" } }));
  inventory.putHost(hostEntry({
    uuid: numberedUuid(78),
    def: { ...def, name: "virt3" },
    cstate: HostState.failed,
    ts: 9,
  }));
  const vms = [
    { name: "web-1", runstate: Runstate.running, vlanid: 5, ts: 1 },
    { name: "web-2", runstate: Runstate.poweroff, vlanid: 7, ts: 2 },
    { name: "db+1", runstate: Runstate.running, vlanid: 7, ts: 3, host: OTHER },
    { name: "crashed", runstate: Runstate.crashed, ts: 4, custom: [{ name: "team", value: "a&b=c" }] },
  ];
  for (const [at, vm] of vms.entries()) {
    inventory.putVm(vmInfo({ uuid: numberedUuid(at), host: HERE, ...vm }));
  }
  const path = directory.at("api.sock");
  const listeners = held.use(
    await Listeners.open(fixture.app, [{ hostname: "127.0.0.1", port: 0 }, { path }]),
  );
  const port = Number(new URL(listeners.addresses[0] ?? "").port);
  return {
    send: (text: string, to: { port: number } | { transport: "unix"; path: string } = { port }) =>
      rawExchange(to, text, { responses: 1 }),
    socket: { transport: "unix", path } as const,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** As the prototype's client sends it: its JSON ends with a newline. */
function get(path: string, filter: unknown, headers: readonly string[] = []): string {
  const body = `${JSON.stringify(filter)}\n`;
  return [
    `GET ${path} HTTP/1.1`,
    "Host: localhost",
    "Content-Type: application/json",
    ...headers,
    `Content-Length: ${body.length}`,
    "",
    body,
  ].join("\r\n");
}

function namesIn([response]: readonly RawResponse[]): string[] {
  assert.equal(response?.status, 200, response?.body);
  return JSON.parse(response.body).items.map((item: { fields: { name: string } }) => item.fields.name);
}

const ALL_VMS = ["crashed", "db+1", "web-1", "web-2"];
const ALL_HOSTS = ["virt1", "virt2", "virt3"];

Deno.test("the filters of the prototype's client select VMs", async () => {
  await using api = await listening();
  const cases: [Record<string, unknown>, string[]][] = [
    [{}, ALL_VMS],
    [{ runstate: Runstate.running }, ["db+1", "web-1"]], // as long as the empty filter, like the next three
    [{ runstate: Runstate.crashed }, ["crashed"]],
    [{ vlanid: 7 }, ["db+1", "web-2"]],
    [{ ts: 2 }, ["web-1", "web-2"]],
    [{ name: "web" }, ["web-1", "web-2"]],
    [{ name: "b+1" }, ["db+1"]],
    [{ host: OTHER }, ["db+1"]],
    [{ host: numberedUuid(79) }, []],
    [{ custom: { name: "team", value: "a&b=c" } }, ["crashed"]],
    [{ custom: { name: "team", value: "b" } }, []],
    [{ name: "web", vlanid: 7 }, ["web-2"]],
  ];
  for (const [set, expected] of cases) {
    assert.deepEqual(namesIn(await api.send(get("/vms", vmFilter(set)))), expected, JSON.stringify(set));
  }
  assert.deepEqual(namesIn(await api.send(get("/vms", vmFilter({ vlanid: 7 })), api.socket)), [
    "db+1",
    "web-2",
  ]);
});

Deno.test("the filters of the prototype's client select hosts", async () => {
  await using api = await listening();
  const cases: [Parameters<typeof hostFilter>[0], string[]][] = [
    [{}, ALL_HOSTS],
    [{ cstate: HostState.failed }, ["virt3"]],
    [{ name: "virt2" }, ["virt2"]],
    [{ osv: "13" }, ["virt2"]],
    [{ cpuarch: { arch: "aarch64" } }, []],
    [{ cpuarch: { arch: "x86_64" }, cpudef: { cores: 8 }, osid: "debian" }, ALL_HOSTS],
    [{ cpudef: { cores: 9 } }, []],
    [{ memoryavailable: 1 << 30 }, []],
  ];
  for (const [set, expected] of cases) {
    assert.deepEqual(namesIn(await api.send(get("/hosts", hostFilter(set)))), expected, JSON.stringify(set));
  }
});

Deno.test("a filter in chunks, in small pieces and beside paging is read as well", async () => {
  await using api = await listening();
  const json = JSON.stringify(vmFilter({ runstate: Runstate.crashed }));
  const head = "GET /vms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  const chunks = [json.slice(0, 20), json.slice(20)].map((chunk) =>
    `${chunk.length.toString(16)}\r\n${chunk}\r\n`
  );
  const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n${chunks.join("")}0\r\n\r\n`;
  assert.deepEqual(namesIn(await api.send(chunked)), ["crashed"]);
  const [page] = await api.send(get("/vms?limit=1", vmFilter({ vlanid: 7 })));
  assert.ok(page);
  assert.deepEqual(namesIn([page]), ["db+1"]);
  const next = /^<([^>]+)>/.exec(page.headers.get("link") ?? "")?.[1];
  assert.deepEqual(namesIn(await api.send(get(next ?? "", null))), ["web-2"]);
});

Deno.test("answers to filters in bodies are not kept for others, nor taken for those of the URL", async () => {
  await using api = await listening();
  const [all] = await api.send(get("/vms", null));
  const [some] = await api.send(get("/vms", vmFilter({ vlanid: 5 })));
  assert.ok(all && some);
  assert.deepEqual(namesIn([some]), ["web-1"]);
  assert.deepEqual([some.headers.get("etag"), some.headers.get("cache-control")], [undefined, "no-store"]);
  const plain = "GET /vms HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const [unfiltered] = await api.send(plain);
  assert.deepEqual(namesIn(unfiltered ? [unfiltered] : []), ALL_VMS);
  const known = `If-None-Match: ${unfiltered?.headers.get("etag")}`;
  assert.deepEqual(namesIn(await api.send(get("/vms", vmFilter({ vlanid: 5 }), [known]))), ["web-1"]);
});

Deno.test("a filter that cannot be read or is not understood is refused, never left out", async () => {
  await using api = await listening();
  const refused = async (text: string) => {
    const [response] = await api.send(text);
    assert.equal(response?.status, 400, response?.body);
    return JSON.parse(response.body).detail;
  };
  const cases: [unknown, RegExp][] = [
    [vmFilter({ state: 4 }), /filter\.state is not known/],
    [{ runstate: 4 }, /runstate is not known/],
    [vmFilter({ runstate: 12 }), /runstate must be one of/],
    [vmFilter({ runstate: -1 }), /runstate must be one of/],
    [vmFilter({ vlanid: 1.5 }), /vlanid must be an integer/],
    [vmFilter({ name: ["web"] }), /filter\.name must be a string or a number/],
    [vmFilter({ name: true }), /filter\.name must be a string or a number/],
    [vmFilter({ custom: { name: "", value: "x" } }), /custom\.value needs custom\.name/],
    [["web"], /is not known/],
    ["web", /is not known/],
  ];
  for (const [filter, reason] of cases) assert.match(await refused(get("/vms", filter)), reason);
  assert.match(
    await refused(get("/vms?vlanid=5", vmFilter({ vlanid: 7 }))),
    /vlanid is given more than once/,
  );
  const untyped = get("/vms", vmFilter()).replace("Content-Type: application/json\r\n", "");
  assert.equal((await api.send(untyped))[0]?.status, 415);
});

Deno.test("a filter that does not arrive is answered with 408", async () => {
  await using api = await listening();
  const [slow] = await api.send(
    'GET /vms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 92\r\n\r\n{"fil',
  );
  assert.equal(slow?.status, 408);
});

Deno.test("where the runtime does not show the body, the list is refused", async () => {
  const { app } = apiFixture();
  for (const path of ["/vms", "/hosts"]) {
    for (const headers of [{ "content-length": "92" }, { "transfer-encoding": "chunked" }]) {
      const response = await app.fetch(new Request(`http://localhost${path}`, { headers }));
      assert.equal(response.status, 400);
      assert.match((await response.json()).detail, /filter by query parameters: name, /);
    }
  }
});

Deno.test("a filter nested too deep is refused", () => {
  const depth = 50_000;
  const nested = JSON.parse('{"filter":'.repeat(depth) + "1" + "}".repeat(depth));
  for (const fields of [VM_FILTER, HOST_FILTER]) {
    const issues: FieldIssue[] = [];
    withFilter("http://localhost/vms", nested, fields, issues);
    assert.deepEqual(issues.map(({ field }) => field), ["filter.filter.filter"]);
  }
});
