import {
  DiskBus,
  DiskDevice,
  DiskManagement,
  DiskProvisioning,
  Firmware,
  NetModel,
  NetType,
} from "../../model/enums.ts";
import { allDisks, type Cpudef, type Disk, type Net, vcpus, type Vmdef } from "../../model/vm.ts";
import { formatSize } from "../output/units.ts";
import { wordOf } from "./words.ts";

/** One thing that differs between two definitions. Of an item that is only in one of them the other text is empty. */
export interface Difference {
  /** In words: `memory`, `disk /vms/ds/x.qcow2 bus`, `custom owner`. */
  readonly field: string;
  readonly before: string;
  readonly after: string;
}

/** All in which two definitions differ, in words; none if and only if they are the same. */
export function diffDefinitions(before: Vmdef, after: Vmdef): readonly Difference[] {
  return [
    ...changed("", overall(before), overall(after)),
    ...diffLists("disk", allDisks(before), allDisks(after), DISKS),
    ...diffLists("interface", before.nets, after.nets, NETS),
    ...diffLists("custom", before.custom, after.custom, CUSTOM),
  ];
}

/** `memory: 2 GiB → 4 GiB`, `disk /vms/ds/x.qcow2: added (20 GiB, virtio-blk)`. */
export function differenceText({ field, before, after }: Difference): string {
  if (before === "") return `${field}: added (${after})`;
  return after === "" ? `${field}: removed (${before})` : `${field}: ${before} → ${after}`;
}

/** Properties in words; none is empty. */
type Words = Readonly<Record<string, string>>;

function overall({ name, cpudef, memory, numa, osdisk, vlanid, firmware, genid }: Vmdef): Words {
  return {
    "name": name,
    "cpus": topology(cpudef),
    "cpu model": cpudef.model,
    "memory": formatSize(memory.total),
    "hugepages": onOff(memory.hp),
    "numa placement": onOff(numa.placement),
    "os disk": osdisk.path,
    "vlan": vlanid === 0 ? "none" : String(vlanid),
    "firmware": wordOf(Firmware, firmware),
    "genid": genid || "none",
  };
}

function onOff(value: boolean): string {
  return value ? "on" : "off";
}

/** `4`, or with more than one socket `8 (2 sockets × 4 cores)`. */
function topology(cpu: Cpudef): string {
  const counts = (["nodes", "sockets", "cores", "threads"] as const).filter((key) => cpu[key] !== 1);
  const simple = counts.every((key) => key === "cores");
  return simple
    ? String(cpu.cores)
    : `${vcpus(cpu)} (${counts.map((key) => `${cpu[key]} ${key}`).join(" × ")})`;
}

function changed(prefix: string, before: Words, after: Words): readonly Difference[] {
  return Object.keys(before).filter((key) => before[key] !== after[key])
    .map((key) => ({ field: prefix + key, before: before[key] ?? "", after: after[key] ?? "" }));
}

/** How to tell the items of a list apart and what to say of them. */
interface Kind<T> {
  /** What makes two items the same one, the surest first. */
  readonly same: readonly ((a: T, b: T) => boolean)[];
  readonly label: (item: T) => string;
  readonly words: (item: T) => Words;
}

const DISKS: Kind<Disk> = {
  same: [(a, b) => a.path === b.path],
  label: ({ path }) => path,
  words: ({ size, device, bus, man, prov }) => ({
    "size": size === 0 ? "size of the image" : formatSize(size),
    "device": wordOf(DiskDevice, device),
    "bus": wordOf(DiskBus, bus),
    "management": wordOf(DiskManagement, man),
    "provisioning": wordOf(DiskProvisioning, prov),
  }),
};

const NETS: Kind<Net> = {
  same: [
    (a, b) => a.mac === b.mac && a.name === b.name && a.nettype === b.nettype && a.model === b.model,
    (a, b) => a.mac === b.mac && a.mac !== "",
    (a, b) => a.name === b.name && a.nettype === b.nettype,
  ],
  label: ({ mac, name }) => mac || name,
  words: ({ name, nettype, model, mac }) => ({
    "connection": `${wordOf(NetType, nettype)} ${name}`,
    "model": wordOf(NetModel, model),
    "mac": mac || "chosen by libvirt",
  }),
};

const CUSTOM: Kind<Vmdef["custom"][number]> = {
  same: [(a, b) => a.name === b.name],
  label: ({ name }) => name,
  words: ({ value }) => ({ "value": JSON.stringify(value) }),
};

function diffLists<T>(
  what: string,
  before: readonly T[],
  after: readonly T[],
  kind: Kind<T>,
): readonly Difference[] {
  const partners = pair(before, after, kind.same);
  const kept = new Set(partners.values());
  const describe = (item: T) => Object.values(kind.words(item)).join(", ");
  return [
    ...before.flatMap((item) => {
      const partner = partners.get(item);
      const field = `${what} ${kind.label(item)}`;
      if (partner === undefined) return [{ field, before: describe(item), after: "" }];
      return changed(`${field} `, kind.words(item), kind.words(partner));
    }),
    ...after.filter((item) => !kept.has(item))
      .map((item) => ({ field: `${what} ${kind.label(item)}`, before: "", after: describe(item) })),
    ...diffOrder(
      what,
      before.filter((item) => partners.has(item)),
      after.filter((item) => kept.has(item)),
      partners,
      kind,
    ),
  ];
}

/** For each item the one that it has become: by the surest sign of sameness first. */
function pair<T>(
  before: readonly T[],
  after: readonly T[],
  signs: readonly ((a: T, b: T) => boolean)[],
): ReadonlyMap<T, T> {
  const partners = new Map<T, T>();
  const left = new Set(after);
  for (const same of signs) {
    for (const item of before) {
      const partner = partners.has(item) ? undefined : [...left].find((other) => same(item, other));
      if (partner === undefined) continue;
      partners.set(item, partner);
      left.delete(partner);
    }
  }
  return partners;
}

/** What remains may have been put into another order, which decides what guests call it. */
function diffOrder<T>(
  what: string,
  before: readonly T[],
  after: readonly T[],
  partners: ReadonlyMap<T, T>,
  { label }: Kind<T>,
): readonly Difference[] {
  if (before.every((item, index) => partners.get(item) === after[index])) return [];
  const list = (items: readonly T[]) => items.map(label).join(", ");
  return [{ field: `order of ${what}s`, before: list(before), after: list(after) }];
}
