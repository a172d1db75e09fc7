import { retransmits } from "../../lib/cluster/budget.ts";
import {
  encodeHostInfo,
  encodeVmEvent,
  encodeVmInfo,
  EVENT_OVERHEAD,
  hostInfoOf,
} from "../../lib/cluster/records.ts";
import { hostEntry, vmInfo } from "./vm_info.ts";

/** What a cluster says in a minute, and what its agents send for it all together. */
export interface Traffic {
  readonly events: number;
  readonly bytes: number;
}

/**
 * What the Go prototype's scheme (protocol.md §2: an HI and all VIs each 15 s, a VE for each change) asks of Serf in a minute,
 * whether Serf can carry it or not.
 */
export function prototypeTraffic(hosts: number, vmsPerHost: number, changesPerSecond: number): Traffic {
  const bytes = (payload: Uint8Array | undefined) => (payload?.length ?? 0) + EVENT_OVERHEAD;
  const vm = vmInfo({ name: "virt10-vm10" });
  const his = 4 * hosts;
  const vis = 4 * hosts * vmsPerHost;
  const ves = 60 * changesPerSecond;
  const said = his * bytes(encodeHostInfo(hostInfoOf(hostEntry()))) + vis * bytes(encodeVmInfo(vm)) +
    ves * bytes(encodeVmEvent(vm));
  return { events: his + vis + ves, bytes: said * hosts * retransmits(hosts) };
}
