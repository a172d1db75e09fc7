import { awaitedLater } from "../../lib/model/background.ts";
import { LabCluster } from "../../tests/lab/support/lab_cluster.ts";
import { TestLab } from "../../tests/lab/support/test_lab.ts";
import { disk, SMALL_VMDEF } from "../../tests/support/vmdef_examples.ts";
import type { Bench, BenchRow } from "./row.ts";
import { EventPath } from "./support/event_path.ts";
import { isBuilt } from "./support/executable.ts";
import { percentile } from "./support/stall.ts";
import { wallClock } from "./support/wall_clock.ts";

const SAMPLES = 100;
/** Serf gossips every 200 ms: samples shall begin at any moment of that. */
const SPREAD_MS = 400;
const MOST = 1.3;

const VM = {
  ...SMALL_VMDEF,
  name: "bench",
  osdisk: disk("/vms/ds/bench.qcow2", { man: 1, prov: 1, size: 8 }),
};
const RUNNING = 4;
const PAUSED = 5;

/**
 * Three real hosts: how long it takes from when a host shows a change of its own until another host does, beside how long a
 * bare user event takes between the same agents. The two take turns.
 */
const bench: Bench = async ({ skip }) => {
  if (Deno.uid() !== 0 || !await isBuilt()) {
    skip("news between hosts", Deno.uid() === 0 ? "run deno task build first" : "a lab needs root");
    return [];
  }
  await using lab = await TestLab.up({ hosts: 3 });
  await using cluster = await LabCluster.start(lab);
  await using path = await EventPath.open(cluster.host(1), cluster.host(2));
  const uuid = await cluster.daemon(1).json<string>("POST", "/vms", { vmdef: VM, host: "" });
  await cluster.daemon(1).json("POST", `/vms/${uuid}/runstate/boot`);
  await cluster.settled();
  const news: number[] = [];
  const events: number[] = [];
  for (let n = 0; n < SAMPLES; n++) {
    await pause();
    news.push(await measureChange(cluster, uuid, n % 2 === 0 ? PAUSED : RUNNING));
    await pause();
    events.push(await path.measure());
  }
  return [row("p50", news, events, 0.5), row("p99", news, events, 0.99)];
};
export default bench;

async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.random() * SPREAD_MS));
}

/** Changes a VM of host 1; for how long host 2 does not know yet what host 1 shows. */
async function measureChange(cluster: LabCluster, uuid: string, runstate: number): Promise<number> {
  const shown = awaitedLater(Promise.all([1, 2].map((n) => whenShown(cluster, n, uuid, runstate))));
  const method = runstate === PAUSED ? "POST" : "DELETE";
  await cluster.daemon(1).json(method, `/vms/${uuid}/runstate/pause`);
  const [here = NaN, there = NaN] = await shown;
  return there - here;
}

async function whenShown(cluster: LabCluster, n: number, uuid: string, runstate: number): Promise<number> {
  const daemon = cluster.daemon(n);
  while (await daemon.runstate(uuid) !== runstate) await new Promise((resolve) => setTimeout(resolve, 2));
  return wallClock();
}

function row(name: string, news: readonly number[], events: readonly number[], share: number): BenchRow {
  const [value, comparedValue] = [percentile(news, share), percentile(events, share)];
  const ratio = value / comparedValue;
  return {
    name: `change readable on another host, ${name}`,
    value,
    unit: "ms",
    comparedTo: "a bare user event",
    comparedValue,
    ratio,
    target: `≤ ${MOST} ×`,
    ok: ratio <= MOST,
  };
}
