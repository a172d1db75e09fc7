import { HostState, Runstate } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import { normaliseVmdef } from "../../model/normalise.ts";
import type { CustomField, Vmdef, Vmstats } from "../../model/vm.ts";
import { Fields } from "./fields.ts";

/** A VM as VmList and its events have it. */
export interface VmItem {
  readonly uuid: string;
  readonly name: string;
  /** UUID of its host. */
  readonly host: string;
  readonly runstate: Runstate;
  /** What its host said last; `runstate` is none while that host is not active. */
  readonly lastrunstate: Runstate;
  /** State of its host. */
  readonly cstate: HostState;
  readonly vlanid: number;
  /** The field that was filtered by, else the first; undefined: it has none. */
  readonly custom: CustomField | undefined;
  /** UTC milliseconds: when this was last known, and when its host last confirmed it; 0: unknown. */
  readonly ts: number;
  readonly seen: number;
}

/** Reads an item of VmList. */
export function readVmItem(item: Fields): VmItem {
  const fields = item.object("fields");
  const runstate = oneOf(Runstate, fields.number("runstate"));
  const custom = fields.object("custom");
  return {
    uuid: item.text("uuid"),
    name: fields.text("name"),
    host: fields.text("host"),
    runstate,
    lastrunstate: oneOf(Runstate, fields.numberOr("lastrunstate", runstate)),
    cstate: oneOf(HostState, fields.numberOr("cstate", HostState.active)),
    vlanid: fields.number("vlanid"),
    custom: custom.text("name") === ""
      ? undefined
      : { name: custom.text("name"), value: custom.text("value") },
    ts: fields.number("ts"),
    seen: fields.numberOr("seen", 0),
  };
}

/** A VM as VmGet has it. */
export interface VmDetails {
  readonly uuid: string;
  readonly def: Vmdef;
  /** What libvirt calls it, if that is another name; else empty. */
  readonly libvirtName: string;
  /** Why `def` is no more than a part of the definition; empty: it is all. */
  readonly flaw: string;
  readonly runstate: Runstate;
  /** Why it is so; empty: nothing is to be said. */
  readonly reason: string;
  /** UUID of its host. */
  readonly host: string;
  readonly stats: Vmstats;
  readonly ts: number;
  /** Of the definition, for If-Match; undefined: the VM's host is of a version without. */
  readonly tag: string | undefined;
}

/** Reads the answer of VmGet. */
export function readVm(body: unknown): Omit<VmDetails, "tag"> {
  const vm = new Fields(body, "VM");
  const runinfo = vm.object("runinfo");
  vm.object("def").object("osdisk");
  return {
    uuid: vm.text("uuid"),
    // Completed and not taken apart: a server that sends a definition of another shape would refuse ours as well.
    def: normaliseVmdef(vm.raw("def") as Vmdef),
    libvirtName: vm.textOr("libvirtname", ""),
    flaw: vm.textOr("flaw", ""),
    runstate: oneOf(Runstate, runinfo.number("runstate")),
    reason: runinfo.textOr("reason", ""),
    host: runinfo.text("host"),
    stats: readStats(vm.object("stats")),
    ts: vm.number("ts"),
  };
}

function readStats(stats: Fields): Vmstats {
  const operations = stats.object("oplog").raw("items");
  return {
    cpu_utilization: stats.number("cpu_utilization"),
    mhz_used: stats.number("mhz_used"),
    memory_capacity: stats.number("memory_capacity"),
    memory_used: stats.number("memory_used"),
    disk_capacity: stats.number("disk_capacity"),
    disk_allocation: stats.number("disk_allocation"),
    disk_physical: stats.number("disk_physical"),
    net_rx_bw: stats.number("net_rx_bw"),
    net_tx_bw: stats.number("net_tx_bw"),
    oplog: { items: Array.isArray(operations) ? operations : [] },
  };
}

/**
 * A number as the enumeration's value.
 * @throws VirtxError internal, if the enumeration has no such value
 */
export function oneOf<E extends Readonly<Record<string, number>>>(enumeration: E, value: number): E[keyof E] {
  for (const candidate of Object.values(enumeration)) if (candidate === value) return candidate as E[keyof E];
  throw new VirtxError(
    "internal",
    `The server's answer has a code that this version does not know: ${value}`,
  );
}
