import { VirtxError } from "../../model/error.ts";
import type { Vmdef } from "../../model/vm.ts";
import type { Context } from "../context.ts";
import type { Input } from "../input.ts";
import type { Named } from "../resolve.ts";
import type { Cluster } from "../server/cluster.ts";
import type { VmDetails } from "../server/vms.ts";
import { type Change, warningOf } from "./change.ts";
import { definitionPath, showDifferences } from "./definition.ts";

/** Replaces the definition of a VM, as the flags say, if it still is the one that was read. */
export function updating(vm: Named, read: Pick<VmDetails, "tag">, vmdef: Vmdef, input: Input): Change {
  return {
    vm,
    title: `Changing ${vm.name}`,
    method: "PUT",
    path: definitionPath(`/vms/${vm.uuid}`, input),
    body: { vmdef, deletestorage: input.flag("storage") },
    ifMatch: read.tag,
    done: (result) => `changed${warningOf(result)}`,
    begun: "changing",
  };
}

/**
 * After a change was refused because somebody else had been quicker: shows what that one has changed. The VM as it is now;
 * undefined: it is not that.
 */
export async function overtaken(
  error: unknown,
  { uuid, name }: Named,
  read: VmDetails,
  { context, cluster }: { readonly context: Context; readonly cluster: Cluster },
): Promise<VmDetails | undefined> {
  if (!(error instanceof VirtxError) || error.kind !== "stale") return undefined;
  const now = await cluster.vm(uuid);
  context.out.line(`Meanwhile somebody else has changed ${name}:`);
  if (!showDifferences(context, read.def, now.def)) context.out.line("(and back again)");
  return now;
}
