import { DomainState, JobOperation } from "../libvirt/constants.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { VirtxError } from "../model/error.ts";
import type { DomainLook } from "./migration_exchange.ts";

/** virDomainPausedReason and virDomainRunningReason, as far as migrations are concerned. */
const Paused = { migration: 2, postcopy: 12, postcopyFailed: 13 } as const;
const Running = { postcopy: 10, postcopyFailed: 11 } as const;

const ABSENT: DomainLook = { presence: "absent", persistent: false, migrating: false };

/**
 * What this host's libvirt, or that of another, has of a VM at this moment.
 *
 * @param leaving whether it migrates away from there; by itself libvirt does not tell which end this is
 * @throws VirtxError what libvirt answers
 */
export async function lookAtDomain(
  hypervisor: Pick<Hypervisor, "domains" | "isActive" | "job" | "state">,
  uuid: string,
  leaving: boolean,
): Promise<DomainLook> {
  const domain = (await hypervisor.domains()).find((known) => known.uuid === uuid);
  if (domain === undefined) return ABSENT;
  const { persistent } = domain;
  try {
    if (!await hypervisor.isActive(uuid)) return { presence: "off", persistent, migrating: false };
    // The job first: had it been asked for last, it could end between the two, and the state be that of before.
    const migrating = (await hypervisor.job(uuid))?.operation === JobOperation.migrationOut;
    const { state, reason } = await hypervisor.state(uuid);
    return { presence: presenceOf(state, reason, leaving), persistent, migrating };
  } catch (error) {
    if (!(error instanceof VirtxError)) throw error;
    if (error.kind === "not_found") return ABSENT;
    // It may have ended in between.
    if (error.kind === "refused" && !await hypervisor.isActive(uuid)) {
      return { presence: "off", persistent, migrating: false };
    }
    throw error;
  }
}

function presenceOf(state: number, reason: number, leaving: boolean): DomainLook["presence"] {
  switch (state) {
    case DomainState.shutoff:
      return "off";
    case DomainState.running:
      return reason === Running.postcopy || reason === Running.postcopyFailed ? "halved" : "running";
    case DomainState.paused:
      if (reason === Paused.postcopy || reason === Paused.postcopyFailed) return "halved";
      if (reason === Paused.migration) return leaving ? "outgoing" : "incoming";
      return "paused";
    case DomainState.blocked:
    case DomainState.shutdown:
      return "running";
    default: // crashed or asleep, with its QEMU
      return "paused";
  }
}
