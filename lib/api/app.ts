import type { Inventory } from "../cluster/inventory.ts";
import type { Clock } from "../model/clock.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { Responsive } from "../posix/files.ts";
import type { ConsoleUseCases } from "../vm/consoles.ts";
import type { Operations } from "../vm/operations.ts";
import type { HostUseCases, MigrationTargetUseCases, TrashUseCases, VmUseCases } from "../vm/use_cases.ts";
import { addClusterOperations } from "./cluster_operations.ts";
import { BrowserGuard } from "./browser_guard.ts";
import { ConsoleDesk } from "./console_desk.ts";
import { addConsoleOperations } from "./console_operations.ts";
import { Endpoints } from "./endpoints.ts";
import { EventFeed } from "./event_feed.ts";
import { addEventOperations } from "./event_operations.ts";
import { type BodyOptions, BodyReader } from "./body.ts";
import type { Connection } from "./exchange.ts";
import { addHostOperations } from "./host_operations.ts";
import { peerUrl } from "./http_peers.ts";
import { addInventoryOperations, type MemberOf } from "./inventory_operations.ts";
import { addOperationOperations } from "./operation_operations.ts";
import { OperationRelay } from "./operation_relay.ts";
import { addMigrationOperations } from "./migration_operations.ts";
import { type OtherHosts, Passing } from "./passing.ts";
import { Perimeter } from "./perimeter.ts";
import { Routing } from "./routing.ts";
import { addRunstateOperations } from "./runstate_operations.ts";
import { addServiceOperations, type ServiceOptions } from "./service_operations.ts";
import { Tracking } from "./tracking.ts";
import type { Transport } from "./transport.ts";
import { addTrashOperations } from "./trash_operations.ts";
import { addVmOperations } from "./vm_operations.ts";

/** How long another host may take to answer a read, and to make a change that writes no disk. */
const READ_MS = 10_000;
const CHANGE_MS = 300_000;
/** How long it may take to write a disk, unless the options say otherwise. */
const PROVISION_MS = 3_600_000;

/** What the API stands on. */
export interface ApiOptions extends ServiceOptions {
  readonly vms: VmUseCases;
  /** Left out: nothing that is deleted can be had back. */
  readonly trash?: TrashUseCases;
  /** Left out: nothing is told of a VM whose host is away, and no host can be removed. */
  readonly hosts?: HostUseCases;
  /** For the other hosts; left out: no migration leads here. */
  readonly arrivals?: MigrationTargetUseCases;
  /** Left out: there are none. */
  readonly consoles?: ConsoleUseCases;
  /** Those of this host. */
  readonly operations: Operations;
  readonly inventory: Inventory;
  /** This host, as libvirt and the inventory name it. */
  readonly hostUuid: string;
  /** This host as part of the cluster, and the way to the others; left out: it is alone. */
  readonly cluster?: OtherHosts["cluster"] | undefined;
  readonly transport?: Transport | undefined;
  /** Whether shared storage answers; left out: it always does. */
  readonly storage?: Responsive | undefined;
  /** How long a host may take to write a disk; requests that it is passed have this time and {@link CHANGE_MS} more. */
  readonly provisionTimeoutMs?: number;
  /** How much room there is on the shared storage, MiB; undefined: it is not known. Must not take long. */
  readonly storageMiB?: () => Promise<number | undefined>;
  /** Since when libvirt has been away, UTC milliseconds; undefined: it is here. */
  readonly stale: () => number | undefined;
  readonly log: Logger;
  readonly clock: Clock;
  /** How requests' bodies are read; left out: as suits production. */
  readonly bodies?: BodyOptions;
  /** Names under which browsers may reach this host, beside localhost, IP addresses and the names of hosts. */
  readonly hostNames?: readonly string[];
}

/** The API, for a listener to serve. */
export interface Api {
  /** Answers any request; never throws. Stays synchronous where the answer is. */
  fetch(request: Request, connection?: Connection): Response | Promise<Response>;
  /** Ends the answers that would go on until their clients go away. */
  hangUp(): void;
  /** Resolves when everything that was asked is answered. */
  idle(): Promise<void>;
  /** Answers every request that is still open with 503; what they do goes on for as long as it can. */
  interrupt(): void;
}

/** The REST API of protocol.md §1. */
export function createApp(o: ApiOptions): Api {
  const { hostUuid, inventory, vms, operations, cluster, transport } = o;
  const others = cluster && transport && { cluster, transport };
  const patienceMs = {
    read: READ_MS,
    change: CHANGE_MS,
    storage: (o.provisionTimeoutMs ?? PROVISION_MS) + CHANGE_MS,
  };
  const passing = new Passing({ inventory, others, patienceMs });
  const unsure = () => cluster?.unsure ?? o.hosts?.unsure;
  const routing = new Routing({ hostUuid, passing, unsure });
  const hostOf = (vm: string) => inventory.hostOf(vm, hostUuid);
  const memberOf: MemberOf = (host) => {
    const peer = cluster?.member(host)?.peer;
    return {
      api: peer ? peerUrl(peer, "") : "",
      ...(peer?.storage !== undefined && { storage: peer.storage }),
      ...(cluster && !peer && host !== hostUuid && { gone: true }),
      ...(peer?.prototype ? { runs: "prototype" } : peer?.earlier && { runs: "earlier" }),
    };
  };
  const requireHost = (host: string) => {
    if (host === hostUuid || inventory.host(host) || cluster?.member(host)) return;
    throw new VirtxError("not_found", `Cannot ask host ${host}: there is no such host; GET /hosts has all`);
  };
  const endpoints = new Endpoints({ routing, hostOf, bodies: new BodyReader(o.bodies) });
  const tracking = new Tracking(o);
  const feed = new EventFeed({
    inventory,
    memberOf,
    operations,
    relayTo: others &&
      ((listener) => new OperationRelay({ inventory, others, hostUuid, listener, log: o.log })),
  });
  addVmOperations(endpoints, { vms, tracking, hosts: o.hosts, hostOf });
  addRunstateOperations(endpoints, { vms, tracking });
  const isPrototype = (host: string) => cluster?.member(host)?.peer.prototype ?? false;
  addInventoryOperations(endpoints, { ...o, memberOf, isPrototype, unsure });
  addEventOperations(endpoints, feed);
  addOperationOperations(endpoints, { operations, inventory, hostUuid, passing, others });
  const { trash, storage } = o;
  if (o.hosts) addHostOperations(endpoints, { hosts: o.hosts, storage });
  if (trash) addTrashOperations(endpoints, { trash, storage, requireHost });
  addServiceOperations(endpoints, o);
  if (cluster) addClusterOperations(endpoints, cluster);
  if (cluster && o.arrivals) addMigrationOperations(endpoints, o.arrivals);
  const desk = o.consoles && new ConsoleDesk({ ...o, consoles: o.consoles, routing, passing, hostOf });
  if (desk) addConsoleOperations(endpoints, desk);
  const perimeter = new Perimeter({
    guard: new BrowserGuard(() => ownNames(o)),
    log: o.log,
    level: () => o.logLevel.get(),
    clock: o.clock,
    stale: o.stale,
    clusterStale: () => cluster?.staleSince,
    unsure,
    inner: (exchange) => endpoints.fetch(exchange),
  });
  return {
    fetch: (request, connection) => perimeter.fetch(request, connection),
    hangUp() {
      feed[Symbol.dispose]();
      desk?.[Symbol.dispose]();
    },
    idle: () => perimeter.idle(),
    interrupt: () => perimeter.interrupt(),
  };
}

function* ownNames({ hostNames = [], inventory }: ApiOptions): Iterable<string> {
  yield* hostNames;
  for (const host of inventory.hosts()) yield host.def.name;
}
