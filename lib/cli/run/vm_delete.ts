import { VirtxError } from "../../model/error.ts";
import { allDisks, ownsStorage } from "../../model/vm.ts";
import { changeEach } from "../changes/bulk.ts";
import { warningOf } from "../changes/change.ts";
import { listed } from "../changes/listed.ts";
import { confirm } from "../changes/prompt.ts";
import { selectVms } from "../changes/select.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { counted, instant, span } from "../output/human.ts";
import { plain } from "../output/plain.ts";
import type { Cluster } from "../server/cluster.ts";
import type { VmItem } from "../server/vms.ts";
import { vmListView } from "../views/vm_list.ts";

const HOUR_MS = 3_600_000;
/** Of so many VMs the disks are listed. */
const SHOWN = 5;

/** `vm delete`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const deletestorage = input.flag("storage");
  if (input.flag("now") && !deletestorage) {
    throw new VirtxError("invalid", "--now is about disks: give --storage, too");
  }
  const { cluster, vms, directory: { hostName } } = await selectVms(context, input);
  if (vms.length === 0) return ExitCode.ok;
  if (input.flag("dry-run")) {
    await context.printer.list(vmListView({ hostName, now: context.now() }), vms);
    return ExitCode.ok;
  }
  const now = input.flag("now");
  const yes = input.flag("yes");
  const hosts = deletestorage && (now || !yes) ? [...new Set(vms.map(({ host }) => host))] : [];
  const hours = await hoursOf(cluster, hosts);
  if (deletestorage && !yes) await showDisks(context, cluster, vms);
  const question = `Delete ${listed(vms)}${
    deletestorage ? disksOf(vms, now ? 0 : Math.min(...hours.values())) : ""
  }?`;
  if (!await confirm(context, question, yes)) return ExitCode.refused;
  return await changeEach({ context, input, cluster, vms }, (vm) => ({
    vm,
    title: `Deleting ${vm.name}`,
    method: "DELETE",
    path: `/vms/${vm.uuid}`,
    // A host of an earlier version takes no such field, nor has it a trash: there the disks go at once anyway.
    body: { deletestorage, ...(now && (hours.get(vm.host) ?? 0) > 0 && { now }) },
    done: (result) => `deleted${trashOf(result)}${warningOf(result)}`,
    begun: "deleting",
  }));
}

/** Says which disks will be gone, of as many VMs as are named. */
async function showDisks({ err }: Context, cluster: Cluster, vms: readonly VmItem[]): Promise<void> {
  for (const { uuid } of vms.slice(0, SHOWN)) {
    const { def } = await cluster.vm(uuid);
    for (const { path } of allDisks(def).filter(ownsStorage)) err.line(`  ${plain(path)}`);
  }
  if (vms.length > SHOWN) err.line(`  and those of ${counted(vms.length - SHOWN, "other VM")}`);
}

/** Continues a question: what becomes of disks that can be restored for so many hours. */
function disksOf(vms: readonly VmItem[], hours: number): string {
  const disks = ` and ${vms.length === 1 ? "its" : "their"} disks, `;
  return disks + (hours > 0 ? `which can be restored for ${span(hours * HOUR_MS)}` : "for good");
}

/** For how many hours each host keeps what is deleted on it; 0 also for one that has no trash, or does not answer. */
async function hoursOf(cluster: Cluster, hosts: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const hours = new Map<string, number>();
  await Promise.all(hosts.map(async (host) => {
    try {
      hours.set(host, (await cluster.trash({ host })).hours);
    } catch (error) {
      if (!(error instanceof VirtxError)) throw error;
      hours.set(host, 0);
    }
  }));
  return hours;
}

/** Until when the disks can be restored, as a deletion's result says. */
function trashOf(result: unknown): string {
  const trash = typeof result === "object" && result !== null ? Reflect.get(result, "trash") : undefined;
  const until = typeof trash === "object" && trash !== null ? Reflect.get(trash, "until") : undefined;
  return typeof until === "number" ? `; its disks can be restored until ${instant(until)}` : "";
}
