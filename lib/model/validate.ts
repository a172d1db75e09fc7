import { isDeepStrictEqual } from "node:util";
import { DiskDevice, NetType } from "./enums.ts";
import type { FieldIssue } from "./error.ts";
import { isKeptNet, kindOfNet } from "./kept.ts";
import {
  BRIDGE_NAME_MAX,
  CUSTOM_FIELDS_MAX,
  CUSTOM_NAME_MAX,
  CUSTOM_VALUE_MAX,
  EXTRA_DISKS_MAX,
  HUGEPAGE_MIB,
  INT16_MAX,
  MEMORY_MAX_MIB,
  NAME_MAX,
  NETS_MAX,
  VCPUS_MAX,
  VLAN_MAX,
} from "./limits.ts";
import { duplicates, Issues, nameProblem, textProblem } from "./rules.ts";
import { isUuid } from "./uuid.ts";
import { validateDisk } from "./validate_disk.ts";
import { allDisks, type CustomField, type Disk, type Net, vcpus, type Vmdef } from "./vm.ts";

/**
 * All that is wrong with a definition whose shape (types, enumerations) is sound already: ranges, texts, and what
 * fields mean together. Fields are named as `disks[2].bus`. Whether a host can run it, its libvirt will say.
 *
 * @param old the definition that the VM has, maybe from other tools, which obey no such rules: what stays of it is not looked at
 */
export function validateVmdef(def: Vmdef, old?: Vmdef): readonly FieldIssue[] {
  const issues = issuesOf(def);
  if (old === undefined || issues.length === 0) return issues;
  const disks = stayingItems(allDisks(def).map(unsized), allDisks(old).map(unsized));
  const lists: Readonly<Record<string, ReadonlySet<number>>> = {
    disks: new Set([...disks].map((position) => position - 1)), // the OS disk is the first
    nets: stayingItems(def.nets, old.nets),
    custom: stayingItems(def.custom, old.custom),
  };
  return issues.filter(({ field }) => {
    const [, name = "", index] = /^(\w+)(?:\[(\d+)\])?/.exec(field) ?? [];
    if (name === "osdisk") return !disks.has(0);
    if (index !== undefined) return !lists[name]?.has(Number(index));
    return !isDeepStrictEqual(partOf(def, field), partOf(old, field));
  });
}

/** The positions of items that are among the old ones; of equal ones as many as there were. */
function stayingItems<T>(items: readonly T[], old: readonly T[]): ReadonlySet<number> {
  const left = [...old];
  return new Set(items.flatMap((item, position) => {
    const at = left.findIndex((before) => isDeepStrictEqual(before, item));
    if (at < 0) return [];
    left.splice(at, 1);
    return [position];
  }));
}

/** The XML of a VM has no sizes of disks. */
function unsized(disk: Disk): Disk {
  return { ...disk, size: 0 };
}

/** What a rule of a field that is no item of a list looks at. */
function partOf(def: Vmdef, field: string): unknown {
  const { cpudef, memory } = def;
  switch (field) {
    case "name":
      return def.name;
    case "cpudef.model":
      return cpudef.model;
    case "cpudef.threads":
      return cpudef.threads;
    case "memory.total":
      return [memory, cpudef.nodes];
    case "vlanid":
      return def.vlanid;
    case "genid":
      return def.genid;
    case "disks":
    case "nets":
    case "custom":
      return def[field].length;
    default:
      return cpudef;
  }
}

function issuesOf(def: Vmdef): readonly FieldIssue[] {
  const issues = new Issues();
  issues.report("name", nameProblem(def.name, NAME_MAX));
  validateCpu(issues, def);
  validateMemory(issues, def);
  validateDisks(issues, def);
  validateNets(issues, def.nets);
  issues.range("vlanid", def.vlanid, 0, VLAN_MAX);
  issues.check(
    def.genid === "" || def.genid === "auto" || isUuid(def.genid),
    "genid",
    'must be empty, "auto" or a UUID in lower case',
  );
  validateCustom(issues, def.custom);
  return issues.found;
}

/**
 * What is wrong with a name for a VM that has not had it so far: beside what {@link validateVmdef} asks of every name, it is
 * not to be taken for a flag.
 */
export function newNameProblem(name: string): string | undefined {
  if (name.startsWith("-")) return 'must not begin with "-", as flags do';
  return undefined;
}

/** libvirt's CPU models and modes. */
const CPU_MODEL = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/;

function validateCpu(issues: Issues, { cpudef }: Vmdef): void {
  issues.check(
    CPU_MODEL.test(cpudef.model),
    "cpudef.model",
    "must be the name of a CPU model, or host-model, host-passthrough or maximum",
  );
  const counts = (["nodes", "sockets", "cores"] as const).map((field) =>
    issues.range(`cpudef.${field}`, cpudef[field], 1, INT16_MAX)
  );
  counts.push(issues.check(cpudef.threads === 1, "cpudef.threads", "must be 1"));
  if (counts.includes(false)) return;
  issues.check(
    vcpus(cpudef) <= VCPUS_MAX,
    "cpudef",
    `must not give more than ${VCPUS_MAX} virtual CPUs: nodes × sockets × cores is ${vcpus(cpudef)}`,
  );
}

function validateMemory(issues: Issues, { memory, cpudef }: Vmdef): void {
  if (!issues.range("memory.total", memory.total, 1, MEMORY_MAX_MIB)) return;
  const page = memory.hp ? HUGEPAGE_MIB : 1;
  const nodes = Math.max(1, cpudef.nodes);
  const share = nodes > 1 ? " for each node" : "";
  issues.check(
    memory.total % (page * nodes) === 0,
    "memory.total",
    memory.hp
      ? `must be a multiple of a hugepage's ${HUGEPAGE_MIB} MiB${share}`
      : "must be an even share of whole MiB for each node",
  );
}

function validateDisks(issues: Issues, def: Vmdef): void {
  const max = EXTRA_DISKS_MAX;
  issues.check(def.disks.length <= max, "disks", `must be at most ${max} beside the OS disk`);
  const at = (position: number) => position === 0 ? "osdisk" : `disks[${position - 1}]`;
  const disks = allDisks(def);
  for (const [position, disk] of disks.entries()) validateDisk(issues, at(position), disk);
  // Drives without a medium are no two of the same.
  const paths = disks.map(({ path, device }, position) =>
    path === "" && device === DiskDevice.cdrom ? `empty ${position}` : path
  );
  for (const position of duplicates(paths)) {
    issues.add(`${at(position)}.path`, "must not be that of another disk of this VM");
  }
}

/** Lower case, unicast (IEEE 802: the lowest bit of the first byte is 0), not all zero. */
const MAC = /^(?!00(:00){5}$)[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/;

function validateNets(issues: Issues, nets: readonly Net[]): void {
  issues.check(nets.length <= NETS_MAX, "nets", `must be at most ${NETS_MAX}`);
  for (const [position, net] of nets.entries()) {
    const field = `nets[${position}].name`;
    issues.report(field, nameProblem(net.name, NAME_MAX)) && validateNetName(issues, field, net);
    issues.check(
      net.mac === "" || MAC.test(net.mac),
      `nets[${position}].mac`,
      "must be empty or a unicast MAC address in lower case, such as 52:54:00:12:34:56",
    );
  }
  // Those that libvirt is to choose do not count.
  const macs = nets.map((net, position) => net.mac === "" ? `chosen ${position}` : net.mac);
  for (const position of duplicates(macs)) {
    issues.add(`nets[${position}].mac`, "must not be that of another network interface of this VM");
  }
}

/** What Linux takes for a network device and libvirt's schema for a bridge. */
const BRIDGE_NAME = /^(?!\.{1,2}$)[A-Za-z0-9_.-]+$/;

function validateNetName(issues: Issues, field: string, net: Net): void {
  const { name, nettype } = net;
  if (isKeptNet(net)) {
    issues.add(
      field,
      `must be a bridge or a network: an interface of type "${kindOfNet(net)}" can only stay as it is`,
    );
  } else if (nettype === NetType.bridge) {
    issues.check(
      BRIDGE_NAME.test(name) && name.length <= BRIDGE_NAME_MAX,
      field,
      `must be at most ${BRIDGE_NAME_MAX} of A-Z a-z 0-9 _ . - for a bridge`,
    );
  } else {
    // libvirt keeps networks in files of their names.
    issues.check(!name.includes("/") && name !== "." && name !== "..", field, 'must not contain "/"');
  }
}

function validateCustom(issues: Issues, custom: readonly CustomField[]): void {
  issues.check(custom.length <= CUSTOM_FIELDS_MAX, "custom", `must be at most ${CUSTOM_FIELDS_MAX}`);
  for (const [position, field] of custom.entries()) {
    issues.report(`custom[${position}].name`, nameProblem(field.name, CUSTOM_NAME_MAX));
    issues.report(`custom[${position}].value`, textProblem(field.value, CUSTOM_VALUE_MAX));
  }
  for (const position of duplicates(custom.map((field) => field.name))) {
    issues.add(`custom[${position}].name`, "must not be that of another custom field of this VM");
  }
}
