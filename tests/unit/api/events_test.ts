import assert from "node:assert/strict";
import fc from "fast-check";
import { Listeners } from "../../../lib/api/listen.ts";
import { type ApiFixture, apiFixture, HERE } from "../../support/api_fixture.ts";
import { EventReader } from "../../support/event_reader.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

/** How many events are kept. */
const KEPT = 8_192;

async function follow(
  { call }: Pick<ApiFixture, "call">,
  query = "",
  lastEventId?: string,
): Promise<EventReader> {
  const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
  const response = await call("GET", `/events${query}`, undefined, headers);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  assert.equal(response.headers.get("cache-control"), "no-store");
  return await new EventReader(response).opened();
}

/** Changes a VM; its ts is a running number. */
function change({ inventory }: Pick<ApiFixture, "inventory">, number: number, vm = 1): void {
  inventory.putVm(vmInfo({ uuid: numberedUuid(vm), host: HERE, ts: number }));
}

Deno.test("changes of hosts, VMs and operations are told as the lists show them", async () => {
  const fixture = apiFixture();
  await using events = await follow(fixture);
  const { inventory } = fixture;
  inventory.confirm(HERE, 77);
  inventory.putVm(vmInfo({ uuid: numberedUuid(1), host: HERE, name: "línea\nzwei" }));
  inventory.putHost(hostEntry({ uuid: HERE, ts: 9 }));
  const [vm, host] = await events.take(2);
  assert.deepEqual([vm?.name, host?.name], ["vm", "host"]);
  const item = async (path: string) => (await (await fixture.call("GET", path)).json()).items[0];
  assert.deepEqual(JSON.parse(vm?.data ?? ""), await item("/vms"));
  assert.deepEqual(JSON.parse(host?.data ?? ""), await item("/hosts"));
  assert.equal(JSON.parse(host?.data ?? "").fields.seen, 77);

  const response = await fixture.call("POST", "/vms", { vmdef: SMALL_VMDEF, host: "" });
  const [begun, created, ended] = await events.take(3);
  const id = response.headers.get("x-virtx-operation");
  assert.deepEqual([begun?.name, created?.name, ended?.name], ["operation", "vm", "operation"]);
  assert.equal(JSON.parse(begun?.data ?? "").state, "running");
  assert.deepEqual(
    JSON.parse(ended?.data ?? ""),
    await (await fixture.call("GET", `/operations/${id}`)).json(),
  );

  inventory.removeVm(numberedUuid(1), Infinity);
  const [removed] = await events.take(1);
  assert.deepEqual(JSON.parse(removed?.data ?? ""), { uuid: numberedUuid(1), removed: true });
});

Deno.test("what a host is without is told when it begins and when it ends, with its VMs", async () => {
  const fixture = apiFixture();
  const { inventory } = fixture;
  inventory.putVm(vmInfo({ uuid: numberedUuid(1), host: HERE }));
  inventory.putHost(hostEntry({ uuid: HERE }));
  await using events = await follow(fixture);
  const libvirt = { part: "libvirt", reason: "libvirt on it is away", since: 5 } as const;
  for (const conditions of [[libvirt], []]) {
    inventory.setConditions(HERE, conditions);
    const [host, vm] = (await events.take(2)).map(({ data }) => JSON.parse(data).fields);
    assert.deepEqual([host.cstate, host.conditions], [1, conditions]);
    assert.deepEqual([vm.runstate, vm.lastrunstate], [conditions.length > 0 ? 0 : 4, 4]);
  }
});

Deno.test("a client gets the types and the VM that it asks for", async () => {
  const fixture = apiFixture();
  await using hosts = await follow(fixture, "?types=host");
  await using one = await follow(fixture, `?types=vm,operation&vm=${numberedUuid(2)}`);
  change(fixture, 1, 1);
  change(fixture, 2, 2);
  await fixture.call("POST", `/vms/${numberedUuid(2)}/runstate/pause`);
  fixture.inventory.putHost(hostEntry({ uuid: HERE, ts: 9 }));
  assert.equal((await hosts.take(1))[0]?.name, "host");
  const names = (await one.take(3)).map(({ name, data }) => `${name} ${JSON.parse(data).vm ?? ""}`);
  assert.deepEqual(names, ["vm ", `operation ${numberedUuid(2)}`, `operation ${numberedUuid(2)}`]);
  for (const wrong of ["?types=", "?types=vm,x", "?vm=7", "?type=vm"]) {
    assert.equal((await fixture.call("GET", `/events${wrong}`)).status, 400, wrong);
  }
});

Deno.test("however often a client is cut off and comes back, it gets each event once and in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ before: fc.nat(40), read: fc.nat(30), away: fc.nat(300) }), {
        minLength: 1,
        maxLength: 12,
      }),
      async (rounds) => {
        const fixture = apiFixture();
        const seen: number[] = [];
        let sent = 0;
        let lastId = (await closed(await follow(fixture))).lastId;
        const send = (count: number) => {
          for (let n = 0; n < count; n++) change(fixture, ++sent);
        };
        for (const { before, read, away } of rounds) {
          await using events = await follow(fixture, "", lastId);
          send(before);
          const due = Math.min(read, sent - seen.length);
          for (const { name, data } of await events.take(due)) {
            assert.equal(name, "vm");
            seen.push(JSON.parse(data).fields.ts);
          }
          // What was read on the way but not taken was never seen: a client knows only the id of what it took.
          lastId = due === 0 ? lastId : idOf(lastId, seen.length);
          send(away);
        }
        await using events = await follow(fixture, "", lastId);
        for (const { data } of await events.take(sent - seen.length)) seen.push(JSON.parse(data).fields.ts);
        assert.deepEqual(seen, Array.from({ length: sent }, (_, at) => at + 1));
      },
    ),
    { numRuns: 60 },
  );
});

/** Closes it at once; what it learnt stays. */
async function closed(events: EventReader): Promise<EventReader> {
  await events[Symbol.asyncDispose]();
  return events;
}

/** The id of the nth event after the fixture was made, of the same process. */
function idOf(id: string, number: number): string {
  return `${id.split("-")[0]}-${number}`;
}

Deno.test("where a client cannot go on it is told to look at everything again, and goes on from there", async () => {
  const fixture = apiFixture();
  const { lastId } = await closed(await follow(fixture));
  for (let n = 1; n <= KEPT + 1; n++) change(fixture, n);
  const kept = await follow(fixture, "", idOf(lastId, 1));
  assert.equal(JSON.parse((await kept.take(1))[0]?.data ?? "").fields.ts, 2);
  await kept[Symbol.asyncDispose]();
  for (
    const id of [lastId, "0000abcd-1", idOf(lastId, KEPT + 100), "nonsense", `${lastId}0000000000000000`]
  ) {
    await using events = await follow(fixture, "", id);
    change(fixture, -Number(events.lastId.split("-")[1]));
    const [resync, next] = await events.take(2);
    assert.equal(resync?.name, "resync", id);
    assert.match(JSON.parse(resync?.data ?? "").reason, /^Events were missed: /);
    assert.deepEqual([next?.name, next?.id], ["vm", idOf(lastId, Number(resync?.id.split("-")[1]) + 1)]);
  }
});

Deno.test("a client that reads is told to look again when more happens at once than is kept", async () => {
  const fixture = apiFixture();
  await using events = await follow(fixture);
  const first = events.take(1);
  for (let n = 1; n <= KEPT + 5; n++) change(fixture, n);
  assert.equal((await first)[0]?.name, "resync");
  change(fixture, 0);
  assert.equal(JSON.parse((await events.take(1))[0]?.data ?? "").fields.ts, 0);
});

Deno.test("a client that does not keep up is cut off, and the others are not", async () => {
  const fixture = apiFixture();
  const listeners = await Listeners.open(fixture.app, [{ hostname: "127.0.0.1", port: 0 }]);
  await using _listeners = listeners;
  const port = Number(new URL(listeners.addresses[0] ?? "").port);
  using slow = await Deno.connect({ port });
  await slow.write(new TextEncoder().encode("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  await using quick = await new EventReader(await fetch(`${listeners.addresses[0]}/events`)).opened();
  const custom = [{ name: "filler", value: "x".repeat(1000) }];
  let sent = 0;
  // More than the sockets' buffers and the backlog hold together.
  for (; sent < 40_000; sent++) {
    fixture.inventory.putVm(vmInfo({ uuid: numberedUuid(1), host: HERE, ts: sent, custom }));
    if (sent % 500 === 499) { for (const { name } of await quick.take(500)) assert.equal(name, "vm"); }
  }
  let received = 0;
  let tail = "";
  const chunk = new Uint8Array(1 << 20);
  for (;;) {
    const count = await slow.read(chunk);
    if (count === null || tail.endsWith("0\r\n\r\n")) break;
    received += count;
    tail = (tail + new TextDecoder().decode(chunk.subarray(Math.max(0, count - 20), count))).slice(-20);
    if (tail.endsWith("0\r\n\r\n")) break; // the end of a chunked body
  }
  assert.ok(received < sent * 1000, `${received} bytes`);
});

Deno.test("streams end when virtxd does, and do not hold it up", async () => {
  const fixture = apiFixture();
  const listeners = await Listeners.open(fixture.app, [{ hostname: "127.0.0.1", port: 0 }]);
  const events = await new EventReader(await fetch(`${listeners.addresses[0]}/events`)).opened();
  const ended = events.next();
  assert.equal(await listeners.close(10_000), true);
  assert.equal(await ended, undefined);
  assert.equal((await fixture.call("GET", "/events")).status, 503);
});

Deno.test("there is a most that follow from one address at a time; who leaves makes room", async () => {
  const fixture = apiFixture();
  const streams: EventReader[] = [];
  for (let count = 0; count < 128; count++) streams.push(await follow(fixture));
  const refused = await fixture.call("GET", "/events");
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "10"]);
  await streams.pop()?.[Symbol.asyncDispose]();
  streams.push(await follow(fixture));
  for (const stream of streams) await stream[Symbol.asyncDispose]();
});

Deno.test("HEAD tells what GET would, and does not wait for events", async () => {
  const { call } = apiFixture();
  const response = await call("HEAD", "/events");
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "text/event-stream"]);
  assert.equal(response.body, null);
});
