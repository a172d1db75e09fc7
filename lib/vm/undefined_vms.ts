import type { Inventory } from "../cluster/inventory.ts";
import type { Timers } from "../cluster/timers.ts";
import type { HostMonitor } from "../host/monitor.ts";
import type { Clock } from "../model/clock.ts";
import { inBackground } from "../model/background.ts";
import { logFailure } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import type { Registry } from "../registry/registry.ts";
import { RegisteredVms } from "./registered_vms.ts";

const LOOK_MS = 15_000;
/** A VM that is on its way to another host has no domain for a moment, while its file is still here. */
const GRACE_MS = 30_000;

/** What {@link UndefinedVms} stands on. */
export interface UndefinedVmsOptions {
  readonly inventory: Inventory;
  readonly monitor: Pick<HostMonitor, "uuid" | "domain" | "staleSince">;
  readonly registry: Registry;
  /** Whether a change or a migration of a VM is open, which will see to its file. */
  readonly isOpen: (vm: string) => Promise<boolean>;
  /** Why this host may not know all VMs of the others; undefined: it does. */
  readonly unsure: () => string | undefined;
  /** Why the storage cannot be used; undefined: it can. */
  readonly refusal: () => Promise<VirtxError | undefined>;
  readonly hostName: (uuid: string) => string;
  readonly health: Health;
  readonly clock: Clock;
  readonly timers: Pick<Timers, "now">;
  readonly log: Logger;
}

/**
 * VMs that this host has registered on the shared storage, and that neither its libvirt nor another host has: as when the host
 * was installed anew. They are put into the inventory as this host's, in no state, so that all hosts list them; and reported,
 * with what settles it.
 */
export class UndefinedVms implements Disposable {
  readonly #o: UndefinedVmsOptions;
  readonly #vms: RegisteredVms;
  readonly #timer: ReturnType<typeof setInterval>;
  /** Since when each file has been without a domain, on the clock of the timers. */
  readonly #since = new Map<string, number>();
  /** Those that are shown and reported. */
  readonly #shown = new Set<string>();
  #looking = false;
  #stopped = false;

  constructor(options: UndefinedVmsOptions) {
    this.#o = options;
    this.#vms = new RegisteredVms(options);
    this.#timer = setInterval(() => inBackground(this.#lookOnce()), LOOK_MS);
    Deno.unrefTimer(this.#timer);
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  /** Looks once, and reports or clears what there is to tell. */
  async look(): Promise<void> {
    const { registry, timers, refusal, monitor, unsure } = this.#o;
    if (monitor.staleSince !== undefined || unsure() !== undefined || await refusal() !== undefined) return;
    const files = (await registry.list()).filter((vm) => this.#isLost(vm));
    for (const vm of files) if (!this.#since.has(vm)) this.#since.set(vm, timers.now());
    const present = new Set(files);
    for (const vm of this.#since.keys()) if (!present.has(vm)) this.#clear(vm);
    const due = files.filter((vm) => timers.now() - (this.#since.get(vm) ?? Infinity) >= GRACE_MS);
    for (const vm of due) {
      if (this.#stopped) return;
      if (this.#shown.has(vm) ? this.#isListed(vm) : await this.#o.isOpen(vm)) continue;
      await this.#show(vm);
    }
  }

  /** Whether nobody has the VM, as far as this host knows; of a host that is away it knows what that had, or has registered. */
  #isLost(vm: string): boolean {
    const { monitor, inventory } = this.#o;
    if (monitor.domain(vm) !== undefined) return false;
    return [...inventory.claimsTo(vm)].every(({ host }) => host === monitor.uuid);
  }

  #isListed(vm: string): boolean {
    return this.#o.inventory.claimsOf(this.#o.monitor.uuid).has(vm);
  }

  async #show(vm: string): Promise<void> {
    const { monitor, inventory, hostName, health, clock, log } = this.#o;
    const info = await this.#vms.info(monitor.uuid, vm);
    if (info === undefined || !this.#isLost(vm)) return;
    inventory.putVm({ ...info, ts: clock() });
    this.#shown.add(vm);
    const reason =
      `VM "${info.name}" (${vm}) is registered on host ${
        hostName(monitor.uuid)
      }, whose libvirt does not have it; ` +
      `virtx vm register ${vm} defines it again, and then virtx vm delete ${vm} can delete it`;
    if (health.report(causeOf(vm), { reason, blocking: false })) {
      log.error("only the registry has a VM", { vm, reason });
    }
  }

  #clear(vm: string): void {
    const { monitor, inventory, health, log } = this.#o;
    this.#since.delete(vm);
    if (!this.#shown.delete(vm)) return;
    if (monitor.domain(vm) === undefined) inventory.removeVm(vm, Infinity, monitor.uuid);
    if (health.clear(causeOf(vm))) log.info("a VM is not in the registry alone any more", { vm });
  }

  async #lookOnce(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.look();
    } catch (error) {
      const isAway = error instanceof VirtxError && error.kind === "unavailable"; // told once, elsewhere
      logFailure(this.#o.log, isAway ? "debug" : "warn", "cannot compare the registry with libvirt", error);
    } finally {
      this.#looking = false;
    }
  }
}

function causeOf(vm: string): string {
  return `VM ${vm} in the registry alone`;
}
