import { z } from "@hono/zod-openapi";
import type { HostKey, VmKey } from "../cluster/inventory.ts";
import type { HostQuery, Sort, VmQuery } from "../cluster/search.ts";
import { HostState, Runstate } from "../model/enums.ts";
import { INT16_MAX, INT32_MAX, VLAN_MAX } from "../model/limits.ts";
import type { DefinitionPermissions } from "../model/vm.ts";
import { Uuid } from "./schema_common.ts";

/**
 * The query parameters of the lists: the filters of protocol.md §1 "List filters", of which all that are given must hold,
 * and paging. Each arrives as text.
 */

/** The most entries that one page may be asked to have; without a limit the whole list is one page. */
const LIMIT_MAX = 10_000;

const VM_KEYS = ["name", "host", "runstate", "vlanid", "ts", "uuid"] as const satisfies readonly VmKey[];
const HOST_KEYS = [
  "name",
  "cstate",
  "memoryavailable",
  "hpavailable",
  "osid",
  "ts",
  "uuid",
] as const satisfies readonly HostKey[];

function filter(description: string) {
  return z.string().optional().openapi({ description });
}

export function integer(description: string, minimum: number, maximum: number) {
  return z.string().transform((digits, context) => {
    const value = /^\d{1,16}$/.test(digits) ? Number(digits) : NaN;
    if (value >= minimum && value <= maximum) return value;
    context.addIssue(`must be an integer from ${minimum} to ${maximum}`);
    return z.NEVER;
  }).optional().openapi({ type: "integer", minimum, maximum, description });
}

/** An enumeration's value by its name or its number: `runstate=running`, `runstate=4`. */
function enumerated<E extends Readonly<Record<string, number>>>(values: E, description: string) {
  const byText = new Map<string, E[keyof E]>();
  for (const [word, value] of Object.entries(values) as [string, E[keyof E]][]) {
    byText.set(word, value).set(String(value), value);
  }
  const texts = [...byText.keys()];
  return z.string().transform((text, context) => {
    const value = byText.get(text);
    if (value !== undefined) return value;
    context.addIssue(`must be one of ${texts.join(", ")}`);
    return z.NEVER;
  }).optional().openapi({ type: "string", enum: texts, description: `${description}, by name or number` });
}

function paging<K extends string>(keys: readonly K[]) {
  const sorts = keys.flatMap((key) => [key, `-${key}` as const]) as Sort<K>[];
  return {
    sort: z.enum(sorts).optional().openapi({
      description: 'What to sort by, name by default; a leading "-": descending',
    }),
    limit: integer("The most entries to answer; without it all", 1, LIMIT_MAX),
    cursor: z.string().optional().openapi({
      pattern: "^[A-Za-z0-9_-]+$",
      description: "Where to go on: the next of the page before, with the same sort",
    }),
  };
}

const notNewer = integer("Entries not newer than this, UTC milliseconds", 0, Number.MAX_SAFE_INTEGER);

export const VmListQuery = z.strictObject({
  name: filter("Part of the name"),
  host: Uuid.optional().openapi({ description: "UUID of the host" }),
  runstate: enumerated(Runstate, "State"),
  lastrunstate: enumerated(Runstate, "What its host said last"),
  cstate: enumerated(HostState, "State of its host"),
  vlanid: integer("VLAN id; 0: those without", 0, VLAN_MAX),
  "custom.name": filter("Name of a custom field that it has"),
  "custom.value": filter("The value of that field"),
  ts: notNewer,
  ...paging(VM_KEYS),
}).refine(
  (query) => query["custom.value"] === undefined || query["custom.name"] !== undefined,
  { path: ["custom.value"], error: "needs custom.name as well" },
);

export const HostListQuery = z.strictObject({
  name: filter("Part of the name"),
  arch: filter("Architecture: x86_64 or aarch64"),
  vendor: filter("Vendor of the CPU"),
  model: filter("CPU model"),
  nodes: integer("At least so many NUMA nodes", 0, INT16_MAX),
  sockets: integer("At least so many sockets in each node", 0, INT16_MAX),
  cores: integer("At least so many cores in each socket", 0, INT16_MAX),
  threads: integer("At least so many threads of each core", 0, INT16_MAX),
  cstate: enumerated(HostState, "State in the cluster"),
  memoryavailable: integer("At least so much memory for further VMs, MiB", 0, INT32_MAX),
  hpavailable: integer("At least so much in hugepages for further VMs, MiB", 0, INT32_MAX),
  osid: filter("ID of os-release(5)"),
  osv: filter("VERSION_ID of os-release(5)"),
  ts: notNewer,
  ...paging(HOST_KEYS),
});

/** The checked parameters of VmList as the inventory's search wants them. */
export function toVmQuery({ cursor, ...query }: z.output<typeof VmListQuery>): VmQuery {
  const { "custom.name": name, "custom.value": value, ...rest } = query;
  return { ...rest, after: cursor, custom: name === undefined ? undefined : { name, value } };
}

/** The checked parameters of HostList as the inventory's search wants them. */
export function toHostQuery({ cursor, ...query }: z.output<typeof HostListQuery>): HostQuery {
  return { ...query, after: cursor };
}

function dryRun(description: string) {
  return z.object({
    dry_run: z.enum(["true", "false"]).optional().openapi({ description: `true: ${description}` }),
  });
}

/** The query parameter of HostDomains. */
export const DomainNameQuery = z.strictObject({
  name: z.string().min(1).openapi({ description: "The name in libvirt, all of it" }),
});

/** The query parameter of VmMigrate. */
export const MigrateQuerySchema = dryRun("only tell whether it could be done, and where");

/** The query parameters of VmCreate and VmUpdate. */
export const DefinitionQuerySchema = dryRun("only tell what would be in the way; nothing is done").extend({
  duplicate_name: z.enum(["allow"]).optional().openapi({
    description: "allow: it may have the name of another VM, which without it is refused (409)",
  }),
});

/** What these parameters permit. */
export function permissionsOf(
  { duplicate_name }: z.output<typeof DefinitionQuerySchema>,
): DefinitionPermissions {
  return { duplicateName: duplicate_name === "allow" };
}
