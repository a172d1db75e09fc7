import type { HostState, Runstate } from "../model/enums.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import type { HostEntry, HostKey, Inventory, VmEntry, VmKey } from "./inventory.ts";
import type { Entry, ReadonlyTable } from "./table.ts";

/** A key, with a leading "-" for descending order. */
export type Sort<K extends string> = K | `-${K}`;

/** Which part of a list is wanted; without a limit all of it. */
export interface PageOptions<K extends string> {
  /** By name, unless said otherwise. */
  readonly sort?: Sort<K> | undefined;
  readonly limit?: number | undefined;
  /** Go on after this cursor, the `next` of the page before. */
  readonly after?: string | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page begins; undefined: this is the last one. */
  readonly next: string | undefined;
  /** How many entries the filters let through, on all pages. */
  readonly total: number;
}

/** The filters of VmListOptions (protocol.md §1, "List filters"): all that are set must hold. */
export interface VmQuery extends PageOptions<VmKey> {
  /** Part of the name. */
  readonly name?: string | undefined;
  readonly host?: string | undefined;
  readonly runstate?: Runstate | undefined;
  /** What its host said last. */
  readonly lastrunstate?: Runstate | undefined;
  /** The state of its host. */
  readonly cstate?: HostState | undefined;
  readonly vlanid?: number | undefined;
  /** A custom field with this name and, if given, this value. */
  readonly custom?: { readonly name: string; readonly value?: string | undefined } | undefined;
  /** Entries not newer than this. */
  readonly ts?: number | undefined;
}

/** The filters of HostListOptions (protocol.md §1, "List filters"): all that are set must hold. */
export interface HostQuery extends PageOptions<HostKey> {
  /** Part of the name. */
  readonly name?: string | undefined;
  readonly arch?: string | undefined;
  readonly vendor?: string | undefined;
  /** The CPU model. */
  readonly model?: string | undefined;
  readonly cstate?: HostState | undefined;
  readonly osid?: string | undefined;
  readonly osv?: string | undefined;
  /** At least so many, as the next five. */
  readonly nodes?: number | undefined;
  readonly sockets?: number | undefined;
  readonly cores?: number | undefined;
  readonly threads?: number | undefined;
  /** MiB, as hpavailable. */
  readonly memoryavailable?: number | undefined;
  readonly hpavailable?: number | undefined;
  /** Entries not newer than this. */
  readonly ts?: number | undefined;
}

/**
 * A page of the VMs that pass the filters.
 * @throws {VirtxError} kind invalid, if the cursor is not one of this sort
 */
export function searchVms(inventory: Inventory, query: VmQuery): Page<VmEntry> {
  const { name, host, runstate, lastrunstate, cstate, vlanid, custom, ts } = query;
  const matches = (vm: VmEntry) =>
    (runstate === undefined || vm.runstate === runstate) &&
    (lastrunstate === undefined || vm.lastrunstate === lastrunstate) &&
    (cstate === undefined || vm.cstate === cstate) &&
    (vlanid === undefined || vm.vlanid === vlanid) &&
    (ts === undefined || vm.ts <= ts) &&
    (name === undefined || vm.name.includes(name)) &&
    (custom === undefined || vm.custom.some((field) =>
      field.name === custom.name && (custom.value === undefined || field.value === custom.value)
    ));
  const isFiltered = [name, runstate, lastrunstate, cstate, vlanid, custom, ts].some((filter) =>
    filter !== undefined
  );
  return page(inventory.vmTable, {
    matches: isFiltered ? matches : undefined,
    among: host === undefined ? undefined : inventory.vmsOf(host),
  }, query);
}

/**
 * A page of the hosts that pass the filters.
 * @throws {VirtxError} kind invalid, if the cursor is not one of this sort
 */
export function searchHosts(inventory: Inventory, query: HostQuery): Page<HostEntry> {
  const equal = <T>(wanted: T | undefined, actual: T) => wanted === undefined || actual === wanted;
  const atLeast = (wanted: number | undefined, actual: number) => wanted === undefined || actual >= wanted;
  const matches = ({ def, cstate, resources, ts }: HostEntry) =>
    (query.name === undefined || def.name.includes(query.name)) &&
    equal(query.arch, def.cpuarch.arch) &&
    equal(query.vendor, def.cpuarch.vendor) &&
    equal(query.model, def.cpudef.model) &&
    equal(query.cstate, cstate) &&
    equal(query.osid, def.osid) &&
    equal(query.osv, def.osv) &&
    atLeast(query.nodes, def.cpudef.nodes) &&
    atLeast(query.sockets, def.cpudef.sockets) &&
    atLeast(query.cores, def.cpudef.cores) &&
    atLeast(query.threads, def.cpudef.threads) &&
    atLeast(query.memoryavailable, resources.memory.availablevms) &&
    atLeast(query.hpavailable, resources.hp.availablevms) &&
    (query.ts === undefined || ts <= query.ts);
  return page(inventory.hostTable, { matches }, query);
}

/** Selects one entry more than the page holds, which tells whether there is a next page. */
function page<T extends Entry, K extends string>(
  table: ReadonlyTable<T, K | "name">,
  filter: { matches?: ((entry: T) => boolean) | undefined; among?: Iterable<T> | undefined },
  options: PageOptions<K | "name">,
): Page<T> {
  const sort = options.sort ?? "name";
  const reverse = sort.startsWith("-");
  const key = (reverse ? sort.slice(1) : sort) as K | "name";
  const limit = options.limit ?? Infinity;
  const after = options.after === undefined ? undefined : decodeCursor(sort, options.after);
  const { items, total } = table.select({
    key,
    reverse,
    after,
    limit: limit + 1,
    matches: filter.matches,
    among: filter.among,
  });
  const last = items.length > limit ? items[limit - 1] : undefined;
  if (items.length > limit) items.length = limit;
  return { items, total, next: last && encodeCursor(sort, table.placeOf(key, last)) };
}
