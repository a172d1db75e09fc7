import type { Host, Hostresource } from "../../model/host.ts";
import type { Cpudef } from "../../model/vm.ts";
import { HostState } from "../../model/enums.ts";
import { Fields } from "./fields.ts";
import { oneOf } from "./vms.ts";

/** Something that a host is without. */
export interface HostCondition {
  /** One of HOST_PARTS, or of a later version. */
  readonly part: string;
  /** The end of a sentence about the host. */
  readonly reason: string;
  /** UTC milliseconds. */
  readonly since: number;
}

/** A host as HostList and its events have it. */
export interface HostItem {
  readonly uuid: string;
  readonly name: string;
  readonly arch: string;
  readonly vendor: string;
  readonly cpu: Cpudef;
  readonly cstate: HostState;
  readonly conditions: readonly HostCondition[];
  /** MiB that further VMs can have. */
  readonly memoryAvailable: number;
  readonly hpAvailable: number;
  readonly osid: string;
  readonly osv: string;
  /** UTC milliseconds: when it was measured, and when the host was last heard of; 0: unknown. */
  readonly ts: number;
  readonly seen: number;
  /** The URL of its API, as hosts reach it; empty: unknown. */
  readonly api: string;
  /** The id of its storage; empty: unknown. */
  readonly storage: string;
  /** Whether Serf does not know it any more. */
  readonly gone: boolean;
  /** prototype or earlier: it does not heed all that is on shared storage; empty: it does. */
  readonly runs: string;
}

/** Reads an item of HostList. */
export function readHostItem(item: Fields): HostItem {
  const fields = item.object("fields");
  const arch = fields.object("cpuarch");
  return {
    uuid: item.text("uuid"),
    name: fields.text("name"),
    arch: arch.text("arch"),
    vendor: arch.text("vendor"),
    cpu: readCpu(fields.object("cpudef")),
    cstate: oneOf(HostState, fields.number("cstate")),
    conditions: readConditions(fields),
    memoryAvailable: fields.number("memoryavailable"),
    hpAvailable: fields.number("hpavailable"),
    osid: fields.text("osid"),
    osv: fields.text("osv"),
    ts: fields.number("ts"),
    seen: fields.numberOr("seen", 0),
    api: fields.textOr("api", ""),
    storage: fields.textOr("storage", ""),
    gone: fields.flagOr("gone", false),
    runs: fields.textOr("runs", ""),
  };
}

/** A host as HostGet has it. */
export interface HostDetails extends Host {
  readonly conditions: readonly HostCondition[];
  readonly seen: number;
  readonly gone: boolean;
  /** Room on the shared storage, MiB; undefined: not told. */
  readonly storageAvailable: number | undefined;
}

/** Reads the answer of HostGet. */
export function readHost(body: unknown): HostDetails {
  const host = new Fields(body, "host");
  const def = host.object("def");
  const arch = def.object("cpuarch");
  const sysinfo = def.object("sysinfo");
  const resources = host.object("resources");
  return {
    uuid: host.text("uuid"),
    def: {
      name: def.text("name"),
      cpuarch: { arch: arch.text("arch"), vendor: arch.text("vendor") },
      cpudef: readCpu(def.object("cpudef")),
      tscfreq: def.number("tscfreq"),
      sysinfo: { version: sysinfo.text("version"), date: sysinfo.text("date") },
      osid: def.text("osid"),
      osv: def.text("osv"),
    },
    cstate: oneOf(HostState, host.number("cstate")),
    conditions: readConditions(host),
    lockid: host.number("lockid"),
    resources: {
      memory: readResource(resources.object("memory")),
      hp: readResource(resources.object("hp")),
      cpu: readResource(resources.object("cpu")),
    },
    ts: host.number("ts"),
    seen: host.numberOr("seen", 0),
    gone: host.flagOr("gone", false),
    storageAvailable: host.raw("storageavailable") === undefined
      ? undefined
      : host.number("storageavailable"),
  };
}

/** What a host is without; hosts of earlier versions and of the prototype do not tell. */
function readConditions(fields: Fields): readonly HostCondition[] {
  if (fields.raw("conditions") === undefined) return [];
  return fields.list("conditions").map((condition) => ({
    part: condition.text("part"),
    reason: condition.text("reason"),
    since: condition.number("since"),
  }));
}

/** Reads CPU model and topology. */
export function readCpu(cpu: Fields): Cpudef {
  return {
    model: cpu.text("model"),
    nodes: cpu.number("nodes"),
    sockets: cpu.number("sockets"),
    cores: cpu.number("cores"),
    threads: cpu.number("threads"),
  };
}

function readResource(resource: Fields): Hostresource {
  return {
    total: resource.number("total"),
    used: resource.number("used"),
    free: resource.number("free"),
    usedos: resource.number("usedos"),
    reservedvms: resource.number("reservedvms"),
    usedvms: resource.number("usedvms"),
    availablevms: resource.number("availablevms"),
  };
}
