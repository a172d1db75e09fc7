import type { Host } from "../model/host.ts";
import type { VmInfo } from "../model/vm.ts";
import type { OriginState, Want } from "./exchange.ts";
import type { HostReport } from "./host_report.ts";
import type { HostEntry } from "./inventory.ts";
import type { Progress } from "./progress.ts";

/** What somebody knows of an origin; its VMs are as the origin says they are. */
export interface Known {
  readonly uuid: string;
  readonly progress: Progress;
  readonly host: HostEntry | undefined;
  readonly report: HostReport | undefined;
  readonly vm: (uuid: string) => VmInfo | undefined;
  readonly vms: () => Iterable<VmInfo>;
}

/**
 * The answer to a wish: what has changed since, if that is still remembered, else everything; also to who believes to know
 * more than there is.
 */
export function stateFor(
  { since }: Want,
  { uuid, progress, host: entry, report, vm, vms }: Known,
): OriginState {
  const { stamp } = progress;
  const host = entry && hostSaid(entry);
  const isKnown = since?.epoch === stamp.epoch && since.seq <= stamp.seq;
  const changed = isKnown ? progress.changedSince(since.seq) : undefined;
  if (!since || !changed) return { uuid, ...stamp, host, report, base: undefined, vms: [...vms()], gone: [] };
  const present: VmInfo[] = [];
  const gone: string[] = [];
  for (const changedVm of changed) {
    const info = vm(changedVm);
    if (info) present.push(info);
    else gone.push(changedVm);
  }
  return { uuid, ...stamp, host, report, base: since.seq, vms: present, gone };
}

/** Without what this host makes of it. */
function hostSaid({ conditions: _conditions, ...host }: HostEntry): Host {
  return host;
}
