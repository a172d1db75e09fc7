import { changeEach } from "../changes/bulk.ts";
import { listed } from "../changes/listed.ts";
import { confirm } from "../changes/prompt.ts";
import { selectVms } from "../changes/select.ts";
import { stopping } from "../changes/stopping.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";

/** `vm kill`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const { cluster, vms } = await selectVms(context, input);
  if (vms.length === 0) return ExitCode.ok;
  const question = `End ${listed(vms)} at once? What was not written yet is lost.`;
  if (!await confirm(context, question, input.flag("yes"))) return ExitCode.refused;
  return await changeEach({ context, input, cluster, vms }, (vm) => stopping(vm, 2, cluster));
}
