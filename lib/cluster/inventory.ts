import { HostState, Runstate } from "../model/enums.ts";
import type { Host } from "../model/host.ts";
import { hidesVms, type HostCondition } from "../model/host_condition.ts";
import type { VmInfo } from "../model/vm.ts";
import { type ClaimSource, compareClaims, entryOf, isSettled, saidOf, type VmEntry } from "./claims.ts";
import { deepFreeze } from "./freeze.ts";
import { type ReadonlyTable, Table } from "./table.ts";

export type { VmEntry } from "./claims.ts";

/** A host whose details are known, and what it is without, as far as is known; left out: nothing. */
export interface HostEntry extends Host {
  readonly conditions?: readonly HostCondition[] | undefined;
}

/** What VMs can be sorted by. */
export type VmKey = "name" | "host" | "runstate" | "vlanid" | "ts" | "uuid";

/** What hosts can be sorted by. */
export type HostKey = "name" | "cstate" | "memoryavailable" | "hpavailable" | "osid" | "ts" | "uuid";

/** What is told of each change. The watcher is called at once, and must not throw. */
export interface InventoryWatcher {
  /** Another entry is shown of a host; undefined: none any more. */
  host?(uuid: string, entry: HostEntry | undefined): void;
  /** Another entry is shown of a VM; undefined: none any more. */
  vm?(uuid: string, entry: VmEntry | undefined): void;
  /** A host says otherwise of one of its VMs, shown or not; undefined: it has it no more. */
  claim?(host: string, uuid: string, claim: VmEntry | undefined): void;
}

const OFF: readonly Runstate[] = [Runstate.poweroff, Runstate.crashed];

const NO_CLAIMS: ReadonlyMap<string, VmEntry> = new Map();

/**
 * All hosts and VMs that are known of, in memory: what the lists and VmRunstateGet are answered from (protocol.md §1).
 * Entries are frozen and replaced, never changed in place, so whoever holds one may cache what it derives from it.
 * It is told, it decides nothing but this: of several hosts that claim a VM, whose claim is shown (see compareClaims). The
 * others are kept, so that when one goes, the next shows.
 */
export class Inventory {
  readonly #hosts = new Table<HostEntry, HostKey>({
    name: (host) => host.def.name,
    cstate: (host) => host.cstate,
    memoryavailable: (host) => host.resources.memory.availablevms,
    hpavailable: (host) => host.resources.hp.availablevms,
    osid: (host) => host.def.osid,
    ts: (host) => host.ts,
    uuid: (host) => host.uuid,
  });
  readonly #vms = new Table<VmEntry, VmKey>({
    name: (vm) => vm.name,
    host: (vm) => vm.host,
    runstate: (vm) => vm.runstate,
    vlanid: (vm) => vm.vlanid,
    ts: (vm) => vm.ts,
    uuid: (vm) => vm.uuid,
  });
  /** The claims of each host, by the VM's UUID. The shown ones are the very entries of the table. */
  readonly #claims = new Map<string, Map<string, VmEntry>>();
  /** The hosts that claim a VM, where they are several. */
  readonly #rivals = new Map<string, Set<string>>();
  readonly #hostStates = new Map<string, HostState>();
  /** Of this host, and of those of the prototype. */
  readonly #sources = new Map<string, ClaimSource>();
  /** Hosts that were away, are back, and have not yet confirmed what was known of them. */
  readonly #doubted = new Set<string>();
  /** What hosts are without. */
  readonly #conditions = new Map<string, readonly HostCondition[]>();
  readonly #seen = new Map<string, number>();
  readonly #watchers = new Set<InventoryWatcher>();

  /** Grows with every change of anything that is shown. */
  get version(): number {
    return this.#hosts.version + this.#vms.version;
  }

  /** The hosts alone, with their orders, for search. */
  get hostTable(): ReadonlyTable<HostEntry, HostKey> {
    return this.#hosts;
  }

  /** The VMs alone, with their orders, for search; its version grows only when a VM changes. */
  get vmTable(): ReadonlyTable<VmEntry, VmKey> {
    return this.#vms;
  }

  host(uuid: string): HostEntry | undefined {
    return this.#hosts.get(uuid);
  }

  hosts(): Iterable<HostEntry> {
    return this.#hosts.values();
  }

  vm(uuid: string): VmEntry | undefined {
    return this.#vms.get(uuid);
  }

  vms(): Iterable<VmEntry> {
    return this.#vms.values();
  }

  /** The VMs that are on a host. */
  *vmsOf(host: string): Iterable<VmEntry> {
    for (const claim of this.claimsOf(host).values()) {
      if (this.#vms.get(claim.uuid) === claim) yield claim;
    }
  }

  /** What hosts say of each VM that several of them claim. */
  *contested(): Iterable<readonly VmEntry[]> {
    for (const [vm, hosts] of this.#rivals) {
      yield [...hosts].flatMap((host) => this.claimsOf(host).get(vm) ?? []);
    }
  }

  /** All that a host says it has, by UUID, shown or not. */
  claimsOf(host: string): ReadonlyMap<string, VmEntry> {
    return this.#claims.get(host) ?? NO_CLAIMS;
  }

  /** What each host says that claims a VM, in no order. */
  *claimsTo(vm: string): Generator<VmEntry, void> {
    const shown = this.#vms.get(vm);
    if (!shown) return;
    for (const host of this.#rivals.get(vm) ?? [shown.host]) {
      const claim = this.claimsOf(host).get(vm);
      if (claim) yield claim;
    }
  }

  /**
   * The host that requests for a VM are for: the one that is asked, if its libvirt has the VM and it is not on its way, whatever
   * others say; else the one that it is shown on. Undefined: nobody knows the VM. While a VM that is off migrates here it is
   * defined here already, and the host that it comes from has the say until that is over.
   */
  hostOf(vm: string, asked: string): string | undefined {
    const own = this.claimsOf(asked).get(vm);
    const shown = this.#vms.get(vm);
    if (own === undefined || !isSettled(own)) return shown?.host;
    const arrives = OFF.includes(own.lastrunstate) && shown?.lastrunstate === Runstate.migrating;
    return arrives ? shown.host : asked;
  }

  /**
   * When what is known of a host and its VMs was last confirmed by it, UTC milliseconds on this host's clock; undefined: not
   * since this daemon runs.
   */
  seen(host: string): number | undefined {
    return this.#seen.get(host);
  }

  /** Has the watcher told of all changes from now on, until disposed. */
  watch(watcher: InventoryWatcher): Disposable {
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => this.#watchers.delete(watcher) };
  }

  /** Whose word the claims of a host are; "host" until this is called. */
  setSource(host: string, source: ClaimSource): void {
    if (this.#sourceOf(host) === source) return;
    this.#sources.set(host, source);
    for (const vm of this.claimsOf(host).keys()) this.#show(vm, host);
  }

  readonly #sourceOf = (host: string): ClaimSource => this.#sources.get(host) ?? "host";

  /** Takes over what is known of a host; its state in the cluster is what {@link setHostState} said, if it did. */
  putHost(entry: HostEntry): void {
    const cstate = this.#hostStates.get(entry.uuid) ?? entry.cstate;
    const conditions = this.#conditions.get(entry.uuid);
    const isSame = cstate === entry.cstate && conditions === entry.conditions;
    const put = deepFreeze(isSame ? entry : { ...entry, cstate, conditions });
    this.#hosts.put(put);
    for (const watcher of this.#watchers) watcher.host?.(put.uuid, put);
  }

  /** Forgets a host and all that it claimed. */
  removeHost(uuid: string): void {
    for (const vm of [...this.claimsOf(uuid).keys()]) this.#drop(uuid, vm);
    this.#hostStates.delete(uuid);
    this.#sources.delete(uuid);
    this.#conditions.delete(uuid);
    this.#doubted.delete(uuid);
    this.#seen.delete(uuid);
    if (!this.#hosts.get(uuid)) return;
    this.#hosts.delete(uuid);
    for (const watcher of this.#watchers) watcher.host?.(uuid, undefined);
  }

  /**
   * Whether a host is there, according to Serf: while it is not, the state of its VMs is unknown, and when it is back, until
   * what is known of it is confirmed ({@link confirm}, {@link trust}).
   */
  setHostState(uuid: string, cstate: HostState): void {
    const before = this.#hostStates.get(uuid);
    if (before === cstate) return;
    this.#hostStates.set(uuid, cstate);
    if (before !== undefined && cstate === HostState.active) this.#doubted.add(uuid);
    const host = this.#hosts.get(uuid);
    if (host) this.putHost({ ...host, cstate });
    this.#showAllOf(uuid);
  }

  /** What a host is without; while that hides its VMs, their state is unknown ({@link hidesVms}). */
  setConditions(uuid: string, conditions: readonly HostCondition[]): void {
    const wasHiding = this.#isHiding(uuid);
    if (conditions.length > 0) this.#conditions.set(uuid, conditions);
    else this.#conditions.delete(uuid);
    const host = this.#hosts.get(uuid);
    if (host) this.putHost(host);
    if (this.#isHiding(uuid) !== wasHiding) this.#showAllOf(uuid);
  }

  #isHiding(host: string): boolean {
    return this.#conditions.get(host)?.some(hidesVms) ?? false;
  }

  /** Whether what is known of a host may date from before it was away, or is away still. */
  doubts(host: string): boolean {
    return this.#doubted.has(host) || (this.#hostStates.get(host) ?? HostState.active) !== HostState.active;
  }

  /** What somebody else says of a host may date from before it was away. */
  doubt(host: string): void {
    if (this.#doubted.has(host)) return;
    this.#doubted.add(host);
    this.#showAllOf(host);
  }

  /** What is known of a host does not date from before it was away, as somebody else knows. */
  trust(host: string): void {
    if (this.#doubted.delete(host)) this.#showAllOf(host);
  }

  /** What is known of a host and its VMs is so at this time, as itself has said. */
  confirm(host: string, at: number): void {
    this.#seen.set(host, at);
    this.trust(host);
  }

  /** Takes over what the VM's host says of it; the same again is no change. */
  putVm(info: VmInfo): void {
    const { uuid, host } = info;
    const claims = this.#claims.get(host) ?? new Map<string, VmEntry>();
    const before = claims.get(uuid);
    if (before && saysTheSame(before, info)) return;
    const claim = this.#claimOf(info);
    claims.set(uuid, claim);
    this.#claims.set(host, claims);
    const shown = this.#vms.get(uuid);
    if (shown && shown.host !== host) {
      const rivals = this.#rivals.get(uuid);
      if (rivals) rivals.add(host);
      else this.#rivals.set(uuid, new Set([shown.host, host]));
    }
    this.#show(uuid, host);
    for (const watcher of this.#watchers) watcher.claim?.(host, uuid, claim);
  }

  /**
   * Forgets what a host says of a VM, unless that is newer than the news that it is gone.
   * @param host by default the one that the VM is shown on
   */
  removeVm(uuid: string, ts: number, host = this.#vms.get(uuid)?.host): void {
    const claim = host === undefined ? undefined : this.claimsOf(host).get(uuid);
    if (claim && claim.ts <= ts) this.#drop(claim.host, uuid);
  }

  /** Makes these all the VMs of a host: others that it was said to have vanish (resynchronisation). */
  replaceVmsOf(host: string, infos: readonly VmInfo[]): void {
    const present = new Set(infos.map((info) => info.uuid));
    for (const uuid of [...this.claimsOf(host).keys()]) if (!present.has(uuid)) this.#drop(host, uuid);
    for (const info of infos) this.putVm(info);
  }

  /** Shows the VMs of a host as its state is now. */
  #showAllOf(host: string): void {
    const claims = this.#claims.get(host);
    for (const claim of claims?.values() ?? []) {
      claims?.set(claim.uuid, this.#claimOf(saidOf(claim)));
      this.#show(claim.uuid, host);
    }
  }

  #claimOf(said: VmInfo): VmEntry {
    const cstate = this.#hostStates.get(said.host) ?? HostState.active;
    return deepFreeze(entryOf(said, cstate, this.#doubted.has(said.host) || this.#isHiding(said.host)));
  }

  #drop(host: string, uuid: string): void {
    const claims = this.#claims.get(host);
    if (!claims?.delete(uuid)) return;
    if (claims.size === 0) this.#claims.delete(host);
    const rivals = this.#rivals.get(uuid);
    rivals?.delete(host);
    this.#show(uuid, host);
    if (rivals?.size === 1) this.#rivals.delete(uuid);
    for (const watcher of this.#watchers) watcher.claim?.(host, uuid, undefined);
  }

  /** Shows the best of the claims to a VM, where that of this host has come, changed or gone. */
  #show(uuid: string, changed: string): void {
    let best: VmEntry | undefined;
    for (const host of this.#rivals.get(uuid) ?? [changed]) {
      const claim = this.#claims.get(host)?.get(uuid);
      if (claim && (!best || compareClaims(claim, best, this.#sourceOf) < 0)) best = claim;
    }
    if (best === this.#vms.get(uuid)) return;
    if (best) this.#vms.put(best);
    else this.#vms.delete(uuid);
    for (const watcher of this.#watchers) watcher.vm?.(uuid, best);
  }
}

function saysTheSame(claim: VmEntry, info: VmInfo): boolean {
  return claim.lastrunstate === info.runstate && claim.ts === info.ts && claim.name === info.name &&
    claim.vlanid === info.vlanid && claim.vcpus === info.vcpus &&
    claim.custom.length === info.custom.length &&
    claim.custom.every((field, at) =>
      field.name === info.custom[at]?.name && field.value === info.custom[at]?.value
    );
}
