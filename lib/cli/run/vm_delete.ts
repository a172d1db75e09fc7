import { changeEach } from "../changes/bulk.ts";
import { warningOf } from "../changes/change.ts";
import { listed } from "../changes/listed.ts";
import { confirm } from "../changes/prompt.ts";
import { selectVms } from "../changes/select.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { vmListView } from "../views/vm_list.ts";

/** `vm delete`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const { cluster, vms, directory: { hostName } } = await selectVms(context, input);
  if (vms.length === 0) return ExitCode.ok;
  const deletestorage = input.flag("storage");
  if (input.flag("dry-run")) {
    await context.printer.list(vmListView({ hostName, now: context.now() }), vms);
    return ExitCode.ok;
  }
  const what = `${listed(vms)}${deletestorage ? ` and ${vms.length === 1 ? "its" : "their"} disks` : ""}`;
  if (!await confirm(context, `Delete ${what}?`, input.flag("yes"))) return ExitCode.refused;
  return await changeEach({ context, input, cluster, vms }, (vm) => ({
    vm,
    title: `Deleting ${vm.name}`,
    method: "DELETE",
    path: `/vms/${vm.uuid}`,
    body: { deletestorage },
    done: (result) => `deleted${warningOf(result)}`,
    begun: "deleting",
  }));
}
