import type { Inventory } from "../cluster/inventory.ts";
import type { Timers } from "../cluster/timers.ts";
import type { HostMonitor } from "../host/monitor.ts";
import { HostState, Runstate } from "../model/enums.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";

const LOOK_MS = 5_000;
/** A migration has a VM on two hosts for a moment, and the news of its end takes its time. */
const GRACE_MS = 30_000;

/** What {@link DoubleDefinitions} stands on. */
export interface DoubleDefinitionsOptions {
  readonly inventory: Pick<Inventory, "contested">;
  readonly monitor: Pick<HostMonitor, "uuid">;
  readonly health: Health;
  readonly hostName: (uuid: string) => string;
  readonly timers: Pick<Timers, "now">;
  readonly log: Logger;
}

/**
 * Reports VMs of this host that another host's libvirt has, too: each of the two could start it, on the same disks. Both hosts
 * report it; which of them is not to have the VM only an administrator can tell.
 */
export class DoubleDefinitions implements Disposable {
  readonly #o: DoubleDefinitionsOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  /** Since when each VM has been on two hosts, on the clock of the timers. */
  readonly #since = new Map<string, number>();

  constructor(options: DoubleDefinitionsOptions) {
    this.#o = options;
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    Deno.unrefTimer(this.#timer);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Looks once, and reports or clears what there is to tell. */
  look(): void {
    const { inventory, monitor, health, hostName, timers, log } = this.#o;
    const present = new Set<string>();
    for (const claims of inventory.contested()) {
      const [first] = claims;
      const settled = claims.filter(({ cstate, runstate }) =>
        cstate === HostState.active && !PASSING.includes(runstate)
      );
      if (!first || settled.length < 2 || settled.every(({ host }) => host !== monitor.uuid)) continue;
      const { uuid, name } = first;
      present.add(uuid);
      const since = this.#since.get(uuid) ?? timers.now();
      this.#since.set(uuid, since);
      if (timers.now() - since < GRACE_MS) continue;
      const hosts = settled.map(({ host }) => hostName(host)).sort();
      const reason =
        `VM "${name}" (${uuid}) is defined on hosts ${hosts.join(" and ")}; on the one that is not to ` +
        `have it, virsh undefine --keep-nvram ${uuid}`;
      if (health.report(causeOf(uuid), { reason, blocking: false })) {
        log.error("a VM is defined on two hosts", { vm: uuid, reason });
      }
    }
    for (const uuid of this.#since.keys()) {
      if (present.has(uuid)) continue;
      this.#since.delete(uuid);
      if (health.clear(causeOf(uuid))) log.info("a VM is defined on one host again", { vm: uuid });
    }
  }
}

/** What a claim is while the VM comes or goes, or while nobody knows. */
const PASSING: readonly Runstate[] = [Runstate.migrating, Runstate.startup, Runstate.none, Runstate.deleted];

function causeOf(vm: string): string {
  return `VM ${vm} on two hosts`;
}
