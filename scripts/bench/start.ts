import { LabDaemon } from "../../tests/lab/support/lab_daemon.ts";
import { TestLab } from "../../tests/lab/support/test_lab.ts";
import type { LabHost } from "../lab/host.ts";
import { HostProcess } from "../lab/host_process.ts";
import { until } from "../lab/until.ts";
import type { Bench, BenchRow } from "./row.ts";
import { isBuilt } from "./support/executable.ts";
import { percentile } from "./support/stall.ts";
import { TestBed } from "./support/test_bed.ts";

const PORT = 8080;
const DEFINED = 1000;
const STARTS = 5;
/** When the daemon has given back what only the start needed. */
const SETTLED_MS = 3_000;

/** The built executable on a lab host: how long it takes from its start to being ready, and what memory it has then. */
const bench: Bench = async ({ skip }) => {
  if (Deno.uid() !== 0 || !await isBuilt()) {
    skip("start and memory", Deno.uid() === 0 ? "run deno task build first" : "a lab needs root");
    return [];
  }
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  {
    await using _first = await LabDaemon.start(host); // Unpacks the runtime, which is done once on a host.
  }
  const empty = await median(() => startDaemon(host));
  {
    await using bed = await TestBed.open(host, "qemu+unix:///system");
    await bed.define(DEFINED);
  }
  const full = await median(() => startDaemon(host));
  const bare = await median(() => startRuntime(host));
  return [
    row("start to ready, 1,000 domains", full.ms, "ms", "the empty daemon", empty.ms, 500),
    row("start to ready, no domains", empty.ms, "ms", "the bare runtime", bare.ms),
    row("resident memory, 1,000 domains", full.rssMiB, "MiB", "the empty daemon", empty.rssMiB, 90),
    row("resident memory, no domains", empty.rssMiB, "MiB", "the bare runtime", bare.rssMiB),
  ];
};
export default bench;

interface Start {
  readonly ms: number;
  readonly rssMiB: number;
}

function row(
  name: string,
  value: number,
  unit: string,
  comparedTo: string,
  other: number,
  most?: number,
): BenchRow {
  const target = most === undefined ? {} : { target: `≤ ${most} ${unit}`, ok: value <= most };
  return { name, value, unit, comparedTo, comparedValue: other, ratio: value / other, ...target };
}

async function median(start: () => Promise<Start>): Promise<Start> {
  const starts: Start[] = [];
  for (let n = 0; n < STARTS; n++) starts.push(await start());
  const of = (figure: keyof Start) => percentile(starts.map((one) => one[figure]), 0.5);
  return { ms: of("ms"), rssMiB: of("rssMiB") };
}

async function startDaemon(host: LabHost): Promise<Start> {
  const argv = ["/usr/local/bin/virtxd", "--domain-type", "qemu"];
  const began = performance.now();
  await using process = await HostProcess.spawn(host, [
    ...argv,
    "--listen",
    `${host.address}:${PORT}`,
    "--insecure",
  ]);
  await until(
    `virtxd to be ready`,
    async () => {
      if (process.pid === undefined) throw new Error(`virtxd ended:\n${process.output}`);
      return await isReady(`http://${host.address}:${PORT}/readyz`) || undefined;
    },
    20_000,
    2,
  );
  return await settled(process, began);
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // It does not listen yet.
  }
}

/** The runtime that the executable carries, with a program that does nothing. */
async function startRuntime(host: LabHost): Promise<Start> {
  const [runtime = ""] = (await host.exec(["find", "/var/cache/virtxd", "-name", "deno"])).split("\n");
  const program = 'console.log("ready"); setInterval(() => {}, 1e6);';
  const began = performance.now();
  await using process = await HostProcess.spawn(host, [runtime, "eval", "--no-config", program], {
    env: { DENO_DIR: "/tmp/deno" },
  });
  await until("the runtime to start", () => Promise.resolve(process.output !== "" || undefined), 20_000, 2);
  return await settled(process, began);
}

async function settled({ pid }: HostProcess, began: number): Promise<Start> {
  const ms = performance.now() - began;
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return { ms, rssMiB: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024 };
}
