import type { Hostresource } from "../../model/host.ts";
import { vcpus } from "../../model/vm.ts";
import { age, amount, frequency, instantOrNull, percent } from "../output/human.ts";
import type { Printer } from "../output/printer.ts";
import { renderSheet, type SheetPart } from "../output/sheet.ts";
import type { HostDetails } from "../server/hosts.ts";
import type { VmItem } from "../server/vms.ts";
import { cpuText } from "./vm_sheet.ts";
import { conditionRecords } from "./conditions.ts";
import { hostStateStyle, hostStateText, hostStateWord, runstateStyle, runstateWord } from "./words.ts";

/** All about a host and the VMs on it, for people. */
export async function hostSheet(
  host: HostDetails,
  vms: readonly VmItem[],
  o: { readonly now: number; readonly printer: Printer },
): Promise<string> {
  const { def, resources } = host;
  const { printer, now } = o;
  const uses: readonly Use[] = [
    { name: "Memory", resource: resources.memory, text: amount },
    { name: "Hugepages", resource: resources.hp, text: amount },
    { name: "CPU", resource: resources.cpu, text: frequency },
  ].filter(({ resource }) => resource.total > 0);
  const parts: SheetPart[] = [
    {
      lines: [
        ["Name", def.name],
        ["UUID", host.uuid],
        ["State", stateText(host), hostStateStyle(host)],
        ...host.conditions.map(({ reason, since }) =>
          ["Not in order", `${reason}, for ${age(since, now)}`, "red"] as const
        ),
        ["Last heard of", host.seen > 0 ? `${age(host.seen, now)} ago` : "-"],
        ["CPUs", listed(cpuText(def.cpudef), def.cpuarch.vendor, def.cpuarch.arch)],
        ["System", `${def.osid} ${def.osv}`.trim()],
        ["Firmware", listed(def.sysinfo.version, def.sysinfo.date)],
        ...def.tscfreq > 0 ? [["TSC", frequency(def.tscfreq / 1e6)] as const] : [],
        ...host.storageAvailable !== undefined
          ? [["Storage left", `${amount(host.storageAvailable)}, shared by all hosts`] as const]
          : [],
        ...host.lockid > 0 ? [["Sanlock id", String(host.lockid)] as const] : [],
      ],
    },
  ];
  if (uses.length > 0) {
    parts.push({
      heading: `Resources, ${age(host.ts, now)} old`,
      table: await printer.table({ columns: USE_COLUMNS }, uses, INDENT),
    });
  }
  if (vms.length > 0) {
    parts.push({
      heading: `VMs (${vms.length})`,
      table: await printer.table({ columns: VM_COLUMNS }, vms, INDENT),
    });
  }
  return renderSheet(parts, printer.terminal.colours);
}

/** The record of a host for programs. */
export function hostRecord(host: HostDetails, vms: readonly VmItem[]): Readonly<Record<string, unknown>> {
  return {
    uuid: host.uuid,
    name: host.def.name,
    state: hostStateWord(host.cstate),
    gone: host.gone,
    conditions: conditionRecords(host.conditions),
    cpus: vcpus(host.def.cpudef),
    def: host.def,
    resources: host.resources,
    storageavailable: host.storageAvailable ?? null,
    lockid: host.lockid,
    measured: instantOrNull(host.ts),
    seen: instantOrNull(host.seen),
    vms: vms.map(({ uuid, name, runstate }) => ({ uuid, name, state: runstateWord(runstate) })),
  };
}

/** One resource and its unit. */
interface Use {
  readonly name: string;
  readonly resource: Hostresource;
  readonly text: (value: number) => string;
}

/** Of what is below a heading; see renderSheet. */
const INDENT = 2;

const USE_COLUMNS = [
  { heading: "RESOURCE", text: ({ name }: Use) => name },
  { heading: "TOTAL", text: ({ resource, text }: Use) => text(resource.total), right: true },
  { heading: "USED", text: ({ resource, text }: Use) => text(resource.used), right: true },
  { heading: "USED %", text: ({ resource }: Use) => percent(resource.used, resource.total), right: true },
  { heading: "BY HOST", text: ({ resource, text }: Use) => text(resource.usedos), right: true, spare: 3 },
  { heading: "BY VMS", text: ({ resource, text }: Use) => text(resource.usedvms), right: true, spare: 2 },
  {
    heading: "PROMISED",
    text: ({ resource, text }: Use) => text(resource.reservedvms),
    right: true,
    spare: 1,
  },
  { heading: "LEFT", text: ({ resource, text }: Use) => text(resource.availablevms), right: true },
];

const VM_COLUMNS = [
  { heading: "NAME", text: ({ name }: VmItem) => name },
  {
    heading: "STATE",
    text: ({ runstate }: VmItem) => runstateWord(runstate),
    style: ({ runstate }: VmItem) => runstateStyle(runstate),
  },
];

function stateText(host: HostDetails): string {
  const { gone, def } = host;
  const text = hostStateText(host);
  return gone
    ? `${text}: Serf does not know it any more; virtx host remove ${def.name} if it will not come back`
    : text;
}

/** What is known of these, separated by commas. */
function listed(...texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join(", ");
}
