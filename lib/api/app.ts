import type { Inventory } from "../cluster/inventory.ts";
import type { Clock } from "../model/clock.ts";
import type { Logger } from "../model/log.ts";
import type { VmUseCases } from "../vm/use_cases.ts";
import { addClusterOperations, type ClusterView } from "./cluster_operations.ts";
import { BrowserGuard } from "./browser_guard.ts";
import { Endpoints } from "./endpoints.ts";
import type { Connection } from "./exchange.ts";
import { addInventoryOperations } from "./inventory_operations.ts";
import { Perimeter } from "./perimeter.ts";
import { Routing } from "./routing.ts";
import { addRunstateOperations } from "./runstate_operations.ts";
import { addServiceOperations, type ServiceOptions } from "./service_operations.ts";
import { addVmOperations } from "./vm_operations.ts";

/** What the API stands on. */
export interface ApiOptions extends ServiceOptions {
  readonly vms: VmUseCases;
  readonly inventory: Inventory;
  /** This host, as libvirt and the inventory name it. */
  readonly hostUuid: string;
  /** This host as part of the cluster; left out: it is alone. */
  readonly cluster?: ClusterView;
  /** Since when libvirt has been away, UTC milliseconds; undefined: it is here. */
  readonly stale: () => number | undefined;
  readonly log: Logger;
  readonly clock: Clock;
  /** Names under which browsers may reach this host, beside localhost, IP addresses and the names of hosts. */
  readonly hostNames?: readonly string[];
}

/** The API, for a listener to serve. */
export interface Api {
  /** Answers any request; never throws. Stays synchronous where the answer is. */
  fetch(request: Request, connection?: Connection): Response | Promise<Response>;
  /** Answers every request that is still open with 503; what they do goes on for as long as it can. */
  interrupt(): void;
}

/** The REST API of interop.md §1. */
export function createApp(o: ApiOptions): Api {
  const endpoints = new Endpoints();
  const routing = new Routing(o);
  addVmOperations(endpoints, { vms: o.vms, routing });
  addRunstateOperations(endpoints, { vms: o.vms, routing });
  addInventoryOperations(endpoints, o.inventory);
  addServiceOperations(endpoints, o);
  if (o.cluster) addClusterOperations(endpoints, o.cluster);
  return new Perimeter({
    guard: new BrowserGuard(() => ownNames(o)),
    log: o.log,
    level: () => o.logLevel.get(),
    clock: o.clock,
    stale: o.stale,
    inner: (exchange) => endpoints.fetch(exchange),
  });
}

function* ownNames({ hostNames = [], inventory }: ApiOptions): Iterable<string> {
  yield* hostNames;
  for (const host of inventory.hosts()) yield host.def.name;
}
