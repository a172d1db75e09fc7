import { changeEach } from "../changes/bulk.ts";
import { selectVms } from "../changes/select.ts";
import type { Context } from "../context.ts";
import type { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";

/** `vm resume`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const { cluster, vms } = await selectVms(context, input);
  return await changeEach({ context, input, cluster, vms }, (vm) => ({
    vm,
    title: `Resuming ${vm.name}`,
    method: "DELETE",
    path: `/vms/${vm.uuid}/runstate/pause`,
    done: () => "resumed",
    begun: "resuming",
  }));
}
