import { doEach } from "../changes/bulk.ts";
import type { Context } from "../context.ts";
import type { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { findOperations } from "../server/find_operation.ts";

/** `operation cancel`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const ids = await findOperations(cluster, input.words("operation"));
  const vms = [...new Set(ids)].map((id) => ({ uuid: id, name: id }));
  return await doEach({ context, input, cluster, vms }, async (operation, { attendance }) => {
    const { uuid: id } = operation;
    await attendance.attend(`Cancelling ${id}`, async (attended) => {
      context.signal.throwIfAborted();
      attended.stage = { kind: "asked" };
      await cluster.cancel(id, { signal: attendance.cutOff });
    });
    return { vm: operation, said: "cancelled", operation: id, state: "completed" };
  });
}
