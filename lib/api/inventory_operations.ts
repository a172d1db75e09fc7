import type { HostEntry, Inventory, VmEntry } from "../cluster/inventory.ts";
import { type HostQuery, searchHosts, searchVms, type VmQuery } from "../cluster/search.ts";
import type { Clock } from "../model/clock.ts";
import { VirtxError } from "../model/error.ts";
import type { Endpoints } from "./endpoints.ts";
import { HOST_FILTER, VM_FILTER } from "./filter_body.ts";
import { ListAnswers } from "./list_answers.ts";
import { renderHost, renderVm, sealed, sealedHost } from "./list_items.ts";
import type { Answer } from "./operation.ts";
import { respondBriefly, respondJson } from "./respond.ts";
import { HostListSchema, HostSchema } from "./schema_host.ts";
import { HostListQuery, toHostQuery, toVmQuery, VmListQuery } from "./schema_query.ts";
import { unlessUnsure, type Unsure } from "./unsure.ts";
import { VmListSchema, VmRunstateSchema } from "./schema_vm.ts";

const PAGES =
  "Answered from memory by any host. With `limit` the list comes in pages: follow the Link header, or hand the " +
  "`next` of a page to `cursor`. The filter may come in the body, too, as the prototype's client sends it.";

const NOT_MODIFIED: Answer = { description: "As If-None-Match has it" };
const LIST_HEADERS = { ETag: "For If-None-Match", Link: "The next page, if there is one (RFC 8288)" };

/** What is known of a host beside what it measures. */
export interface MemberFacts {
  /** The URL of its API, as hosts reach it; empty: it is not known. */
  readonly api: string;
  /** The id of its storage; left out: it is not known. */
  readonly storage?: string;
  /** Serf does not know the host any more; left out: it does. */
  readonly gone?: boolean;
  /** What it runs, if not what heeds all that is on shared storage. */
  readonly runs?: "prototype" | "earlier";
}

export type MemberOf = (host: string) => MemberFacts;

/** What is answered from the inventory alone (protocol.md §1): both lists, hosts, and the states of VMs. */
export function addInventoryOperations(
  endpoints: Endpoints,
  o: {
    readonly inventory: Inventory;
    readonly memberOf: MemberOf;
    /** Whether the host runs the prototype, of which little more is known than that it is there. */
    readonly isPrototype: (host: string) => boolean;
    readonly unsure: Unsure;
    /** Room on the shared storage, MiB; undefined: it is not known. */
    readonly storageMiB?: (() => Promise<number | undefined>) | undefined;
    readonly clock: Clock;
  },
): void {
  const { inventory, memberOf, clock } = o;
  const vms = new ListAnswers<VmQuery, VmEntry>({
    path: "/vms",
    version: () => inventory.vmTable.version,
    search: (query) => searchVms(inventory, query),
    render: (vm, query) => renderVm(vm, query.custom),
    seal: (item, vm) => sealed(item, inventory.seen(vm.host)),
    isSpecial: (query) => query.custom !== undefined,
  }, clock);
  const hosts = new ListAnswers<HostQuery, HostEntry>({
    path: "/hosts",
    version: () => inventory.hostTable.version,
    search: (query) => searchHosts(inventory, query),
    render: renderHost,
    seal: (item, { uuid }) => sealedHost(item, inventory.seen(uuid), memberOf(uuid)),
  }, clock);

  endpoints.add({
    id: "VmList",
    method: "get",
    path: "/vms",
    tag: "VMs",
    summary: "List the VMs of the cluster",
    description: PAGES,
    query: VmListQuery,
    filter: VM_FILTER,
    answers: {
      200: { description: "The VMs that pass all filters", schema: VmListSchema, headers: LIST_HEADERS },
      304: NOT_MODIFIED,
    },
  }, ({ request, query }) => vms.answer(request, toVmQuery(query)));

  endpoints.add({
    id: "VmRunstateGet",
    method: "get",
    path: "/vms/{uuid}/runstate",
    tag: "VMs",
    summary: "State of a VM, and its host",
    description: "Answered from memory by any host.",
    hot: true,
    answers: { 200: { description: "State and host", schema: VmRunstateSchema } },
  }, ({ uuid }) => {
    const vm = inventory.vm(uuid);
    if (vm === undefined) {
      const gone = new VirtxError("not_found", `Cannot get the run state of VM ${uuid}: there is no such VM`);
      throw unlessUnsure(gone, o.unsure);
    }
    const { runstate, host, lastrunstate, cstate } = vm;
    return respondBriefly({ runstate, host, lastrunstate, cstate, seen: inventory.seen(host) ?? 0 });
  });

  endpoints.add({
    id: "HostList",
    method: "get",
    path: "/hosts",
    tag: "Hosts",
    summary: "List the hosts of the cluster",
    description: PAGES,
    query: HostListQuery,
    filter: HOST_FILTER,
    answers: {
      200: { description: "The hosts that pass all filters", schema: HostListSchema, headers: LIST_HEADERS },
      304: NOT_MODIFIED,
    },
  }, ({ request, query }) => hosts.answer(request, toHostQuery(query)));

  endpoints.add({
    id: "HostGet",
    method: "get",
    path: "/hosts/{uuid}",
    tag: "Hosts",
    summary: "Hardware, state and resources of a host",
    description: "Answered from memory by any host; of a host of the prototype, by that host itself.",
    at: ({ uuid }) => o.isPrototype(uuid) ? uuid : undefined,
    answers: { 200: { description: "The host", schema: HostSchema } },
  }, async ({ uuid }) => {
    const storageavailable = await o.storageMiB?.();
    const host = inventory.host(uuid);
    if (host === undefined) {
      throw new VirtxError("not_found", `Cannot get host ${uuid}: there is no such host; GET /hosts has all`);
    }
    return respondJson(200, {
      ...host,
      conditions: host.conditions ?? [],
      seen: inventory.seen(uuid) ?? 0,
      ...memberOf(uuid),
      ...(storageavailable !== undefined && { storageavailable }),
    });
  });
}
