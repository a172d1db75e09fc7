import { type Clock, systemClock } from "../model/clock.ts";
import { HostState, Runstate } from "../model/enums.ts";
import { HOST_VMS_MAX } from "../model/limits.ts";
import type { VmInfo } from "../model/vm.ts";
import { isSettled, saidOf, type VmEntry } from "./claims.ts";
import { hostOf } from "./host_record.ts";
import type { Inventory } from "./inventory.ts";
import type { GossipRecord, VmEvent } from "./records.ts";
import type { Timers } from "./timers.ts";

/** How many deletions and moves are remembered; who tells of more than that in the time has older ones forgotten. */
const ENDED_MAX = 10_000;

/** It repeats every VM each 15 s (protocol.md §2); what it has left out so often that loss is no explanation is gone. */
const FORGOTTEN_MS = 5 * 60_000;
/** After this long it has said each of them once. */
const TOLD_MS = 20_000;

/** Until when what a prototype's host says of a VM is over: it was deleted, or another host had it. */
interface Ended {
  /** What is not newer than this is over, UTC milliseconds. */
  readonly ts: number;
  /** When that was learnt, on the clock of the timers. */
  readonly at: number;
}

/**
 * What hosts of the Go prototype say. They do not count what they say, so it is ordered as they order it: what has an older
 * timestamp loses, also to what another host says of the VM, since the host that a VM leaves does not say so. Nor do they
 * always say what is gone, so what is not repeated is forgotten.
 */
export class Prototypes implements Disposable {
  readonly #inventory: Inventory;
  readonly #timers: Timers;
  readonly #clock: Clock;
  /** When each VM of each host was last heard of. */
  readonly #heard = new Map<string, Map<string, number>>();
  /** By VM, those that were learnt of first before the others. */
  readonly #ended = new Map<string, Ended>();
  readonly #watch: Disposable;

  /** Since when each host has been there. */
  readonly #since = new Map<string, number>();

  constructor(o: { inventory: Inventory; timers: Timers; clock?: Clock }) {
    this.#inventory = o.inventory;
    this.#timers = o.timers;
    this.#clock = o.clock ?? systemClock;
    this.#watch = o.inventory.watch({
      claim: (_host, uuid, claim) => {
        if (claim && this.#heard.size > 0) this.#supersede(uuid, claim);
      },
    });
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }

  /** Takes over what a host says. A time in the future counts as now, lest what is said later be older. */
  hear(record: GossipRecord): void {
    const ts = (of: { readonly ts: number }) => Math.min(of.ts, this.#clock());
    switch (record.kind) {
      case "host": {
        const known = this.#inventory.host(record.host.uuid);
        const host = { ...record.host, ts: ts(record.host) };
        if (known && known.ts > host.ts) return;
        return this.#inventory.putHost(hostOf(host, known, HostState.active));
      }
      case "vm": {
        const vm = { ...record.vm, ts: ts(record.vm) };
        return this.#hearVm(vm, vm);
      }
      case "event": {
        const event = { ...record.event, ts: ts(record.event) };
        // A VM that came from another host has its name still; of one that is unknown the next repetition tells more.
        const known = this.#inventory.claimsOf(event.host).get(event.uuid) ?? this.#inventory.vm(event.uuid);
        return this.#hearVm(event, known && { ...saidOf(known), ...event });
      }
    }
  }

  /** A host has come, or come back. */
  meet(host: string): void {
    this.#since.set(host, this.#timers.now());
  }

  /** Whether a host that is there has had the time to tell of all its VMs. */
  hasTold(host: string): boolean {
    return (this.#since.get(host) ?? Infinity) <= this.#timers.now() - TOLD_MS;
  }

  /** Forgets a host. */
  forget(host: string): void {
    this.#heard.delete(host);
    this.#since.delete(host);
  }

  /** Forgets what a host that is there has not repeated. */
  sweep(host: string): void {
    const heard = this.#heard.get(host);
    for (const [uuid, at] of heard ?? []) {
      if (at > this.#timers.now() - FORGOTTEN_MS) continue;
      heard?.delete(uuid);
      this.#inventory.removeVm(uuid, Infinity, host);
    }
  }

  #hearVm({ uuid, host, runstate, ts }: VmEvent, vm: VmInfo | undefined): void {
    const claims = this.#inventory.claimsOf(host);
    const known = claims.get(uuid);
    if (known ? known.ts > ts : claims.size >= HOST_VMS_MAX) return;
    if (runstate === Runstate.deleted) this.#end(uuid, ts);
    else if (!known && this.#isOver(uuid, ts)) return;
    const heard = this.#heard.get(host) ?? new Map<string, number>();
    this.#heard.set(host, heard);
    if (runstate === Runstate.deleted) {
      heard.delete(uuid);
      this.#inventory.removeVm(uuid, ts, host);
    } else if (vm) {
      heard.set(uuid, this.#timers.now());
      this.#inventory.putVm(vm);
    }
  }

  /** Whether a host that did not claim the VM says what is no news: the VM was deleted since, or another host has it since. */
  #isOver(uuid: string, ts: number): boolean {
    const ended = this.#ended.get(uuid);
    if (ended && ts <= ended.ts && ended.at > this.#timers.now() - FORGOTTEN_MS) return true;
    return this.#inventory.claimsTo(uuid).some((other) =>
      ts <= other.ts && other.cstate === HostState.active
    );
  }

  /**
   * A host has a VM: what prototype hosts said of it before is over. Between them the newer timestamp counts; against what a
   * virtxd host says of a VM of its own none does, unless the VM is on its way.
   */
  #supersede(uuid: string, by: VmEntry): void {
    const isPrototype = this.#heard.has(by.host);
    if (!isPrototype && !isSettled(by)) return;
    const others = [...this.#inventory.claimsTo(uuid)].filter(({ host }) =>
      host !== by.host && this.#heard.has(host)
    );
    for (const { host, ts } of others) {
      if (isPrototype && ts >= by.ts) continue;
      this.#end(uuid, ts);
      this.#heard.get(host)?.delete(uuid);
      this.#inventory.removeVm(uuid, ts, host);
    }
  }

  #end(uuid: string, ts: number): void {
    const before = this.#ended.get(uuid);
    this.#ended.delete(uuid);
    this.#ended.set(uuid, { ts: Math.max(ts, before?.ts ?? 0), at: this.#timers.now() });
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= ENDED_MAX) break;
      this.#ended.delete(oldest);
    }
  }
}
