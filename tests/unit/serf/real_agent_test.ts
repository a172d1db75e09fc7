import assert from "node:assert/strict";
import { silentLogger } from "../../../lib/model/log.ts";
import { SerfAgent, type SerfAgentOptions } from "../../../lib/serf/agent.ts";
import { payloadRoom } from "../../../lib/serf/event_size.ts";
import type { SerfEvent } from "../../../lib/serf/events.ts";
import type { MemberStatus } from "../../../lib/serf/member.ts";
import { SerfProcess, type SerfProcessOptions } from "../../support/serf_process.ts";

function open(agent: SerfProcess, options: Partial<SerfAgentOptions> = {}): Promise<SerfAgent> {
  return SerfAgent.open({ address: agent.rpc, log: silentLogger, reconnectMs: 50, ...options });
}

/** Bounds for liveness: Serf takes some seconds to notice a failure, and up to three more to tell. */
const PATIENCE_MS = 30_000;

/** Reads on until there is such an event. */
async function awaitEvent(
  events: AsyncIterator<SerfEvent>,
  wanted: (event: SerfEvent) => boolean,
): Promise<SerfEvent> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`No event for which ${wanted}`)), PATIENCE_MS);
  try {
    for (;;) {
      const { value } = await Promise.race([events.next(), late]);
      if (value === undefined) throw new Error("The events ended before the one that was waited for");
      if (wanted(value)) return value;
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Two agents that know each other; an agent joins only after its RPC answers. */
async function awaitPair(...agents: readonly SerfAgent[]): Promise<void> {
  for (const agent of agents) await awaitCondition(async () => (await agent.members()).length === 2);
}

async function awaitCondition(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`In vain: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Tells that the member has this status: the kind of change is only that of the last one. */
function tells(name: string, status: MemberStatus): (event: SerfEvent) => boolean {
  return (event) =>
    event.kind === "members" &&
    event.members.some((member) => member.name === name && member.status === status);
}

/** Paths of the agents that are tried, in SERF_AGENTS as in PATH (0.8.2 to 0.10.2 have been); else the one in PATH. */
const AGENTS = Deno.env.get("SERF_AGENTS")?.split(":").filter(Boolean) ?? ["serf"];

type Start = (options: SerfProcessOptions) => Promise<SerfProcess>;

/** A test of each of the agents. */
function test(name: string, run: (start: Start) => Promise<void>): void {
  for (const program of AGENTS) {
    const which = AGENTS.length > 1 ? ` (${program})` : "";
    Deno.test(name + which, () => run((options) => SerfProcess.start({ program, ...options })));
  }
}

test("a real agent: itself, tags set, changed and removed, and its limit for events", async (start) => {
  await using one = await start({ name: "one" });
  await using agent = await open(one);
  assert.deepEqual(await agent.self(), {
    name: "one",
    address: one.ip,
    port: 7946,
    status: "alive",
    tags: new Map(),
  });
  await agent.setTags({ uuid: "5e7e", api: "8080", ["__proto__"]: "x" });
  await agent.setTags({ api: "8081" }, ["uuid"]);
  assert.deepEqual([...(await agent.self()).tags].sort(), [["__proto__", "x"], ["api", "8081"]]);
  await assert.rejects(agent.setTags({ long: "x".repeat(600) }), {
    kind: "refused",
    message: /limit of 512 bytes/,
  });
  assert.equal((await agent.self()).tags.get("api"), "8081");

  for (const name of ["VE", "n".repeat(31), "n".repeat(32), "é"]) {
    await agent.userEvent(name, new Uint8Array(payloadRoom(name)));
  }
  // What we refuse is little more than what the agent does: its Lamport time takes 1 byte now, and may take 9
  await using daring = await open(one, { eventLimit: 1024 });
  await daring.userEvent("VE", new Uint8Array(payloadRoom("VE") + 8));
  await assert.rejects(daring.userEvent("VE", new Uint8Array(payloadRoom("VE") + 9)), {
    kind: "refused",
    message: /limit of 512 bytes/,
  });
  assert.equal(agent.connected, true);
});

test("a real agent with a key lets in who has it, and tells who has not", async (start) => {
  await using one = await start({ name: "one", authKey: "secret" });
  await using agent = await open(one, { authKey: "secret" });
  assert.equal((await agent.members()).length, 1);
  await assert.rejects(open(one), { kind: "unavailable", message: /Authentication required; it needs an/ });
  await assert.rejects(open(one, { authKey: "guess" }), {
    kind: "unavailable",
    message: /Invalid authentication token; is the/,
  });
});

test("two real agents: events go both ways; failing, coming back and leaving are told", async (start) => {
  await using one = await start({ name: "one" });
  await using two = await start({ name: "two", join: one });
  await using first = await open(one);
  await using second = await open(two);
  const told = first.events[Symbol.asyncIterator](), toldSecond = second.events[Symbol.asyncIterator]();
  await awaitPair(first, second);

  await first.userEvent("HI", Uint8Array.of(0, 255, 0xc0));
  const heard = await awaitEvent(toldSecond, (event) => event.kind === "user");
  assert.deepEqual(heard.kind === "user" && [heard.name, ...heard.payload], ["HI", 0, 255, 0xc0]);
  await second.userEvent("VE", new Uint8Array());
  await awaitEvent(told, (event) => event.kind === "user" && event.name === "VE");

  await second.setTags({ uuid: "5e7e" });
  const update = await awaitEvent(told, (event) => event.kind === "members" && event.change === "update");
  assert.equal(update.kind === "members" && update.members[0]?.tags.get("uuid"), "5e7e");

  await two.kill();
  await awaitEvent(toldSecond, (event) => event.kind === "disconnected");
  await awaitEvent(told, tells("two", "failed"));
  assert.equal((await first.members()).find(({ name }) => name === "two")?.status, "failed");

  await two.restart(); // without its tags: a process of its own
  await awaitEvent(toldSecond, (event) => event.kind === "connected");
  assert.equal((await second.self()).tags.get("uuid"), "5e7e");
  await awaitEvent(told, tells("two", "alive"));

  await two.leave();
  await awaitEvent(told, tells("two", "left"));
  const members = await first.members();
  assert.deepEqual(members.map(({ name, status }) => `${name} ${status}`).sort(), ["one alive", "two left"]);
});

test("a real agent that hangs counts as away; what it missed can be asked for when it is back", async (start) => {
  await using one = await start({ name: "one" });
  await using two = await start({ name: "two", join: one });
  await using first = await open(one, { heartbeatMs: 20, timeoutMs: 500 });
  await using second = await open(two);
  await awaitPair(first, second);
  const told = first.events[Symbol.asyncIterator]();
  one.pause();
  const lost = await awaitEvent(told, (event) => event.kind !== "user" && event.kind !== "members");
  assert.match(
    lost.kind === "disconnected" ? lost.reason : lost.kind,
    /^the agent did not answer stats for 0\.5 s$/,
  );
  assert.equal(first.connected, false);
  await second.setTags({ uuid: "5e7e" });
  one.resume();
  await awaitEvent(told, (event) => event.kind === "connected");
  await awaitCondition(async () => {
    const member = (await first.members()).find(({ name }) => name === "two");
    return member?.tags.get("uuid") === "5e7e";
  });
});

test("a burst of 2,000 events: whatever Serf drops, nobody breaks, and the next one arrives", async (start) => {
  await using one = await start({ name: "one" });
  await using two = await start({ name: "two", join: one });
  await using first = await open(one);
  await using second = await open(two);
  const events = second.events[Symbol.asyncIterator]();
  await awaitPair(first, second);
  await Promise.all(
    Array.from({ length: 2_000 }, (_, i) => first.userEvent("VE", Uint8Array.of(i & 0xff, i >> 8))),
  );
  await first.userEvent("end", new Uint8Array());
  const arrived = new Set<string>();
  // Serf passes the newest on first, so that older ones may come later, or never
  await awaitEvent(events, (event) => {
    if (event.kind === "user" && event.name === "VE") arrived.add(event.payload.join(" "));
    return event.kind === "user" && event.name === "end";
  });
  assert.ok(arrived.size > 0);
  assert.equal(first.connected && second.connected, true);
  assert.equal(second.droppedEvents, 0);
  assert.equal((await second.members()).length, 2);
});

// One cluster has agents of several versions while they are replaced.
for (
  const [first, second] of AGENTS.flatMap((a) => AGENTS.filter((b) => b !== a).map((b) => [a, b] as const))
) {
  Deno.test(`agents of two versions tell each other events of 512 bytes, and tags (${first}, ${second})`, async () => {
    await using one = await SerfProcess.start({ name: "one", program: first });
    await using two = await SerfProcess.start({ name: "two", program: second, join: one });
    await using here = await open(one);
    await using there = await open(two);
    await awaitPair(here, there);
    const told = there.events[Symbol.asyncIterator]();
    const payload = new Uint8Array(payloadRoom("VI")).fill(7);
    await here.userEvent("VI", payload);
    const heard = await awaitEvent(told, (event) => event.kind === "user" && event.name === "VI");
    assert.deepEqual(heard.kind === "user" && heard.payload, payload);
    await there.setTags({ uuid: "5e7e" });
    await awaitCondition(async () =>
      (await here.members()).find(({ name }) => name === "two")?.tags.get("uuid") === "5e7e"
    );
  });
}
