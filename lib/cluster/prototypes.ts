import { type Clock, systemClock } from "../model/clock.ts";
import { HostState, Runstate } from "../model/enums.ts";
import { HOST_VMS_MAX } from "../model/limits.ts";
import type { VmInfo } from "../model/vm.ts";
import { saidOf } from "./claims.ts";
import { hostOf } from "./host_record.ts";
import type { Inventory } from "./inventory.ts";
import type { GossipRecord, VmEvent } from "./records.ts";
import type { Timers } from "./timers.ts";

/** It repeats every VM each 15 s (interop.md §2); what it has left out so often that loss is no explanation is gone. */
const FORGOTTEN_MS = 5 * 60_000;

/**
 * What hosts of the Go prototype say. They do not count what they say, so it is ordered as they order it: what has an older
 * timestamp loses. They do not always say what is gone, so what is not repeated is forgotten.
 */
export class Prototypes {
  readonly #inventory: Inventory;
  readonly #timers: Timers;
  readonly #clock: Clock;
  /** When each VM of each host was last heard of. */
  readonly #heard = new Map<string, Map<string, number>>();

  constructor(o: { inventory: Inventory; timers: Timers; clock?: Clock }) {
    this.#inventory = o.inventory;
    this.#timers = o.timers;
    this.#clock = o.clock ?? systemClock;
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
        const known = this.#inventory.claimsOf(event.host).get(event.uuid);
        // Of one that is unknown the next repetition tells more.
        return this.#hearVm(event, known && { ...saidOf(known), ...event });
      }
    }
  }

  /** Forgets a host. */
  forget(host: string): void {
    this.#heard.delete(host);
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
}
