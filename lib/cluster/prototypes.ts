import { HostState, Runstate } from "../model/enums.ts";
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
  /** When each VM of each host was last heard of. */
  readonly #heard = new Map<string, Map<string, number>>();

  constructor(o: { inventory: Inventory; timers: Timers }) {
    this.#inventory = o.inventory;
    this.#timers = o.timers;
  }

  /** Takes over what a host says. */
  hear(record: GossipRecord): void {
    switch (record.kind) {
      case "host": {
        const known = this.#inventory.host(record.host.uuid);
        if (known && known.ts > record.host.ts) return;
        return this.#inventory.putHost(hostOf(record.host, known, HostState.active));
      }
      case "vm":
        return this.#hearVm(record.vm, record.vm);
      case "event": {
        const known = this.#inventory.claimsOf(record.event.host).get(record.event.uuid);
        // Of one that is unknown the next repetition tells more.
        return this.#hearVm(record.event, known && { ...saidOf(known), ...record.event });
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
    const known = this.#inventory.claimsOf(host).get(uuid);
    if (known && known.ts > ts) return;
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
