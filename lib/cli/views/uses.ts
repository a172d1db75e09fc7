import { Runstate } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import { vcpus } from "../../model/vm.ts";
import type { Style } from "../output/colours.ts";
import { amount, frequency, percent, rate } from "../output/human.ts";
import type { View } from "../output/printer.ts";
import type { Cluster } from "../server/cluster.ts";
import type { HostDetails } from "../server/hosts.ts";
import type { VmDetails } from "../server/vms.ts";
import { conditionRecords } from "./conditions.ts";
import { hostStateStyle, hostStateText, hostStateWord, runstateStyle, runstateWord } from "./words.ts";

/** Questions at a time. */
const CONCURRENCY = 16;

/** What a host uses, and how many VMs it has. */
export interface HostUse {
  readonly host: HostDetails;
  readonly vms: number;
  readonly running: number;
}

/** What all hosts use, in that order. */
export async function hostUses(cluster: Cluster, sort: string): Promise<readonly HostUse[]> {
  const [hosts, vms] = await Promise.all([cluster.hosts(), cluster.vms()]);
  const uses = await each(hosts, async ({ uuid }) => {
    const own = vms.filter(({ host }) => host === uuid);
    return {
      host: await cluster.host(uuid),
      vms: own.length,
      running: own.filter(({ runstate }) => runstate === Runstate.running).length,
    };
  });
  return sorted(uses, sort, {
    name: ({ host }) => host.def.name,
    cpu: ({ host: { resources: { cpu } } }) => part(cpu.used, cpu.total),
    memory: ({ host: { resources: { memory } } }) => part(memory.used, memory.total),
  });
}

/** What the VMs of a host use, in that order. */
export async function vmUses(cluster: Cluster, host: string, sort: string): Promise<readonly VmDetails[]> {
  const vms = await cluster.vms({ host });
  return sorted(await each(vms, ({ uuid }) => cluster.vm(uuid)), sort, {
    name: ({ def }) => def.name,
    cpu: ({ stats }) => stats.cpu_utilization,
    memory: ({ stats }) => stats.memory_used,
  });
}

/** Hosts as `host top` shows them. */
export const hostUseView: View<HostUse> = {
  name: ({ host }) => host.def.name,
  columns: [
    { heading: "HOST", text: ({ host }) => host.def.name, least: 6 },
    {
      heading: "STATE",
      text: ({ host }) => hostStateText(host),
      style: ({ host }) => hostStateStyle(host),
    },
    {
      heading: "CPU",
      text: ({ host: { resources: { cpu } } }) => percent(cpu.used, cpu.total),
      style: ({ host: { resources: { cpu } } }) => loadStyle(part(cpu.used, cpu.total)),
      right: true,
    },
    { heading: "CPU USED", text: ({ host }) => frequency(host.resources.cpu.used), right: true, spare: 2 },
    {
      heading: "MEMORY",
      text: ({ host: { resources: { memory } } }) => percent(memory.used, memory.total),
      style: ({ host: { resources: { memory } } }) => loadStyle(part(memory.used, memory.total)),
      right: true,
    },
    { heading: "MEMORY USED", text: ({ host }) => amount(host.resources.memory.used), right: true, spare: 3 },
    { heading: "BY VMS", text: ({ host }) => amount(host.resources.memory.usedvms), right: true, spare: 4 },
    {
      heading: "LEFT",
      text: ({ host }) => amount(host.resources.memory.availablevms),
      right: true,
      spare: 1,
    },
    { heading: "RUNNING", text: ({ running }) => String(running), right: true },
    { heading: "VMS", text: ({ vms }) => String(vms), right: true, spare: 1 },
  ],
  record: ({ host, vms, running }) => ({
    uuid: host.uuid,
    name: host.def.name,
    state: hostStateWord(host.cstate),
    conditions: conditionRecords(host.conditions),
    resources: host.resources,
    vms,
    running,
  }),
};

/** VMs as `host top <host>` shows them. */
export const vmUseView: View<VmDetails> = {
  name: ({ def }) => def.name,
  columns: [
    { heading: "VM", text: ({ def }) => def.name, least: 8 },
    {
      heading: "STATE",
      text: ({ runstate }) => runstateWord(runstate),
      style: ({ runstate }) => runstateStyle(runstate),
    },
    {
      heading: "CPU",
      text: ({ stats, def }) => percent(stats.cpu_utilization, 100 * vcpus(def.cpudef)),
      style: ({ stats, def }) => loadStyle(part(stats.cpu_utilization, 100 * vcpus(def.cpudef))),
      right: true,
    },
    { heading: "CPUS", text: ({ def }) => String(vcpus(def.cpudef)), right: true, spare: 4 },
    { heading: "MEMORY", text: ({ stats }) => amount(stats.memory_used), right: true },
    { heading: "OF", text: ({ stats }) => amount(stats.memory_capacity), right: true, spare: 3 },
    { heading: "NET IN", text: ({ stats }) => rate(stats.net_rx_bw), right: true, spare: 1 },
    { heading: "NET OUT", text: ({ stats }) => rate(stats.net_tx_bw), right: true, spare: 2 },
  ],
  record: ({ uuid, def, runstate, stats: { oplog: _oplog, ...stats } }) => ({
    uuid,
    name: def.name,
    state: runstateWord(runstate),
    cpus: vcpus(def.cpudef),
    stats,
  }),
};

function part(used: number, total: number): number {
  return total > 0 ? used / total : 0;
}

function loadStyle(load: number): Style | undefined {
  if (load >= 0.9) return "red";
  return load >= 0.7 ? "yellow" : undefined;
}

/** By name, or with the greatest first. */
function sorted<T>(
  all: readonly T[],
  key: string,
  of: {
    readonly name: (item: T) => string;
    readonly cpu: (item: T) => number;
    readonly memory: (item: T) => number;
  },
): readonly T[] {
  const byName = [...all].sort((a, b) => of.name(a) < of.name(b) ? -1 : 1);
  if (key === "name") return byName;
  const figure = key === "memory" ? of.memory : of.cpu;
  return byName.sort((a, b) => figure(b) - figure(a));
}

/** Asks for each, some at a time; what is gone meanwhile, or on a host that is away, is left out. */
async function each<T, R>(items: readonly T[], ask: (item: T) => Promise<R>): Promise<readonly R[]> {
  const found: R[] = [];
  const rest = items.values();
  const work = async () => {
    for (const item of rest) {
      try {
        found.push(await ask(item));
      } catch (error) {
        if (!(error instanceof VirtxError) || error.kind === "internal") throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, work));
  return found;
}
