import { doEach } from "../changes/bulk.ts";
import { carryOut } from "../changes/change.ts";
import { selectVms } from "../changes/select.ts";
import { forceOf, stopping } from "../changes/stopping.ts";
import type { Context } from "../context.ts";
import type { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { starting } from "./vm_start.ts";

/** `vm restart`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const { cluster, vms } = await selectVms(context, input);
  return await doEach({ context, input, cluster, vms }, async (vm, manner) => {
    await carryOut(stopping(vm, forceOf(input), cluster), manner);
    return { ...await carryOut(starting(vm), manner), said: "restarted" };
  });
}
