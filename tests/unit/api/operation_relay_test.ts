import assert from "node:assert/strict";
import { HostState } from "../../../lib/model/enums.ts";
import { ApiCluster, type ApiHost } from "../../support/api_cluster.ts";
import { EventReader, type ReceivedEvent } from "../../support/event_reader.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

async function follow(host: ApiHost, query: string, lastEventId?: string): Promise<EventReader> {
  const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
  const response = await host.send("GET", `/events?${query}`, undefined, { headers });
  assert.equal(response.status, 200);
  return await new EventReader(response).opened();
}

/** Has a host create a VM, by asking another one; the VM's UUID. */
async function create(by: ApiHost, on: ApiHost): Promise<string> {
  const response = await by.send("POST", "/vms", { vmdef: SMALL_VMDEF, host: on.uuid });
  assert.equal(response.status, 201);
  return await response.json();
}

/** What the event of an operation says, in short. */
function told({ name, data }: ReceivedEvent): string {
  const { vm, host, state, reason } = JSON.parse(data);
  return name === "operation" ? `${vm} ${host} ${state}` : `${name}: ${reason}`;
}

function both(vm: string, { uuid }: ApiHost): string[] {
  return [`${vm} ${uuid} running`, `${vm} ${uuid} completed`];
}

Deno.test("operations of all hosts are told by each, once, to those who want them", async () => {
  await using cluster = await ApiCluster.start(3);
  const [a, b, c] = [cluster.host(0), cluster.host(1), cluster.host(2)];
  await using onA = await follow(a, "types=operation");
  await using onB = await follow(b, "types=operation,host");
  await using vmsOnly = await follow(c, "types=vm");
  const vms: string[] = [];
  for (const [by, on] of [[b, c], [a, a], [c, b], [a, c]] as const) {
    const vm = await create(by, on);
    vms.push(vm);
    for (const reader of [onA, onB]) assert.deepEqual((await reader.take(2)).map(told), both(vm, on));
  }
  await using ofOne = await follow(a, `types=operation&vm=${vms[2]}`);
  await (await a.send("DELETE", `/vms/${vms[0]}`)).body?.cancel();
  cluster.gossip();
  await (await a.send("DELETE", `/vms/${vms[2]}`)).body?.cancel();
  assert.deepEqual((await ofOne.take(2)).map(told), both(vms[2] ?? "", b));
  assert.equal((await vmsOnly.take(1))[0]?.name, "vm");
});

Deno.test("who comes back gets what other hosts did meanwhile; who was away for too long is told so", async () => {
  await using cluster = await ApiCluster.start(2);
  const [a, b] = [cluster.host(0), cluster.host(1)];
  let lastId: string;
  {
    await using events = await follow(a, "types=operation");
    lastId = events.lastId;
  }
  const vm = await create(b, b);
  {
    await using events = await follow(a, "types=operation", lastId);
    assert.deepEqual((await events.take(2)).map(told), both(vm, b));
  }
  // To the other host nobody has listened for operations, so that it cannot tell what it has missed.
  await using vmsOnly = await follow(b, "types=vm");
  await create(a, a);
  await using events = await follow(b, "types=operation", vmsOnly.lastId);
  assert.match(told((await events.take(1))[0] ?? assert.fail()), /^resync: Events were missed/);
  const later = await create(a, a);
  assert.deepEqual((await events.take(2)).map(told), both(later, a));
});

Deno.test("a host that is back is followed from where it was; one that is new, with a warning", async () => {
  await using cluster = await ApiCluster.start(3);
  const [a, b, c] = [cluster.host(0), cluster.host(1), cluster.host(2)];
  cluster.turn(2, HostState.failed);
  await using events = await follow(a, "types=operation");
  const first = await create(b, b);
  assert.deepEqual((await events.take(2)).map(told), both(first, b));

  cluster.turn(1, HostState.failed);
  const meanwhile = await create(b, b);
  cluster.turn(1, HostState.active);
  assert.deepEqual((await events.take(2)).map(told), both(meanwhile, b));

  await create(c, c);
  cluster.turn(2, HostState.active);
  const [warning] = await events.take(1);
  assert.match(told(warning ?? assert.fail()), /^resync: .*operations of host "virt3" may have been missed/);
  const later = await create(c, c);
  assert.deepEqual((await events.take(2)).map(told), both(later, c));
});

Deno.test("a host that does not answer keeps nobody from following the others", async () => {
  await using cluster = await ApiCluster.start(3);
  const [a, b] = [cluster.host(0), cluster.host(1)];
  await cluster.host(2).stop();
  await using events = await follow(a, "types=operation");
  const vm = await create(b, b);
  assert.deepEqual((await events.take(2)).map(told), both(vm, b));
});

for (
  const [what, text] of [
    ["comments", ":\n\n"],
    ["empty events", "event: operation\n\n"],
    ["one event that never ends", "data: x\n"],
  ] as const
) {
  Deno.test(`a host that sends ${what} without end is hung up on, and the others are followed`, async () => {
    await using cluster = await ApiCluster.start(3);
    const [a, b, c] = [cluster.host(0), cluster.host(1), cluster.host(2)];
    await c.stop();
    const hungUp = Promise.withResolvers<void>();
    const bytes = new TextEncoder().encode(text.repeat(1_000));
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(bytes),
          cancel: () => hungUp.resolve(),
        }),
      ));
    const member = cluster.members.get(c.uuid);
    assert.ok(member);
    cluster.members.set(c.uuid, { ...member, peer: { ...member.peer, port: server.addr.port } });
    await using events = await follow(a, "types=operation");
    await hungUp.promise;
    const vm = await create(b, b);
    for (const expected of both(vm, b)) {
      let event = told((await events.take(1))[0] ?? assert.fail());
      while (event.startsWith("resync")) event = told((await events.take(1))[0] ?? assert.fail());
      assert.equal(event, expected);
    }
  });
}

Deno.test("what a host tells of its operations that cannot be understood is complained of, and the rest is told", async () => {
  await using cluster = await ApiCluster.start(2);
  const [a, b] = [cluster.host(0), cluster.host(1)];
  await b.stop();
  const known = { id: numberedUuid(1), vm: numberedUuid(2), op: "VmPause", started: 1, ended: 0 };
  const told = (operation: unknown) => `event: operation\nid: 1\ndata: ${JSON.stringify(operation)}\n\n`;
  const text = [
    "event: operation\nid: 1\ndata: {oops\n\n",
    told({ ...known, host: b.uuid, state: "hovering" }),
    told({ ...known, host: a.uuid, state: "running" }),
    "event: invented\nid: 1\ndata: 1\n\n", // of a later version
    told({ ...known, host: b.uuid, state: "running" }),
  ].join("");
  const asked = Promise.withResolvers<void>();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async () => {
    await asked.promise;
    return new Response(text);
  });
  const member = cluster.members.get(b.uuid) ?? assert.fail();
  cluster.members.set(b.uuid, { ...member, peer: { ...member.peer, port: server.addr.port } });
  await using events = await follow(a, "types=operation");
  asked.resolve();
  let event = (await events.take(1))[0] ?? assert.fail();
  while (event.name === "resync") event = (await events.take(1))[0] ?? assert.fail();
  assert.equal(JSON.parse(event.data).host, b.uuid);
  const [first = "", ...others] = cluster.complaints;
  assert.match(first, /^virt2: an operation is no JSON: /);
  assert.match(others[0] ?? "", /^virt2: an operation is none: state must be one of running/);
  assert.equal(others[1], `virt2: an operation is of host ${a.uuid}`);
  assert.equal(others.length, 2);
});
