import { SerfAgent } from "../../lib/serf/agent.ts";
import { silentLogger } from "../../lib/model/log.ts";
import type { SerfPort } from "../../lib/cluster/ports.ts";
import { inBackground } from "../../lib/model/background.ts";
import { SimSerf } from "../../tests/support/cluster_serf.ts";
import { SerfProcess } from "../../tests/support/serf_process.ts";
import { seededRandom, VirtualTime } from "../../tests/support/virtual_time.ts";
import type { Bench, BenchRow } from "./row.ts";
import { percentile } from "./support/stall.ts";

const AGENTS = 20;
/** Events one at a time, a gossip round or more apart. */
const LONE = 60;
const PACE_MS = 450;
/** Events at once from one agent, each with as much payload as a VM's record takes. */
const BURST = 200;
const PAYLOAD_BYTES = 200;
/** After which an event that was not heard is taken as lost. */
const PATIENCE_MS = 15_000;

/** Time as the one or the other kind of agent has it. */
interface Pace {
  now(): number;
  pass(ms: number): Promise<void>;
}

/**
 * How true the simulated agents are, on which the figures of large clusters stand: the same events through as many real
 * ones. What is compared is when each other agent hears an event, and how many of a burst ever do.
 */
const bench: Bench = async () => {
  const real = await onRealAgents();
  const simulated = await onSimulatedAgents();
  const beside = (name: string, unit: string, of: (heard: Heard) => number): BenchRow => ({
    name: `${AGENTS} simulated agents, ${name}`,
    value: of(simulated),
    unit,
    comparedTo: "real agents",
    comparedValue: of(real),
    ratio: of(simulated) / of(real),
  });
  return [
    beside("one event, p50", "ms", ({ lone }) => percentile(lone, 0.5)),
    beside("one event, p99", "ms", ({ lone }) => percentile(lone, 0.99)),
    beside(`${BURST} at once, p50`, "ms", ({ burst }) => percentile(burst, 0.5)),
    beside(`${BURST} at once, p99`, "ms", ({ burst }) => percentile(burst, 0.99)),
    beside(`${BURST} at once, heard`, "%", ({ burst }) => 100 * burst.length / (BURST * (AGENTS - 1))),
  ];
};
export default bench;

/** After how many milliseconds each event was heard by each agent but its own. */
interface Heard {
  readonly lone: readonly number[];
  readonly burst: readonly number[];
}

async function onRealAgents(): Promise<Heard> {
  await using running = new AsyncDisposableStack();
  const agents: SerfAgent[] = [];
  let first: SerfProcess | undefined;
  for (let n = 0; n < AGENTS; n++) {
    const process = running.use(
      await SerfProcess.start({ name: `agent${n}`, profile: "lan", ...(first && { join: first }) }),
    );
    first ??= process;
    agents.push(running.use(await SerfAgent.open({ address: process.rpc, log: silentLogger })));
  }
  const pass = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  while ((await agents.at(0)?.members())?.length !== AGENTS) await pass(100);
  await pass(5_000); // what is said of the joins has been said
  return await hear(agents, { now: () => performance.now(), pass });
}

async function onSimulatedAgents(): Promise<Heard> {
  const time = new VirtualTime();
  const network = { up: () => true, loss: 0 };
  const serf = new SimSerf({ time, random: seededRandom(1), network });
  const agents = Array.from({ length: AGENTS }, (_, n) => serf.join(`agent${n}`));
  return await hear(agents, time);
}

async function hear(agents: readonly SerfPort[], pace: Pace): Promise<Heard> {
  const sent = new Map<string, number>();
  const heard = new Map<string, number[]>();
  for (const [n, agent] of agents.entries()) inBackground(listen(agent, n, pace, sent, heard));
  const names = (kind: string, count: number) => Array.from({ length: count }, (_, n) => `${kind}${n}`);
  const send = async (name: string, from: number) => {
    sent.set(name, pace.now());
    await agents[from]?.userEvent(`${from}:${name}`, new Uint8Array(PAYLOAD_BYTES));
  };
  const lone = names("lone", LONE);
  for (const [n, name] of lone.entries()) {
    await pace.pass(PACE_MS + 10 * (n % 20)); // at any moment of a gossip round
    await send(name, n % agents.length);
  }
  await pace.pass(PATIENCE_MS);
  const burst = names("burst", BURST);
  await Promise.all(burst.map((name) => send(name, 0)));
  await pace.pass(PATIENCE_MS);
  const timesOf = (wanted: readonly string[]) => wanted.flatMap((name) => heard.get(name) ?? []);
  return { lone: timesOf(lone), burst: timesOf(burst) };
}

async function listen(
  agent: SerfPort,
  number: number,
  pace: Pace,
  sent: ReadonlyMap<string, number>,
  heard: Map<string, number[]>,
): Promise<void> {
  for await (const event of agent.events) {
    if (event.kind !== "user") continue;
    const [from, name = ""] = event.name.split(":");
    const began = sent.get(name);
    if (began === undefined || Number(from) === number) continue;
    heard.set(name, [...heard.get(name) ?? [], pace.now() - began]);
  }
}
