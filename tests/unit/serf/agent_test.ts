import assert from "node:assert/strict";
import { silentLogger } from "../../../lib/model/log.ts";
import { SerfAgent, type SerfAgentOptions } from "../../../lib/serf/agent.ts";
import type { SerfEvent } from "../../../lib/serf/events.ts";
import { array, bin, nil, str, struct, uint } from "../../support/msgpack_bytes.ts";
import { SerfServer, SERVED_MEMBER } from "../../support/serf_server.ts";

const log = silentLogger;

function open(server: SerfServer, options: Partial<SerfAgentOptions> = {}): Promise<SerfAgent> {
  return SerfAgent.open({ address: server.address, log, reconnectMs: 10, ...options });
}

function userRecord(name: string, ...payload: number[]): object {
  return { Event: "user", LTime: 1, Name: name, Payload: Uint8Array.from(payload), Coalesce: false };
}

function changeRecord(change: string): object {
  return { Event: `member-${change}`, Members: [SERVED_MEMBER] };
}

/** The next event, told apart by little. */
async function next(events: AsyncIterator<SerfEvent>): Promise<string> {
  const { value } = await events.next();
  if (value === undefined) return "end";
  if (value.kind === "user") return `user ${value.name} ${value.payload.join(" ")}`;
  return value.kind === "members" ? `member-${value.change}` : value.kind;
}

Deno.test("opening shakes hands, shows the key, and subscribes; what is asked is answered", async () => {
  await using server = SerfServer.start("secret");
  await using agent = await open(server, { authKey: "secret" });
  assert.deepEqual(server.commands, ["handshake", "auth", "stats", "stream"]);
  assert.deepEqual(server.requests[0]?.body, new Map([["Version", 1]]));
  assert.deepEqual(server.requests[3]?.body, new Map([["Type", "*"]]));
  assert.equal(agent.connected, true);
  const { name, queuedEvents } = await agent.stats();
  assert.deepEqual({ name, queuedEvents }, { name: "served", queuedEvents: 3 });
  assert.equal((await agent.self()).address, "192.0.2.7");
});

Deno.test("answers and events come whole from frames that are cut at every byte", async () => {
  await using server = SerfServer.start();
  server.pieceBytes = 1;
  await using agent = await open(server);
  const events = agent.events[Symbol.asyncIterator]();
  const sending = server.emit(userRecord("HI", 1, 2, 3), changeRecord("join"), userRecord("VE"));
  const [members, stats] = await Promise.all([agent.members(), agent.stats()]);
  assert.equal(members[0]?.name, "served");
  assert.equal(stats.name, "served");
  assert.equal(await next(events), "user HI 1 2 3");
  assert.equal(await next(events), "member-join");
  assert.equal(await next(events), "user VE ");
  await sending;
});

Deno.test("an error is told apart from a body, which some commands send even then", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server);
  server.refusals.set("members", "no members today").set("event", "too loud");
  await assert.rejects(agent.members(), {
    kind: "refused",
    message: "Cannot list the members of the Serf cluster: no members today",
  });
  await assert.rejects(agent.userEvent("VE", new Uint8Array()), {
    kind: "refused",
    message: 'Cannot send the user event "VE": too loud',
  });
  server.refusals.clear();
  assert.equal((await agent.members()).length, 1);
  assert.equal(agent.connected, true);
});

Deno.test("opening fails with the reason and what to do about it", async () => {
  await using server = SerfServer.start("secret");
  await assert.rejects(open(server), {
    kind: "unavailable",
    message: /: Authentication required; it needs a.* key$/,
  });
  await assert.rejects(open(server, { authKey: "wrong" }), {
    kind: "unavailable",
    message: /: Invalid authentication token; is the authentication key the agent's rpc_auth\?$/,
  });
  await server.die();
  await assert.rejects(open(server), {
    kind: "unavailable",
    retryAfterS: 5,
    message:
      /^Cannot connect to the Serf agent at 127\.0\.0\.1:\d+: .*refused.*; does the agent run, and is this/,
  });
  await assert.rejects(open(server, { address: "7373" }), {
    kind: "invalid",
    message: /"7373" is not host:port/,
  });
});

Deno.test("an agent that takes the connection and does not answer fails the opening in time", async () => {
  await using server = SerfServer.start();
  server.silent.add("handshake");
  await assert.rejects(open(server, { timeoutMs: 50 }), {
    kind: "unavailable",
    message: /the agent did not answer handshake for 0\.05 s; /,
  });
});

Deno.test("the opening can be given up", async () => {
  await using server = SerfServer.start();
  server.silent.add("handshake");
  const controller = new AbortController();
  const opening = open(server, { signal: controller.signal });
  const reason = new Error("changed my mind");
  const failed = assert.rejects(opening, reason);
  await until(() => server.commands.length === 1);
  controller.abort(reason);
  await failed;
  await assert.rejects(open(server, { signal: controller.signal }), reason);
  assert.equal(server.commands.length, 1);

  server.silent.clear();
  const later = new AbortController();
  await using agent = await open(server, { signal: later.signal });
  later.abort();
  assert.equal((await agent.members()).length, 1);
});

Deno.test("the agent goes away and comes back: both are told, and our tags are there before that", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server);
  const events = agent.events[Symbol.asyncIterator]();
  await agent.setTags({ uuid: "5e7e", api: "8080" });
  await agent.setTags({ virtxd: "1" }, ["api"]);
  server.firstRecord = userRecord("VE", 1);
  for (let round = 0; round < 3; round++) {
    await server.die();
    assert.equal(await next(events), "disconnected");
    assert.equal(agent.connected, false);
    await assert.rejects(agent.members(), {
      kind: "unavailable",
      retryAfterS: 5,
      message: /^Cannot list the members of the Serf cluster: the Serf agent is away: /,
    });
    server.requests.length = 0;
    server.listen();
    assert.equal(await next(events), "connected");
    assert.equal(agent.connected, true);
    assert.equal(await next(events), "user VE 1"); // it came with the answer to stream, and yet not before
    assert.deepEqual(server.commands, ["handshake", "stats", "tags", "stream"]);
    assert.deepEqual(
      server.requests[2]?.body,
      new Map<string, unknown>([
        ["Tags", new Map([["uuid", "5e7e"], ["virtxd", "1"]])],
        ["DeleteTags", ["api"]],
      ]),
    );
  }
});

Deno.test("commands under way fail as soon as the agent goes away", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server);
  server.silent.add("members");
  const failures = Array.from({ length: 10 }, () => assert.rejects(agent.members(), { kind: "unavailable" }));
  await until(() => server.commands.filter((command) => command === "members").length === 10);
  await server.die();
  await Promise.all(failures);
});

Deno.test("an agent that stops answering counts as away, and the command that waited is told so", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server, { timeoutMs: 50, reconnectMs: 5 });
  const events = agent.events[Symbol.asyncIterator]();
  server.silent.add("members");
  await assert.rejects(agent.members(), {
    kind: "timeout",
    message: "Cannot list the members of the Serf cluster: the agent did not answer members for 0.05 s",
  });
  assert.equal(await next(events), "disconnected");
  assert.equal(await next(events), "connected");
  server.silent.clear();
  assert.equal((await agent.members()).length, 1);
});

Deno.test("an agent that falls silent while nothing is asked is found out", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server, { timeoutMs: 50, heartbeatMs: 10 });
  const events = agent.events[Symbol.asyncIterator]();
  server.silent.add("stats");
  assert.equal(await next(events), "disconnected");
  assert.equal(agent.connected, false);
  server.silent.clear();
  assert.equal(await next(events), "connected");
});

Deno.test("while the agent cannot do what it has to, it does not count as back", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server, { reconnectMs: 2 });
  const events = agent.events[Symbol.asyncIterator]();
  await agent.setTags({ uuid: "5e7e" });
  server.refusals.set("tags", "tags are full");
  await server.die();
  server.requests.length = 0;
  server.listen();
  await until(() => server.commands.filter((command) => command === "tags").length >= 3);
  assert.equal(agent.connected, false);
  assert.equal(await next(events), "disconnected");
  server.refusals.clear();
  assert.equal(await next(events), "connected");
});

Deno.test("tags that the agent refuses are not tried again; those set while it is away are", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server);
  const events = agent.events[Symbol.asyncIterator]();
  await agent.setTags({ uuid: "5e7e" });
  server.refusals.set("tags", "tags are full");
  await assert.rejects(agent.setTags({ long: "x" }), {
    kind: "refused",
    message: "Cannot set the Serf agent's tags: tags are full",
  });
  server.refusals.clear();
  await server.die();
  assert.equal(await next(events), "disconnected");
  await assert.rejects(agent.setTags({ virtxd: "1" }), { kind: "unavailable" });
  server.requests.length = 0;
  server.listen();
  assert.equal(await next(events), "connected");
  assert.deepEqual(server.requests[2]?.body?.get("Tags"), new Map([["uuid", "5e7e"], ["virtxd", "1"]]));
});

Deno.test("tags that the agent has, and could not spread at once, are set, also when it comes back", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server);
  const events = agent.events[Symbol.asyncIterator]();
  server.refusals.set("tags", "timeout waiting for update broadcast");
  await agent.setTags({ uuid: "5e7e" });
  await server.die();
  assert.equal(await next(events), "disconnected");
  server.requests.length = 0;
  server.listen();
  assert.equal(await next(events), "connected");
  assert.deepEqual(server.requests[2]?.body?.get("Tags"), new Map([["uuid", "5e7e"]]));
});

Deno.test("hostile frames end the connection and not the program: it connects anew, and all is well", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server, { reconnectMs: 1 });
  const events = agent.events[Symbol.asyncIterator]();
  const header = (seq: number[], error: number[] = str("")) => struct({ Seq: seq, Error: error });
  /** stream comes third: after handshake and stats. */
  const record = (bytes: readonly number[]) => [...header([3]), ...bytes];
  const frames: Record<string, [number[], RegExp]> = {
    "nested without end": [new Array(200_000).fill(0x91), /nested more than/],
    "nested without end, as a record": [record(new Array(200_000).fill(0x81)), /nested more than/],
    "a string of 4 GiB": [[0xdb, 0xff, 0xff, 0xff, 0xff], /more than 8388608 bytes/],
    "an array of 4 G values": [record([0xdd, 0xff, 0xff, 0xff, 0xff]), /more than 8388608 bytes/],
    "an extension type": [[0xd4, 0x72, 0x40], /type 0xd4/],
    "a header that is a number": [[1], /a header that is no map/],
    "a header that is a list": [array(str("Seq")), /a header that is no map/],
    "an empty header": [struct({}), /a header whose Seq is no/],
    "a header without an error": [struct({ Seq: [3] }), /a header whose Error is no text/],
    "a sequence number that was not used": [header([77]), /an answer to nothing that was asked/],
    "the answer to handshake once more": [header([1]), /an answer to nothing that was asked/],
    "a sequence number that is too large": [header(uint(2n ** 64n - 1n, 8)), /an answer to nothing/],
    "a sequence number that is negative": [header([0xff]), /Seq is no non-negative integer/],
    "a sequence number that is text": [header(str("3")), /Seq is no non-negative integer/],
    "a key that is __proto__": [struct({ ["__proto__"]: struct({ Seq: [3], Error: str("") }) }), /Seq is no/],
    "a record that is nil": [record(nil), /an event that is no map/],
    "a record that is no event": [record(struct({ Event: str("boom") })), /an event of unknown type/],
    "a payload that is a number": [
      record(struct({ Event: str("user"), Name: str("HI"), Payload: [1], LTime: [1] })),
      /an event whose Payload is no bytes/,
    ],
    "members that are none": [
      record(struct({ Event: str("member-join"), Members: array(bin([1])) })),
      /a member that is no map/,
    ],
  };
  for (const [what, [bytes, reason]] of Object.entries(frames)) {
    await server.send(bytes);
    const { value } = await events.next();
    assert.equal(value?.kind, "disconnected", what);
    assert.match(value.reason, /^the agent sent /, what);
    assert.match(value.reason, reason, what);
    assert.equal(await next(events), "connected", what);
    assert.equal((await agent.members()).length, 1, what);
  }
});

Deno.test("a body that is none fails the command that asked for it, with the connection", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server);
  server.members = [{ ...SERVED_MEMBER, Port: -1 }];
  await assert.rejects(agent.members(), {
    kind: "unavailable",
    message: /: the agent sent a member whose Port is no /,
  });
  server.members = [SERVED_MEMBER];
  const events = agent.events[Symbol.asyncIterator]();
  assert.equal(await next(events), "disconnected");
  assert.equal(await next(events), "connected");
  assert.equal((await agent.members()).length, 1);
});

Deno.test("an agent that asks for a key all at once is not talked to any further", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server, { reconnectMs: 60_000 });
  server.refusals.set("event", "Authentication required");
  await assert.rejects(agent.userEvent("VE", new Uint8Array()), {
    kind: "refused",
    message: /Authentication required$/,
  });
  const events = agent.events[Symbol.asyncIterator]();
  assert.equal(await next(events), "disconnected");
});

Deno.test("an event that is too large is refused with the sizes, and never sent", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server);
  await agent.userEvent("VE", new Uint8Array(472));
  await assert.rejects(agent.userEvent("VE", new Uint8Array(473)), {
    kind: "invalid",
    message:
      'Cannot send the user event "VE": its payload is 473 bytes and may be 472, as agents take 512 in all',
  });
  const sent = server.requests.filter(({ command }) => command === "event");
  assert.equal(sent.length, 1);
  assert.equal(sent[0]?.body?.get("Coalesce"), false);
  await using generous = await open(server, { eventLimit: 1024 });
  await generous.userEvent("VE", new Uint8Array(984));
});

Deno.test("user events that nobody takes are dropped at some point; members' changes and commands are not", async () => {
  await using server = SerfServer.start();
  const warnings: string[] = [];
  await using agent = await open(server, { log: { ...log, warn: (message) => warnings.push(message) } });
  const burst = Array.from({ length: 9_000 }, (_, i) => userRecord("VE", i & 0xff, i >> 8));
  await server.emit(...burst, changeRecord("failed"));
  assert.equal((await agent.members()).length, 1);
  assert.equal(agent.droppedEvents, 9_000 - 8_192);
  assert.deepEqual(warnings, ["user events are dropped: too many wait"]);
  agent.events.close();
  const kept: string[] = [];
  for await (const event of agent.events) {
    kept.push(event.kind === "user" ? event.payload.join(" ") : event.kind);
  }
  assert.equal(kept.length, 8_193);
  assert.deepEqual(kept.slice(8_190), ["254 31", "255 31", "members"]);
});

Deno.test("so many commands at a time are too many; those before them are answered", async () => {
  await using server = SerfServer.start();
  await using agent = await open(server);
  const asked = Array.from(
    { length: 4_100 },
    () => agent.stats().then(() => "answered", (error) => error.message),
  );
  const outcomes = await Promise.all(asked);
  assert.equal(outcomes.filter((outcome) => outcome === "answered").length, 4_096);
  assert.equal(
    outcomes.at(-1),
    "Cannot get the Serf agent's figures: 4096 commands wait for answers already",
  );
});

Deno.test("closing ends everything at any moment: connected, away, or connecting", async () => {
  await using server = SerfServer.start();
  const connected = await open(server);
  server.silent.add("members");
  const failed = assert.rejects(connected.members(), {
    kind: "unavailable",
    message: /the connection was closed$/,
  });
  await connected[Symbol.asyncDispose]();
  await failed;
  assert.equal(await next(connected.events[Symbol.asyncIterator]()), "end");

  const away = await open(server, { reconnectMs: 60_000 });
  const connecting = await open(server, { reconnectMs: 1 });
  await server.die();
  server.silent.add("handshake");
  server.requests.length = 0;
  server.listen();
  await until(() => server.commands.length === 1);
  await away[Symbol.asyncDispose]();
  await connecting[Symbol.asyncDispose]();
  await until(() => server.connections === 0);
});

/** A bound for liveness, not for speed. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`in vain: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
