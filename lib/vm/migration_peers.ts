import { VirtxError } from "../model/error.ts";
import type { MigrationVerdict } from "../model/vm.ts";
import type { DomainLook, TargetCheck } from "./migration_exchange.ts";

/**
 * What migrations need of the other hosts. All fail with a VirtxError: `unreachable`, `timeout`, `unavailable` (its libvirt
 * is away) mean that nothing is known; and when the signal says so.
 */
export interface MigrationPeers {
  /** Whether it is known yet which hosts there are; until then none seems to be alive. */
  readonly areKnown: boolean;
  /** Where the host is in the network, as a textual IP address, if Serf says that it is alive. */
  address(host: string): string | undefined;
  /** Whether the host runs the prototype, which answers none of the questions below; see {@link MixedPeers}. */
  isPrototype(host: string): boolean;
  /** Asks the host whether it can take a VM. */
  check(host: string, request: TargetCheck, signal: AbortSignal): Promise<MigrationVerdict>;
  /** Asks what the host's libvirt has of a VM at this moment. */
  look(host: string, vm: string, signal: AbortSignal): Promise<DomainLook>;
  /** As {@link look}, of a host that Serf knows and does not reach: it may be there all the same. */
  lookBeyondSerf(host: string, vm: string, signal: AbortSignal): Promise<DomainLook>;
  /** Has the host look at a VM that has come to it, and sees to it that this host shows it as it is there. */
  seeArrival(host: string, vm: string, signal: AbortSignal): Promise<void>;
  /** Has the host resume a VM that waits there, paused, after a migration; one that runs already is fine. */
  resume(host: string, vm: string, signal: AbortSignal): Promise<void>;
  /**
   * Has the host remove what a failed migration left of a VM there: a definition without a guest, or a guest that waits
   * for its memory, or paused, and never ran there. It refuses (`conflict`) to touch a guest that runs.
   */
  discard(host: string, vm: string, signal: AbortSignal): Promise<void>;
}

/** A host that is alone: it knows of no others. */
export const NO_PEERS: MigrationPeers = {
  areKnown: true,
  address: () => undefined,
  isPrototype: () => false,
  check: alone,
  look: alone,
  lookBeyondSerf: alone,
  seeArrival: alone,
  resume: alone,
  discard: alone,
};

function alone(host: string): Promise<never> {
  return Promise.reject(new VirtxError("unreachable", `host ${host} is not known`));
}
