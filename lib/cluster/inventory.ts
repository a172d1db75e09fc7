import type { Host } from "../model/host.ts";
import type { VmInfo } from "../model/vm.ts";
import { deepFreeze } from "./freeze.ts";
import { type ReadonlyTable, Table } from "./table.ts";

/** A host whose details are known. */
export type HostEntry = Host;

/** What VMs can be sorted by. */
export type VmKey = "name" | "host" | "runstate" | "vlanid" | "ts" | "uuid";

/** What hosts can be sorted by. */
export type HostKey = "name" | "cstate" | "memoryavailable" | "hpavailable" | "osid" | "ts" | "uuid";

/**
 * All hosts and VMs that are known of, in memory: what the lists and VmRunstateGet are answered from (interop.md §1).
 * Entries are frozen and replaced, never changed in place, so whoever holds one may cache what it derives from it.
 * It is told, it decides nothing: whose news is to be believed is for those who put it here.
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
  readonly #vms = new Table<VmInfo, VmKey>({
    name: (vm) => vm.name,
    host: (vm) => vm.host,
    runstate: (vm) => vm.runstate,
    vlanid: (vm) => vm.vlanid,
    ts: (vm) => vm.ts,
    uuid: (vm) => vm.uuid,
  });
  /** The UUIDs of each host's VMs. */
  readonly #vmsOf = new Map<string, Set<string>>();

  /** Grows with every change of anything. */
  get version(): number {
    return this.#hosts.version + this.#vms.version;
  }

  /** The hosts alone, with their orders, for search. */
  get hostTable(): ReadonlyTable<HostEntry, HostKey> {
    return this.#hosts;
  }

  /** The VMs alone, with their orders, for search; its version grows only when a VM changes. */
  get vmTable(): ReadonlyTable<VmInfo, VmKey> {
    return this.#vms;
  }

  host(uuid: string): HostEntry | undefined {
    return this.#hosts.get(uuid);
  }

  hosts(): Iterable<HostEntry> {
    return this.#hosts.values();
  }

  vm(uuid: string): VmInfo | undefined {
    return this.#vms.get(uuid);
  }

  vms(): Iterable<VmInfo> {
    return this.#vms.values();
  }

  /** The VMs that are on a host. */
  *vmsOf(host: string): Iterable<VmInfo> {
    for (const uuid of this.#vmsOf.get(host) ?? []) {
      const vm = this.#vms.get(uuid);
      if (vm) yield vm;
    }
  }

  putHost(entry: HostEntry): void {
    this.#hosts.put(deepFreeze(entry));
  }

  /** Takes over what is known of a VM; the same again is no change. */
  putVm(info: VmInfo): void {
    const before = this.#vms.get(info.uuid);
    if (before && sameVm(before, info)) return;
    if (before?.host !== info.host) {
      if (before) this.#leaveHost(before);
      const uuids = this.#vmsOf.get(info.host);
      if (uuids) uuids.add(info.uuid);
      else this.#vmsOf.set(info.host, new Set([info.uuid]));
    }
    this.#vms.put(deepFreeze(info));
  }

  /** Forgets a VM, unless what is known of it is newer than the news that it is gone. */
  removeVm(uuid: string, ts: number): void {
    const before = this.#vms.get(uuid);
    if (!before || before.ts > ts) return;
    this.#vms.delete(uuid);
    this.#leaveHost(before);
  }

  /** Makes these all the VMs of a host: others that it was said to have vanish (resynchronisation). */
  replaceVmsOf(host: string, infos: readonly VmInfo[]): void {
    const present = new Set(infos.map((info) => info.uuid));
    for (const ghost of [...this.vmsOf(host)]) {
      if (!present.has(ghost.uuid)) this.removeVm(ghost.uuid, Infinity);
    }
    for (const info of infos) this.putVm(info);
  }

  #leaveHost(vm: VmInfo): void {
    const uuids = this.#vmsOf.get(vm.host);
    uuids?.delete(vm.uuid);
    if (uuids?.size === 0) this.#vmsOf.delete(vm.host);
  }
}

function sameVm(a: VmInfo, b: VmInfo): boolean {
  return a === b ||
    (a.host === b.host && a.runstate === b.runstate && a.ts === b.ts && a.name === b.name &&
      a.vlanid === b.vlanid && a.vcpus === b.vcpus && a.custom.length === b.custom.length &&
      a.custom.every((field, at) =>
        field.name === b.custom[at]?.name && field.value === b.custom[at]?.value
      ));
}
