import type { HostEntry, Inventory } from "../cluster/inventory.ts";
import { type HostQuery, searchHosts, searchVms, type VmQuery } from "../cluster/search.ts";
import { VirtxError } from "../model/error.ts";
import type { VmInfo } from "../model/vm.ts";
import type { Endpoints } from "./endpoints.ts";
import { EMPTY_HOST_FILTER, EMPTY_VM_FILTER, FilterBody } from "./filter_body.ts";
import { ListAnswers } from "./list_answers.ts";
import type { Answer } from "./operation.ts";
import { respondJson } from "./respond.ts";
import { HostListSchema, HostSchema } from "./schema_host.ts";
import { HostListQuery, toHostQuery, toVmQuery, VmListQuery } from "./schema_query.ts";
import { VmListSchema } from "./schema_vm.ts";

const PAGES =
  "Answered from memory by any host. With `limit` the list comes in pages: follow the Link header, or hand the " +
  "`next` of a page to `cursor`. A filter in the body is refused, except the empty one of the prototype's client.";

const NOT_MODIFIED: Answer = { description: "As If-None-Match has it" };
const LIST_HEADERS = { ETag: "For If-None-Match", Link: "The next page, if there is one (RFC 8288)" };

/** What is answered from the inventory alone (interop.md §1): both lists, and hosts. */
export function addInventoryOperations(endpoints: Endpoints, inventory: Inventory): void {
  const vms = new ListAnswers<VmQuery, VmInfo>({
    path: "/vms",
    version: () => inventory.vmTable.version,
    search: (query) => searchVms(inventory, query),
    render: renderVm,
    isSpecial: (query) => query.custom !== undefined,
  });
  const hosts = new ListAnswers<HostQuery, HostEntry>({
    path: "/hosts",
    version: () => inventory.hostTable.version,
    search: (query) => searchHosts(inventory, query),
    render: renderHost,
  });
  const vmFilterBody = new FilterBody(EMPTY_VM_FILTER, Object.keys(VmListQuery.shape));
  const hostFilterBody = new FilterBody(EMPTY_HOST_FILTER, Object.keys(HostListQuery.shape));

  endpoints.add({
    id: "VmList",
    method: "get",
    path: "/vms",
    tag: "VMs",
    summary: "List the VMs of the cluster",
    description: PAGES,
    query: VmListQuery,
    answers: {
      200: { description: "The VMs that pass all filters", schema: VmListSchema, headers: LIST_HEADERS },
      304: NOT_MODIFIED,
    },
  }, ({ request, query }) => {
    vmFilterBody.check(request.headers);
    return vms.answer(request, toVmQuery(query));
  });

  endpoints.add({
    id: "HostList",
    method: "get",
    path: "/hosts",
    tag: "Hosts",
    summary: "List the hosts of the cluster",
    description: PAGES,
    query: HostListQuery,
    answers: {
      200: { description: "The hosts that pass all filters", schema: HostListSchema, headers: LIST_HEADERS },
      304: NOT_MODIFIED,
    },
  }, ({ request, query }) => {
    hostFilterBody.check(request.headers);
    return hosts.answer(request, toHostQuery(query));
  });

  endpoints.add({
    id: "HostGet",
    method: "get",
    path: "/hosts/{uuid}",
    tag: "Hosts",
    summary: "Hardware, state and resources of a host",
    answers: { 200: { description: "The host", schema: HostSchema } },
  }, ({ uuid }) => {
    const host = inventory.host(uuid);
    if (host === undefined) {
      throw new VirtxError("not_found", `Cannot get host ${uuid}: no such host is known`);
    }
    return respondJson(200, host);
  });
}

/** Of the custom fields a list has room for one: the one that is asked for, else the first. */
function renderVm(
  { uuid, name, host, runstate, vlanid, custom, ts }: VmInfo,
  { custom: wanted }: VmQuery,
): string {
  const shown = wanted === undefined
    ? custom[0]
    : custom.find((field) => field.name === wanted.name && (wanted.value ?? field.value) === field.value);
  return JSON.stringify({
    uuid,
    fields: { name, host, runstate, vlanid, custom: shown ?? { name: "", value: "" }, ts },
  });
}

function renderHost({ uuid, def, cstate, resources, ts }: HostEntry): string {
  const { name, cpuarch, cpudef, osid, osv } = def;
  const memoryavailable = resources.memory.availablevms;
  const hpavailable = resources.hp.availablevms;
  return JSON.stringify({
    uuid,
    fields: { name, cpuarch, cpudef, cstate, memoryavailable, hpavailable, osid, osv, ts },
  });
}
