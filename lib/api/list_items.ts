import type { HostEntry, VmEntry } from "../cluster/inventory.ts";
import type { VmQuery } from "../cluster/search.ts";
import type { MemberFacts } from "./inventory_operations.ts";

/**
 * The items of the lists, as JSON up to what is said of how fresh they are: that grows old while the entry stays the same.
 * {@link sealed} and {@link sealedHost} add it.
 */

/** Of the custom fields a list has room for one: the one that is asked for, else the first. */
export function renderVm(vm: VmEntry, wanted?: VmQuery["custom"]): string {
  const { uuid, name, host, runstate, vlanid, custom, ts, lastrunstate, cstate } = vm;
  const shown = wanted === undefined
    ? custom[0]
    : custom.find((field) => field.name === wanted.name && (wanted.value ?? field.value) === field.value);
  return open({
    uuid,
    fields: {
      name,
      host,
      runstate,
      vlanid,
      custom: shown ?? { name: "", value: "" },
      ts,
      lastrunstate,
      cstate,
    },
  });
}

export function renderHost({ uuid, def, cstate, conditions = [], resources, ts }: HostEntry): string {
  const { name, cpuarch, cpudef, osid, osv } = def;
  const memoryavailable = resources.memory.availablevms;
  const hpavailable = resources.hp.availablevms;
  return open({
    uuid,
    fields: { name, cpuarch, cpudef, cstate, memoryavailable, hpavailable, osid, osv, ts, conditions },
  });
}

/** The whole item. `seen`: when its host last confirmed it, UTC milliseconds. */
export function sealed(item: string, seen: number | undefined): string {
  return `${item},"seen":${seen ?? 0}}}`;
}

/** Likewise of a host. */
export function sealedHost(item: string, seen: number | undefined, member: MemberFacts): string {
  return `${item},"seen":${seen ?? 0},${JSON.stringify(member).slice(1)}}`;
}

/** JSON without the ends of the item and of its fields. */
function open(item: { readonly uuid: string; readonly fields: object }): string {
  return JSON.stringify(item).slice(0, -2);
}
