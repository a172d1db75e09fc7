import { z } from "@hono/zod-openapi";
import type { HostEntry, Inventory } from "../cluster/inventory.ts";
import { isDefect } from "../model/defect.ts";
import { HostState } from "../model/enums.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import { hostOfId } from "../model/host_id.ts";
import { OPERATION_STATES } from "../vm/operation_record.ts";
import type { OperationFilter, Operations } from "../vm/operations.ts";
import type { Endpoints } from "./endpoints.ts";
import { HOST_HEADER, type OtherHosts, type Passing } from "./passing.ts";
import { respondJson } from "./respond.ts";
import { Uuid } from "./schema_common.ts";
import {
  type OperationListJson,
  OperationListSchema,
  toOperationJson,
  type TrackedOperationJson,
  TrackedOperationSchema,
} from "./schema_operation.ts";
import { integer } from "./schema_query.ts";

const LIMIT = 100;
const LIMIT_MAX = 1_000;
/** Hosts that are asked at a time, and how long each may take. */
const CONCURRENCY = 16;
const ANSWER_MS = 3_000;

/** What operations are looked up in and with. */
export interface OperationLookup {
  readonly operations: Operations;
  readonly inventory: Inventory;
  readonly hostUuid: string;
  readonly passing: Passing;
  readonly others: OtherHosts | undefined;
}

const OperationListQuery = z.strictObject({
  vm: Uuid.optional().openapi({ description: "UUID of the VM" }),
  state: z.enum(OPERATION_STATES).optional(),
  host: Uuid.optional().openapi({ description: "Only those of this host; without it those of all hosts" }),
  limit: integer(`The most to answer, ${LIMIT} by default`, 1, LIMIT_MAX),
});

/** Looking up what became of changes that were asked for. */
export function addOperationOperations(endpoints: Endpoints, o: OperationLookup): void {
  const { operations, inventory } = o;

  endpoints.add({
    id: "OperationGet",
    method: "get",
    path: "/operations/{uuid}",
    tag: "Operations",
    summary: "What became of a change",
    description:
      "By the id in X-VirtX-Operation, on any host. An operation is kept for a day after its end, by the host that carried " +
      "it out: across restarts of virtxd, but not of the machine.",
    at: ({ uuid }) => hostOfId(uuid, hostUuids(inventory)),
    answers: { 200: { description: "The operation", schema: TrackedOperationSchema } },
  }, async ({ uuid }) => {
    const progress = await operations.progress(uuid);
    const operation = operations.get(uuid);
    if (operation) {
      const isRunning = operation.state === "running";
      const response = respondJson(200, { ...toOperationJson(operation), ...(isRunning && { progress }) });
      if (!isRunning) response.headers.set(HOST_HEADER, inventory.vm(operation.vm)?.host ?? o.hostUuid);
      return response;
    }
    throw new VirtxError(
      "not_found",
      `Cannot get operation ${uuid}: no host knows it, or it is too long ago`,
    );
  });

  endpoints.add({
    id: "OperationCancel",
    method: "delete",
    path: "/operations/{uuid}",
    tag: "Operations",
    summary: "Have a change given up that is under way",
    description:
      "A migration (VmMigrate) is aborted: the VM stays where it is. A VmCreate or VmUpdate can be given up until all its " +
      "disks are there, and is undone. It is answered when the operation has ended. What cannot be cancelled, or had ended " +
      "before, is refused with the reason (422); 504 says that it was asked to end, and will as soon as it can.",
    at: ({ uuid }) => hostOfId(uuid, hostUuids(inventory)),
    answers: { 200: { description: "The operation, which was cancelled", schema: TrackedOperationSchema } },
    failures: ["conflict", "timeout"],
  }, async ({ uuid }) => respondJson(200, toOperationJson(await operations.cancel(uuid))));

  endpoints.add({
    id: "OperationList",
    method: "get",
    path: "/operations",
    tag: "Operations",
    summary: "Changes that were asked for, the latest first",
    description: "All active hosts are asked; those that do not answer in time are named.",
    query: OperationListQuery,
    at: ({ query: { host } }) => {
      if (
        host === undefined || host === o.hostUuid || inventory.host(host) || o.others?.cluster.member(host)
      ) return host;
      throw new VirtxError("not_found", `Cannot list the operations of host ${host}: there is no such host`);
    },
    failures: ["not_found"],
    answers: { 200: { description: "The operations", schema: OperationListSchema } },
  }, async ({ query: { host, limit = LIMIT, ...filter }, request }) => {
    const own = operations.list({ ...filter, limit }).map(toOperationJson);
    if (host !== undefined) return respondJson(200, { items: own, missing: [] });
    return respondJson(200, await collect(o, own, { ...filter, limit }, request.signal));
  });
}

/** Asks all other hosts, some at a time, and keeps the latest. */
async function collect(
  o: OperationLookup,
  own: readonly TrackedOperationJson[],
  filter: OperationFilter,
  signal: AbortSignal,
): Promise<OperationListJson> {
  let items = [...own];
  const missing: OperationListJson["missing"] = [];
  const hosts = askable(o);
  const askOne = async ({ uuid, def: { name } }: HostEntry) => {
    try {
      const theirs = await ask(o.passing, uuid, filter, signal);
      items = [...items, ...theirs].sort((a, b) => b.started - a.started).slice(0, filter.limit);
    } catch (error) {
      if (isDefect(error)) throw error;
      missing.push({ host: uuid, name, reason: errorMessage(error) });
    }
  };
  const work = async () => {
    for (const host of hosts) await askOne(host);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return { items, missing };
}

/** The other active hosts that keep operations: those of the prototype do not. */
function* askable({ inventory, hostUuid, others }: OperationLookup): Generator<HostEntry> {
  for (const host of inventory.hosts()) {
    const member = others?.cluster.member(host.uuid);
    if (host.uuid !== hostUuid && member?.cstate === HostState.active && !member.peer.prototype) yield host;
  }
}

async function ask(
  passing: Passing,
  host: string,
  { vm, state, limit }: OperationFilter,
  signal: AbortSignal,
): Promise<TrackedOperationJson[]> {
  const query = new URLSearchParams({ host, limit: String(limit) });
  if (vm !== undefined) query.set("vm", vm);
  if (state !== undefined) query.set("state", state);
  const answer = await passing.read(host, `/operations?${query}`, ANSWER_MS, signal);
  const { success, data } = OperationListSchema.safeParse(answer);
  if (!success) throw new VirtxError("unreachable", "its answer is not a list of operations");
  return data.items.filter((operation) => operation.host === host);
}

function* hostUuids(inventory: Inventory): Iterable<string> {
  for (const { uuid } of inventory.hosts()) yield uuid;
}
