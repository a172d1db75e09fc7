import type { HostMonitor } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { unlessDefect } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { MigrationVerdict } from "../model/vm.ts";
import type { MigrationRecord, MigrationRecords } from "../registry/migration_record.ts";
import type { Registry } from "../registry/registry.ts";
import { lookAtDomain } from "./domain_look.ts";
import { TargetChecker, type TargetCheckerOptions } from "./migration_check.ts";
import type { DomainLook, TargetCheck } from "./migration_exchange.ts";
import type { MigrationPeers } from "./migration_peers.ts";
import { unlessGone } from "./unless_gone.ts";
import { localVariables } from "./variables.ts";

/** What a {@link MigrationTarget} stands on. */
export interface MigrationTargetOptions extends TargetCheckerOptions {
  readonly hypervisor: Hypervisor;
  readonly monitor: Pick<HostMonitor, "uuid" | "hasBridge" | "refresh">;
  readonly registry: Registry;
  readonly migrations: Pick<MigrationRecords, "leadingHere">;
  readonly peers: Pick<MigrationPeers, "look">;
  /** Whether the VM migrates away from here. */
  readonly isLeaving: (vm: string) => boolean;
  readonly log: Logger;
}

/** What has no guest, or one that does not run. */
export const DISCARDABLE: readonly DomainLook["presence"][] = ["off", "paused", "incoming"];

/** How long the source of a migration may take to tell what it has of the VM. */
const SOURCE_TIMEOUT_MS = 3_000;

/**
 * What this host does for migrations that lead to it, when their source asks. Changes need the VM's lock. Who asks cannot be
 * told; so nothing is done that the source's record of the migration, on shared storage, and its libvirt do not bear out.
 */
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
    const source = await this.#sourceOf("resume", vm, ({ held, running }, there) => {
      if (!held || !running) return "its migration does not hold it here";
      return there.presence === "absent" ? undefined : `it is ${there.presence} at its source`;
    });
    await this.#o.hypervisor.resume(vm);
    this.#o.log.info("resumed a VM that has arrived", { vm, source });
  }

  /** Removes what a migration that failed left here, while the guest runs at its source. */
  async discard(vm: string): Promise<void> {
    const { hypervisor, registry, log, isLeaving } = this.#o;
    const { presence } = await this.look(vm);
    if (presence === "absent") return;
    if (isLeaving(vm) || !DISCARDABLE.includes(presence)) {
      throw new VirtxError("conflict", `Cannot discard VM ${vm}: it is ${presence} here`);
    }
    const source = await this.#sourceOf("discard", vm, (_record, there) => {
      if (there.migrating) return "its migration is under way";
      return there.presence === "running" ? undefined : `it is ${there.presence} at its source`;
    });
    // On shared storage the guest at the source has them.
    const keepVariables = localVariables(await hypervisor.liveXml(vm)) === undefined;
    // libvirt may end by itself what waits in vain.
    if (presence !== "off") await hypervisor.destroy(vm, { graceful: false }).catch(unlessGone);
    await hypervisor.undefine(vm, { keepVariables }).catch(unlessGone); // it may have been transient
    await registry.remove(vm);
    log.info("discarded what a migration left", { vm, presence, source });
  }

  /**
   * The host that a VM migrates from to this one, by its record.
   * @param objection what of the record, or of what that host's libvirt has of the VM, speaks against it
   * @throws VirtxError conflict, if there is no such host
   */
  async #sourceOf(
    verb: string,
    vm: string,
    objection: (record: MigrationRecord, there: DomainLook) => string | undefined,
  ): Promise<string> {
    const { migrations, peers, log } = this.#o;
    let reason = "no host has a record of a migration of it to this one";
    for (const record of await migrations.leadingHere(vm)) {
      const there = await peers.look(record.source, vm, AbortSignal.timeout(SOURCE_TIMEOUT_MS));
      const found = objection(record, there);
      if (found === undefined) return record.source;
      reason = `${found}, host ${record.source}`;
    }
    log.warn("refused what only the source of a migration may ask", { vm, asked: verb, reason });
    throw new VirtxError("conflict", `Cannot ${verb} VM ${vm} after its migration: ${reason}`);
  }
}
