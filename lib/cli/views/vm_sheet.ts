import {
  DiskBus,
  DiskDevice,
  DiskManagement,
  DiskProvisioning,
  enumName,
  Firmware,
  NetModel,
  NetType,
} from "../../model/enums.ts";
import { isKeptDisk, isKeptNet, kindOfNet } from "../../model/kept.ts";
import type { Operation } from "../../model/operation.ts";
import { allDisks, type Cpudef, type Disk, type Net, vcpus } from "../../model/vm.ts";
import { age, amount, frequency, instantOrNull, percent, rate, span } from "../output/human.ts";
import { definitionTree } from "../definition/print.ts";
import type { Printer } from "../output/printer.ts";
import { renderSheet, type SheetPart } from "../output/sheet.ts";
import { formatSize } from "../output/units.ts";
import type { VmDetails } from "../server/vms.ts";
import { hyphenated, operationWord, runstateStyle, runstateWord } from "./words.ts";

/** What is said behind the state. */
const REASON_WORDS: ReadonlyMap<string, string> = new Map([
  ["io_error", " by an I/O error: see to its storage"],
  [
    "not_defined",
    ": libvirt on its host does not have it; virtx vm register defines it again from what is registered, below",
  ],
  ["host_away", ": its host is away; below is what it has registered"],
]);

/** All about a VM, for people. */
export async function vmSheet(
  vm: VmDetails,
  o: { readonly hostName: (uuid: string) => string; readonly now: number; readonly printer: Printer },
): Promise<string> {
  const { def, stats } = vm;
  const { printer, now } = o;
  const parts: SheetPart[] = [
    {
      lines: [
        ["Name", def.name],
        ["UUID", vm.uuid],
        ...vm.libvirtName === "" ? [] : [["In libvirt", vm.libvirtName] as const],
        [
          "State",
          runstateWord(vm.runstate) + (REASON_WORDS.get(vm.reason) ?? ""),
          vm.reason !== "" ? "red" : runstateStyle(vm.runstate),
        ],
        ...vm.flaw === "" ? [] : [["Definition", `only a part of it: ${vm.flaw}`, "red"] as const],
        ["Host", o.hostName(vm.host)],
        ["CPUs", cpuText(def.cpudef)],
        ["Memory", `${formatSize(def.memory.total)}${def.memory.hp ? " of hugepages" : ""}`],
        ["Firmware", enumName(Firmware, def.firmware)],
        ...def.vlanid === 0 ? [] : [["VLAN", String(def.vlanid)] as const],
        ...def.genid === "" ? [] : [["Generation id", def.genid] as const],
        ...def.numa.placement ? [["NUMA", "placed by numad"] as const] : [],
        ...def.custom.map(({ name, value }) => [name, value] as const),
      ],
    },
    { heading: "Disks", table: await printer.table({ columns: DISK_COLUMNS }, allDisks(def), INDENT) },
  ];
  if (def.nets.length > 0) {
    parts.push({
      heading: "Networks",
      table: await printer.table({ columns: NET_COLUMNS }, def.nets, INDENT),
    });
  }
  if (vm.ts > 0) { // else nobody has measured
    parts.push({
      heading: `Figures, ${age(vm.ts, now)} old`,
      lines: [
        ["CPU", `${percent(stats.cpu_utilization, 100 * vcpus(def.cpudef))} (${frequency(stats.mhz_used)})`],
        ["Memory", `${amount(stats.memory_capacity)}; QEMU takes ${amount(stats.memory_used)}`],
        ["Disks", `${amount(stats.disk_physical)} on storage, of ${amount(stats.disk_capacity)}`],
        ["Network", `${rate(stats.net_rx_bw)} in, ${rate(stats.net_tx_bw)} out`],
      ],
    });
  }
  const operations = [...stats.oplog.items].sort((a, b) => b.ts - a.ts);
  if (operations.length > 0) {
    parts.push({
      heading: "Last operations",
      table: await printer.table({ columns: operationColumns(now) }, operations, INDENT),
    });
  }
  return renderSheet(parts, printer.terminal.colours);
}

/** The record of a VM for programs, with words for codes. */
export function vmRecord(
  vm: VmDetails,
  hostName: (uuid: string) => string,
): Readonly<Record<string, unknown>> {
  const { oplog, ...stats } = vm.stats;
  return {
    uuid: vm.uuid,
    name: vm.def.name,
    libvirtname: vm.libvirtName || null,
    state: runstateWord(vm.runstate),
    reason: vm.reason || null,
    host: hostName(vm.host),
    hostuuid: vm.host,
    def: definitionTree(vm.def),
    stats,
    operations: oplog.items.map(({ op, ts, te, status, msg }) => ({
      op,
      started: instantOrNull(ts),
      ended: instantOrNull(te),
      status,
      message: msg,
    })),
    updated: instantOrNull(vm.ts),
  };
}

/** "2 (1 socket × 2 cores), maximum". */
export function cpuText(cpu: Cpudef): string {
  const parts =
    ([["nodes", "node"], ["sockets", "socket"], ["cores", "core"], ["threads", "thread"]] as const)
      .filter(([field]) => cpu[field] > 1)
      .map(([field, word]) => `${cpu[field]} ${word}s`);
  const topology = parts.length > 0 ? ` (${parts.join(" × ")})` : "";
  return `${vcpus(cpu)}${topology}, model ${cpu.model || "-"}`;
}

/** Of what is below a heading; see renderSheet. */
const INDENT = 2;

/** What is said of what can be kept or removed, and not be changed. */
const KEPT = "kept as it is";

function diskText(disk: Disk): string {
  if (isKeptDisk(disk)) return `${disk.path} (${KEPT})`;
  return disk.path || "(empty)";
}

const DISK_COLUMNS = [
  { heading: "PATH", text: diskText, least: 16 },
  { heading: "DEVICE", text: ({ device }: Disk) => enumName(DiskDevice, device), spare: 2 },
  { heading: "BUS", text: ({ bus }: Disk) => hyphenated(enumName(DiskBus, bus)), spare: 1 },
  { heading: "SIZE", text: ({ size }: Disk) => size === 0 ? "-" : formatSize(size), right: true },
  { heading: "PROVISIONED", text: ({ prov }: Disk) => enumName(DiskProvisioning, prov), spare: 4 },
  { heading: "STORAGE", text: ({ man }: Disk) => enumName(DiskManagement, man), spare: 3 },
];

const NET_COLUMNS = [
  { heading: "NAME", text: (net: Net) => isKeptNet(net) ? `${net.name} (${KEPT})` : net.name },
  { heading: "TYPE", text: (net: Net) => isKeptNet(net) ? kindOfNet(net) : enumName(NetType, net.nettype) },
  { heading: "MODEL", text: ({ model }: Net) => enumName(NetModel, model), spare: 1 },
  { heading: "MAC", text: ({ mac }: Net) => mac },
];

function operationColumns(now: number) {
  return [
    { heading: "OPERATION", text: ({ op }: Operation) => operationWord(op) },
    {
      heading: "STATUS",
      text: ({ status }: Operation) => status,
      style: ({ status }: Operation) =>
        status === "failed" ? "red" as const : status === "started" ? "yellow" as const : undefined,
    },
    { heading: "AGO", text: ({ ts }: Operation) => age(ts, now), right: true },
    { heading: "TOOK", text: ({ ts, te }: Operation) => te > 0 ? took(te - ts) : "-", right: true, spare: 1 },
    { heading: "MESSAGE", text: ({ msg }: Operation) => msg, least: 10, wraps: true },
  ];
}

function took(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)}s` : span(ms);
}
