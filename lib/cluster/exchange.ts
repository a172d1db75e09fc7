import { z } from "zod";
import { HostState, Runstate } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Host } from "../model/host.ts";
import { HOST_VMS_MAX, INT16_MAX, TOLD_FIELDS_MAX, TOLD_TEXT_MAX, VLAN_MAX } from "../model/limits.ts";
import { isUuid } from "../model/uuid.ts";
import type { VmInfo } from "../model/vm.ts";
import { type HostReport, HostReportSchema } from "./host_report.ts";
import type { Stamp } from "./stamp.ts";

/**
 * What hosts ask each other over HTTP, as plain JSON data. Gossip is quick, but may be lost; this is what makes it good.
 * Unknown fields are ignored, so that later versions can add some.
 */

/** How far somebody's knowledge of an origin goes. */
export interface VectorEntry extends Stamp {
  readonly uuid: string;
  /** How many VMs it has: what a state will hold. */
  readonly count: number;
  /** The origin was away, and what is known of it may date from before that. */
  readonly doubted?: boolean | undefined;
}

/** How far somebody's knowledge goes. */
export interface Vector {
  /** The host that is asked. */
  readonly uuid: string;
  /** Of all entries, 16 hexadecimal digits: equal digests are equal vectors. */
  readonly digest: string;
  readonly origins: readonly VectorEntry[];
}

/** The wish to be told of an origin. */
export interface Want {
  readonly uuid: string;
  /** What is known already: then it is enough to be told of what has changed since. Undefined: everything. */
  readonly since: { readonly epoch: number; readonly seq: number } | undefined;
}

/** What an origin has, at a point of its own counting. */
export interface OriginState extends Stamp {
  readonly uuid: string;
  /** Undefined: not known yet. */
  readonly host: Host | undefined;
  /** What it reports; undefined: it does not, or who tells of it does not know. */
  readonly report?: HostReport | undefined;
  /** Of the same epoch: `vms` and `gone` are what has changed after it. Undefined: `vms` are all. */
  readonly base: number | undefined;
  /** As the origin says they are. */
  readonly vms: readonly VmInfo[];
  /** The UUIDs of those that it has no more. */
  readonly gone: readonly string[];
}

/** UTF-16 units; what a request may hold is a quarter of it. */
const CUSTOM_VALUE_TOLD_MAX = 4096;

const Uuid = z.string().refine(isUuid, "must be a UUID");
const Int = z.int().nonnegative();
const Int16 = Int.max(INT16_MAX);
const Size = z.int32();
const Text = z.string().max(TOLD_TEXT_MAX);
const Digest = z.string().regex(/^[0-9a-f]{16}$/);
const stamp = { epoch: Int.positive(), seq: Int, digest: Digest };

const VectorSchema = z.object({
  uuid: Uuid,
  digest: Digest,
  origins: z.array(z.object({ uuid: Uuid, ...stamp, count: Int, doubted: z.boolean().optional() })),
});

const WantsSchema = z.array(z.object({
  uuid: Uuid,
  since: z.object({ epoch: Int.positive(), seq: Int }).optional(),
}));

const Resource = z.object({
  total: Size,
  used: Size,
  free: Size,
  usedos: Size,
  reservedvms: Size,
  usedvms: Size,
  availablevms: Size,
});

const HostSchema = z.object({
  uuid: Uuid,
  def: z.object({
    name: Text,
    cpuarch: z.object({ arch: Text, vendor: Text }),
    cpudef: z.object({ model: Text, nodes: Int16, sockets: Int16, cores: Int16, threads: Int16 }),
    tscfreq: Int,
    sysinfo: z.object({ version: Text, date: Text }),
    osid: Text,
    osv: Text,
  }),
  cstate: z.literal(Object.values(HostState)),
  lockid: Int16,
  resources: z.object({ memory: Resource, hp: Resource, cpu: Resource }),
  ts: Int,
});

const VmSchema = z.object({
  uuid: Uuid,
  name: Text,
  host: Uuid,
  runstate: z.literal(Object.values(Runstate)),
  vlanid: Int.max(VLAN_MAX),
  custom: z.array(z.object({ name: Text, value: z.string().max(CUSTOM_VALUE_TOLD_MAX) })).max(
    TOLD_FIELDS_MAX,
  ),
  vcpus: Int16,
  ts: Int,
});

const StatesSchema = z.array(
  z.object({
    uuid: Uuid,
    ...stamp,
    host: HostSchema.optional(),
    report: HostReportSchema,
    base: Int.optional(),
    vms: z.array(VmSchema).max(HOST_VMS_MAX),
    gone: z.array(Uuid).max(HOST_VMS_MAX).default([]),
  }).refine(
    (state) =>
      (state.host?.uuid ?? state.uuid) === state.uuid && state.vms.every((vm) => vm.host === state.uuid),
    "must be of one origin only",
  ),
);

/**
 * Makes sure of a peer's answer.
 * @throws {VirtxError} kind invalid, as do the next two
 */
export function parseVector(value: unknown): Vector {
  return parse(VectorSchema, value, "the vector");
}

/** Makes sure of a peer's question. */
export function parseWants(value: unknown): readonly Want[] {
  return parse(WantsSchema, value, "the wants").map(({ uuid, since }) => ({ uuid, since }));
}

/** Makes sure of a peer's answer. */
export function parseStates(value: unknown): readonly OriginState[] {
  return parse(StatesSchema, value, "the states")
    .map((state) => ({ ...state, host: state.host, base: state.base }));
}

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => ({ field: path.join("."), message }));
  const [first] = issues;
  throw new VirtxError("invalid", `Cannot take over ${what}: ${first?.field} ${first?.message}`, { issues });
}
