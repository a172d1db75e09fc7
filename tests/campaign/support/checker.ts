import type { LabHost } from "../../../scripts/lab/host.ts";
import { violations } from "../../lab/support/invariants.ts";
import { observe } from "../../lab/support/observation.ts";
import { ask } from "./http.ts";
import type { Ledger } from "./ledger.ts";
import { type DomainView, keptDefinitions, viewDomains, viewGuests } from "./libvirt_view.ts";
import { mark, type StoredFile, viewStorage, walk } from "./storage_view.ts";

/** A host with virtxd, as the checker has to know it. */
export interface CheckedHost {
  readonly host: LabHost;
  /** `http://host:port` of its virtxd. */
  readonly api: string;
  /** What its virtxd has said since it was started. */
  readonly said: () => string;
}

export interface CheckedCluster {
  readonly hosts: readonly CheckedHost[];
  /** Where the machine has what the hosts have at /vms. */
  readonly storage: string;
  readonly ledger: Ledger;
}

/**
 * What is not as it must be while nothing is done; nothing if all is well. Everything is read from where it is the case: virsh,
 * process table, files, plain HTTP. Nothing of virtxd's own code takes part.
 */
export async function violationsAtRest(cluster: CheckedCluster): Promise<readonly string[]> {
  const { hosts, ledger, storage } = cluster;
  const observation = await observe(hosts);
  const domains = (await Promise.all(hosts.map(async ({ host }) => {
    return (await viewDomains(host)).map((domain) => ({ ...domain, on: host.name }));
  }))).flat();
  const found = await viewStorage(storage);
  const { leftovers: _, ...agreement } = observation; // they are told by what is unfinished on the storage
  return [
    ...violations({ ...agreement, leftovers: [] }),
    ...existing(ledger, domains),
    ...foreign(ledger, domains),
    ...twoOwners(domains),
    ...disks(ledger, domains, found.files),
    ...lost(ledger, found.files),
    ...trashed(ledger, found),
    ...found.unfinished.map((path) => `${path} is left`),
    ...await misplaced(hosts),
    ...(await Promise.all(hosts.map(told))).flat(),
    ...complaints(hosts),
  ];
}

interface Placed extends DomainView {
  readonly on: string;
}

/** What was acknowledged holds. */
function existing(ledger: Ledger, domains: readonly Placed[]): string[] {
  const found: string[] = [];
  for (const { title, on, uuid } of domains) {
    if (!ledger.vms.has(title)) found.push(`${on} has a domain "${title}" (${uuid}) that nobody asked for`);
  }
  for (const vm of ledger.vms.values()) {
    const at = domains.filter(({ title }) => title === vm.title).map(({ on }) => on);
    const { must, may } = ledger.existence(vm);
    const what = `VM "${vm.title}" (${vm.uuid ?? "of unknown UUID"})`;
    if (at.length === 0 && must) found.push(`${what} is gone, which nobody asked for`);
    if (at.length > 0 && !may) found.push(`${what} is on ${at}, and must not be: it was deleted or refused`);
  }
  return found;
}

/** Other tools' elements stay. */
function foreign(ledger: Ledger, domains: readonly Placed[]): string[] {
  return domains.flatMap(({ title, xml, on }) =>
    [...ledger.vms.get(title)?.foreign ?? []].filter((token) => !xml.includes(token))
      .map((token) => `VM "${title}" on ${on} has lost what another tool put there: ${token}`)
  );
}

/** No disk is one of two VMs. */
function twoOwners(
  domains: readonly { title: string; uuid: string; on: string; disks: readonly string[] }[],
) {
  const owners = new Map<string, Set<string>>();
  for (const { title, uuid, on, disks } of domains) {
    for (const path of disks) {
      const owner = `"${title}" (${uuid}) of ${on}`;
      const known = owners.get(path) ?? new Set();
      if (![...known].some((other) => other.includes(uuid))) known.add(owner);
      owners.set(path, known);
    }
  }
  return [...owners].filter(([, vms]) => vms.size > 1)
    .map(([path, vms]) => `${path} is a disk of VMs ${[...vms].join(" and ")}`);
}

/** The disks of a VM are there, and are its own. */
function disks(ledger: Ledger, domains: readonly Placed[], files: readonly StoredFile[]): string[] {
  return domains.flatMap(({ title, on, disks }) =>
    disks.flatMap((path) => {
      const file = files.find((file) => file.path === path);
      if (!file) return [`VM "${title}" on ${on} lacks its disk ${path}`];
      const vm = ledger.vms.get(title);
      const known = file.marker === undefined ? undefined : ledger.files.get(file.marker);
      if (!vm || !known || ledger.claims(vm, known)) return [];
      return [`VM "${title}" on ${on} has another's disk ${path} (marker ${file.marker})`];
    })
  );
}

/** Only what was to be deleted is, and only for good what was to be. */
function lost(ledger: Ledger, files: readonly StoredFile[]): string[] {
  const found: string[] = [];
  const there = Map.groupBy(files, ({ marker }) => marker);
  for (const file of ledger.files.values()) {
    const [at, ...more] = there.get(file.marker) ?? [];
    if (file.removedByHand || [at, ...more].some((found) => found?.path === file.path)) continue;
    const what = `the file that was ${file.path} (marker ${file.marker})`;
    if (ledger.deletions(file).length === 0) {
      found.push(`${what} is ${at ? `in the trash, ${at.path}` : "gone"}, which nobody asked for`);
    } else if (!at && !ledger.forGood(file)) {
      found.push(`${what} is gone for good, though it could wait in the trash`);
    }
  }
  return found;
}

/** What is in the trash was taken by the deletion of a VM that had it. */
function trashed(
  ledger: Ledger,
  { files, trashed }: Pick<Awaited<ReturnType<typeof viewStorage>>, "files" | "trashed">,
): string[] {
  return files.flatMap(({ entry, marker, path }) => {
    if (entry === undefined || marker === undefined) return [];
    const by = trashed.get(entry);
    const file = ledger.files.get(marker);
    if (!by || !file) return [];
    if (ledger.deletions(file).some(({ vm }) => vm?.uuid === undefined || vm.uuid === by.vm)) return [];
    return [`${path} (${by.path}, marker ${marker}) was deleted with VM ${by.vm}, whose it was not`];
  });
}

/** Nothing is written where the storage is mounted, but not on it. */
async function misplaced(hosts: readonly CheckedHost[]): Promise<string[]> {
  const found: string[] = [];
  for (const { host } of hosts) {
    for await (const path of walk(`${host.disk}/vms`)) {
      // qemu-img opens by path, and makes what is not there if the storage goes at that very moment.
      if (!path.endsWith(".tmp")) {
        found.push(`${host.name} has ${path.slice(host.disk.length)} on its own disk`);
      }
    }
  }
  return found;
}

/** What a host says of itself: that it is well, and that nothing is under way. */
async function told({ host, api }: CheckedHost): Promise<string[]> {
  const [ready, operations] = await Promise.all([
    ask(`${api}/readyz`, "GET"),
    ask(`${api}/operations?host=${host.record.uuid}&limit=1000`, "GET"),
  ]);
  const { degraded = [] } = ready.body as { degraded?: string[] };
  const { items = [] } = operations.body as {
    items?: { id: string; op: string; vm: string; state: string }[];
  };
  return [
    ...ready.status === 200 ? [] : [`${host.name} is not ready: ${ready.status} ${ready.text}`],
    ...degraded.map((reason) => `${host.name} is degraded: ${reason}`),
    ...operations.status === 200 ? [] : [`${host.name} does not tell its operations: ${operations.text}`],
    ...items.filter(({ state }) => state === "running")
      .map(({ id, op, vm }) => `${host.name} has ${op} ${id} of VM ${vm} still running`),
  ];
}

/** What a daemon must never have to say. Defects have a stack. */
const COMPLAINT = /"stack":|unexpected error|is broken and set aside|that nobody has deleted/;

function complaints(hosts: readonly CheckedHost[]): string[] {
  return hosts.flatMap(({ host, said }) =>
    said().split("\n").filter((line) => COMPLAINT.test(line)).map((line) => `${host.name} logged: ${line}`)
  );
}

/**
 * Looks again and again at what must hold at every instant. What two hosts have is not read at one instant, so a thing counts
 * when it was seen twice in a row.
 */
export class Watch {
  #last: ReadonlySet<string> = new Set();

  constructor(readonly cluster: CheckedCluster) {}

  /** What must not be, and was seen at the last look, too. */
  async look(): Promise<readonly string[]> {
    const now = new Set(await this.#seen());
    const lasting = [...now].filter((violation) => this.#last.has(violation));
    this.#last = now;
    return lasting;
  }

  async #seen(): Promise<string[]> {
    const { hosts, ledger } = this.cluster;
    const kept = (await Promise.all(
      hosts.map(async ({ host }) =>
        (await keptDefinitions(host)).map((domain) => ({ ...domain, on: host.name }))
      ),
    )).flat();
    const guests = (await Promise.all(
      hosts.map(async ({ host }) => (await viewGuests(host)).map((guest) => ({ ...guest, on: host.name }))),
    )).flat();
    const moves = (uuid: string) => {
      const vm = ledger.vmOf(uuid);
      return vm !== undefined && ledger.mayMove(vm);
    };
    const named = (uuid: string) => {
      const vm = ledger.vmOf(uuid);
      return vm === undefined ? `VM ${uuid}` : `VM "${vm.title}" (${uuid})`;
    };
    const several = (what: string, all: readonly { uuid: string; on: string }[]) =>
      [...Map.groupBy(all, ({ uuid }) => uuid)].filter(([uuid, at]) => at.length > 1 && !moves(uuid))
        .map(([uuid, at]) => `${named(uuid)} ${what} on ${at.map(({ on }) => on).sort().join(" and ")}`);
    const writers = guests.flatMap(({ uuid, writes }) => writes.map((file) => ({ uuid, file })));
    const shared = [...Map.groupBy(writers, ({ file }) => file)]
      .map(([file, by]) => ({ file, vms: new Set(by.map(({ uuid }) => uuid)) }))
      .filter(({ vms }) => vms.size > 1)
      .map(({ file, vms }) => `guests ${[...vms].sort().join(" and ")} write to one file, ${file}`);
    return [...several("is defined", kept), ...several("runs", guests), ...twoOwners(kept), ...shared];
  }
}

/** All is over and well: gives a marker to each file that has none, and writes down which VMs there are. */
export async function takeStock({ hosts, storage, ledger }: CheckedCluster): Promise<void> {
  const defined = new Map<string, string>();
  for (const { host } of hosts) {
    for (const { title, uuid } of await viewDomains(host)) defined.set(title, uuid);
  }
  ledger.settle();
  for (const vm of ledger.vms.values()) {
    vm.uuid ??= defined.get(vm.title);
    ledger.saw(vm, defined.has(vm.title));
  }
  for (const { path, marker, entry } of (await viewStorage(storage)).files) {
    if (marker === undefined && entry === undefined) await noteFile({ storage, ledger }, path);
  }
}

/** Gives a marker to a file that was just made, if it has none. */
export async function noteFile(
  { storage, ledger }: Pick<CheckedCluster, "storage" | "ledger">,
  path: string,
): Promise<void> {
  const marked = await mark(storage, path);
  if (marked && !ledger.files.has(marked.marker)) {
    ledger.files.set(marked.marker, { ...marked, path, removedByHand: false });
  }
}
