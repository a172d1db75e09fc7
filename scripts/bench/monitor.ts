import { cpuUsage } from "node:process";
import { awaitedLater } from "../../lib/model/background.ts";
import { Runstate } from "../../lib/model/enums.ts";
import { TestLab } from "../../tests/lab/support/test_lab.ts";
import { manyTestDomains, testDomainXml } from "../../tests/support/test_driver.ts";
import type { LabHost } from "../lab/host.ts";
import { until } from "../lab/until.ts";
import { atMost, type Bench, type BenchRow } from "./row.ts";
import type { RpcCounter } from "./support/rpc_counter.ts";
import { percentile, type Stall, StallWatch } from "./support/stall.ts";
import { TestBed } from "./support/test_bed.ts";

const CYCLES = 200;
const DEFINED = 300;
const STARTED = 5;
const PAUSES = 20;

/** The monitor of a host, on a lab host's libvirtd: what a cycle asks, costs, and keeps the main thread from. */
const bench: Bench = async ({ skip }) => {
  if (Deno.uid() !== 0) {
    skip("the monitor", "a lab needs root");
    return [];
  }
  await using lab = await TestLab.up({ hosts: 1 });
  return [...await testDriver(lab.host()), ...await qemu(lab.host())];
};
export default bench;

/** A thousand domains of libvirt's test driver, which libvirtd offers beside QEMU. */
async function testDriver(host: LabHost): Promise<BenchRow[]> {
  const node = `<node>\n${manyTestDomains(1000).map(testDomainXml).join("")}</node>\n`;
  await Deno.writeTextFile(await host.path("/tmp/node.xml"), node);
  await using bed = await TestBed.open(host, "test+unix:///tmp/node.xml");
  return await measureCycles(bed, "1,000 domains (test driver)");
}

/** Real domains, most of them off. */
async function qemu(host: LabHost): Promise<BenchRow[]> {
  await using bed = await TestBed.open(host, "qemu+unix:///system");
  const { hypervisor, monitor } = bed;
  const running = (await bed.define(DEFINED)).slice(0, STARTED);
  await host.exec(["mkdir", "-p", "/vms/ds"]);
  for (const uuid of running) await start(bed, host, uuid);
  const allKnown = () => Promise.resolve([...monitor.domains()].length === DEFINED || undefined);
  await until("all domains to be known", allKnown, 20_000);
  const rows = await measureCycles(bed, `${DEFINED} domains, ${STARTED} running (QEMU)`);
  rows.push(await measureEvents(bed, running[0] ?? ""));
  for (const uuid of running) await hypervisor.destroy(uuid, { graceful: false });
  return rows;
}

/** Gives a domain its disk, and starts it. */
async function start({ hypervisor }: TestBed, host: LabHost, uuid: string): Promise<void> {
  await host.exec(["qemu-img", "create", "-q", "-f", "qcow2", `/vms/ds/${uuid}.qcow2`, "64M"]);
  await hypervisor.start(uuid);
}

async function measureCycles(bed: TestBed, what: string): Promise<BenchRow[]> {
  const { hypervisor, monitor, counter } = bed;
  const uuids = Array.from(monitor.domains(), (domain) => domain.uuid);
  await monitor.sample();
  const bulk = await costs(CYCLES, counter, () => monitor.sample());
  const each = await costs(3, counter, async () => {
    for (const uuid of uuids) await hypervisor.state(uuid);
  });
  const idle = await costs(CYCLES, counter, () => new Promise((resolve) => setTimeout(resolve, bulk.ms)));
  const beside = (comparedTo: string, comparedValue: number, value: number) => ({
    comparedTo,
    comparedValue,
    ratio: value / comparedValue,
  });
  return [
    {
      ...atMost(`round trips per cycle, ${what}`, bulk.calls, "calls", 3),
      ...beside("asking for each state", each.calls, bulk.calls),
    },
    {
      ...atMost(`main-thread stall p99, ${what}`, bulk.ownStallMs, "ms", 20),
      ...beside("an idle process", idle.ownStallMs, bulk.ownStallMs),
    },
    {
      name: `the same, with waiting for a CPU, ${what}`,
      value: bulk.stallMs,
      unit: "ms",
      ...beside("an idle process", idle.stallMs, bulk.stallMs),
    },
    {
      name: `CPU per cycle, ${what}`,
      value: bulk.cpuMs,
      unit: "ms",
      ...beside("asking for each state", each.cpuMs, bulk.cpuMs),
    },
    {
      name: `time per cycle, ${what}`,
      value: bulk.ms,
      unit: "ms",
      ...beside("asking for each state", each.ms, bulk.ms),
    },
  ];
}

/** From libvirt's call to the new run state in the inventory, which the call itself is part of. */
async function measureEvents({ hypervisor, inventory }: TestBed, uuid: string): Promise<BenchRow> {
  const lateMs: number[] = [];
  const callMs: number[] = [];
  const steps = [[() => hypervisor.suspend(uuid), Runstate.paused], [
    () => hypervisor.resume(uuid),
    Runstate.running,
  ]] as const;
  for (let n = 0; n < PAUSES; n++) {
    for (const [act, expected] of steps) {
      const began = performance.now();
      const call = awaitedLater(act().then(() => callMs.push(performance.now() - began)));
      await until(
        "the event",
        () => Promise.resolve(inventory.vm(uuid)?.runstate === expected || undefined),
        5_000,
        1,
      );
      lateMs.push(performance.now() - began);
      await call;
    }
  }
  const value = percentile(lateMs, 0.99);
  const comparedValue = percentile(callMs, 0.99);
  return {
    ...atMost("pause or resume to inventory p99 (QEMU)", value, "ms", 50),
    comparedTo: "libvirt's answer to the call",
    comparedValue,
    ratio: value / comparedValue,
  };
}

/** What a task costs, on average; the stalls are the 99th percentile of the longest in each. */
async function costs(times: number, counter: RpcCounter, task: () => Promise<void>) {
  using watch = new StallWatch();
  const stalls: Stall[] = [];
  const calls = await counter.count();
  const began = performance.now();
  const cpu = cpuUsage();
  for (let n = 0; n < times; n++) {
    watch.takeLongest();
    await task();
    stalls.push(watch.takeLongest());
  }
  const { user, system } = cpuUsage(cpu);
  const ms = (performance.now() - began) / times;
  return {
    calls: (await counter.count() - calls) / times,
    cpuMs: (user + system) / 1000 / times,
    stallMs: percentile(stalls.map((stall) => stall.wallMs), 0.99),
    ownStallMs: percentile(stalls.map((stall) => stall.ownMs), 0.99),
    ms,
  };
}
