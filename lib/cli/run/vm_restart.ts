import { VirtxError } from "../../model/error.ts";
import { Unattended } from "../changes/attended.ts";
import { doEach } from "../changes/bulk.ts";
import { carryOut, type Manner } from "../changes/change.ts";
import type { Outcome } from "../changes/outcome.ts";
import { selectVms } from "../changes/select.ts";
import { forceOf, stopping } from "../changes/stopping.ts";
import type { Context } from "../context.ts";
import type { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import type { Named } from "../resolve.ts";
import { starting } from "./vm_start.ts";

/** `vm restart`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const { cluster, vms } = await selectVms(context, input);
  return await doEach({ context, input, cluster, vms }, async (vm, manner) => {
    try {
      await carryOut(stopping(vm, forceOf(input), cluster, ", so it is not started again"), manner);
    } catch (error) {
      if (!(error instanceof Unattended) || error.stage.kind !== "afterwards") throw error;
      return notStarted(vm, error.stage.words?.said ?? "stopped");
    }
    // Whoever has everything cancelled between the two does not want the second.
    if (manner.attendance.cancelling) return notStarted(vm, "stopped");
    return await startAgain(vm, manner);
  });
}

async function startAgain(vm: Named, manner: Manner): Promise<Outcome> {
  try {
    return { ...await carryOut(starting(vm), manner), said: "restarted" };
  } catch (error) {
    if (error instanceof Unattended && error.stage.kind === "waiting") return notStarted(vm, "stopped");
    if (error instanceof VirtxError) throw VirtxError.wrap(error, `After ${vm.name} was stopped`);
    throw error;
  }
}

function notStarted(vm: Named, said: string): Outcome {
  return { vm, said: `${said}, and not started again`, operation: undefined, state: "cancelled" };
}
