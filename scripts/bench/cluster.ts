import { HostState } from "../../lib/model/enums.ts";
import { ClusterSim } from "../../tests/support/cluster_sim.ts";
import { ClusterWatch } from "../../tests/support/cluster_watch.ts";
import { prototypeTraffic } from "../../tests/support/prototype_traffic.ts";
import { atMost, type Bench, type BenchRow } from "./row.ts";
import { percentile } from "./support/stall.ts";

const HOSTS = 100;
const VMS = 100;
const SIZE = `${HOSTS} × ${VMS}`;
const MINUTE_MS = 60_000;
const PARTITION_MS = 10 * MINUTE_MS;

/** The cluster's knowledge at 100 hosts with 100 VMs each, on simulated agents in virtual time. */
const bench: Bench = async () => {
  using sim = new ClusterSim({ hosts: HOSTS, vmsPerHost: VMS });
  await sim.start();
  const rows = [row(`${SIZE}: all hosts start together, until all know all`, sim.time.now(), "ms")];
  await sim.time.pass(2 * MINUTE_MS);
  using watch = new ClusterWatch(sim);
  for (const [name, rate] of [["idle", 0], ["1 change/s", 1], ["10 changes/s", 10]] as const) {
    rows.push(...await traffic(sim, watch, name, rate));
  }
  const { latencies } = watch;
  rows.push(row(`${SIZE}: change known on another host, p50`, percentile(latencies, 0.5), "ms"));
  rows.push(atMost(`${SIZE}: change known on another host, p99`, percentile(latencies, 0.99), "ms", 2000));
  rows.push(row(`${SIZE}: change known on another host, longest`, percentile(latencies, 1), "ms"));
  return [...rows, ...await partition(sim, watch)];
};
export default bench;

/** What is sent in a minute while so much changes. */
async function traffic(
  sim: ClusterSim,
  watch: ClusterWatch,
  name: string,
  changesPerSecond: number,
): Promise<BenchRow[]> {
  const before = { ...sim.serf.traffic };
  if (changesPerSecond > 0) await watch.churn(changesPerSecond, MINUTE_MS);
  else await sim.time.pass(MINUTE_MS);
  const { events, bytes } = sim.serf.traffic;
  const prototype = prototypeTraffic(HOSTS, VMS, changesPerSecond);
  const beside = (what: string, value: number, unit: string, comparedValue: number): BenchRow => ({
    ...row(`${SIZE}, ${name}: ${what}`, value, unit),
    comparedTo: "the prototype's scheme, computed",
    comparedValue,
    ratio: value / comparedValue,
  });
  const mib = (count: number) => count / 2 ** 20;
  return [
    beside("events per minute", events - before.events, "events", prototype.events),
    beside("sent by all agents per minute", mib(bytes - before.bytes), "MiB", mib(prototype.bytes)),
  ];
}

/** Two halves that change apart for ten minutes. */
async function partition(sim: ClusterSim, watch: ClusterWatch): Promise<BenchRow[]> {
  const { hosts, time } = sim;
  sim.partition(hosts.slice(0, HOSTS / 2), hosts.slice(HOSTS / 2));
  await watch.churn(1, PARTITION_MS);
  sim.heal();
  const healed = time.now();
  const metMs = await time.until(() => allMet(sim), 2 * MINUTE_MS, 20) ?? Infinity;
  const agreed = await time.until(() => sim.agrees(), MINUTE_MS, 20);
  const repairMs = agreed === undefined ? Infinity : time.now() - healed;
  return [
    row(`${SIZE}: until Serf has met again after a partition of 10 min`, metMs, "ms"),
    atMost(`${SIZE}: until all know all after a partition of 10 min`, repairMs, "ms", 5000),
  ];
}

function allMet({ hosts }: ClusterSim): boolean {
  return hosts.every(({ inventory }) =>
    hosts.every(({ uuid }) => inventory.host(uuid)?.cstate === HostState.active)
  );
}

function row(name: string, value: number, unit: string): BenchRow {
  return { name, value, unit };
}
