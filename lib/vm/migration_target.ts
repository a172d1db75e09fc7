import type { HostMonitor } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { unlessDefect } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { MigrationVerdict } from "../model/vm.ts";
import type { Registry } from "../registry/registry.ts";
import { lookAtDomain } from "./domain_look.ts";
import { TargetChecker, type TargetCheckerOptions } from "./migration_check.ts";
import type { DomainLook, TargetCheck } from "./migration_exchange.ts";
import { unlessGone } from "./unless_gone.ts";

/** What a {@link MigrationTarget} stands on. */
export interface MigrationTargetOptions extends TargetCheckerOptions {
  readonly hypervisor: Hypervisor;
  readonly monitor: Pick<HostMonitor, "uuid" | "hasBridge" | "refresh">;
  readonly registry: Registry;
  /** Whether the VM migrates away from here. */
  readonly isLeaving: (vm: string) => boolean;
  readonly log: Logger;
}

/** What has no guest, or one that does not run. */
const DISCARDABLE: readonly DomainLook["presence"][] = ["off", "paused", "incoming"];

/** What this host does for migrations that lead to it, when their source asks. Changes need the VM's lock. */
export class MigrationTarget {
  readonly #o: MigrationTargetOptions;
  readonly #checker: TargetChecker;

  constructor(options: MigrationTargetOptions) {
    this.#o = options;
    this.#checker = new TargetChecker(options);
  }

  /** Whether this host can take a VM. */
  async check(request: TargetCheck): Promise<MigrationVerdict> {
    return await this.#checker.check(request);
  }

  /** What libvirt here has of a VM. Whoever is told of it sees it in the inventory, too. */
  async look(vm: string): Promise<DomainLook> {
    const { hypervisor, isLeaving, monitor, log } = this.#o;
    await monitor.refresh(vm).catch(unlessDefect(log, "cannot refresh VM", { vm })); // the next sample shows it
    return await lookAtDomain(hypervisor, vm, isLeaving(vm));
  }

  /** Lets a guest run that was held here until its source had ended its own. */
  async resume(vm: string): Promise<void> {
    const { presence } = await this.look(vm);
    if (presence === "running") return;
    if (presence !== "paused") {
      throw new VirtxError("conflict", `Cannot resume VM ${vm} after its migration: it is ${presence} here`);
    }
    await this.#o.hypervisor.resume(vm);
    this.#o.log.info("resumed a VM that has arrived", { vm });
  }

  /** Removes what a migration that failed left here. */
  async discard(vm: string): Promise<void> {
    const { hypervisor, registry, log, isLeaving } = this.#o;
    const { presence } = await this.look(vm);
    if (presence === "absent") return;
    if (isLeaving(vm) || !DISCARDABLE.includes(presence)) {
      throw new VirtxError("conflict", `Cannot discard VM ${vm}: it is ${presence} here`);
    }
    // libvirt may end by itself what waits in vain.
    if (presence !== "off") await hypervisor.destroy(vm, { graceful: false }).catch(unlessGone);
    await hypervisor.undefine(vm).catch(unlessGone); // it may have been transient
    await registry.remove(vm);
    log.info("discarded what a migration left", { vm, presence });
  }
}
