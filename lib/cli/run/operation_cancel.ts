import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { shortFailure } from "../failure.ts";
import type { Input } from "../input.ts";
import { findOperations } from "../server/find_operation.ts";

/** `operation cancel`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const ids = await findOperations(cluster, input.words("operation"));
  let failed = 0;
  await Promise.all(ids.map(async (id) => {
    try {
      await cluster.cancel(id);
      if (!context.options.quiet) context.out.line(`${id}: cancelled`);
    } catch (error) {
      if (ids.length === 1 || context.signal.aborted) throw error;
      failed++;
      context.err.line(`${id}: ${shortFailure(error)}`);
    }
  }));
  return failed > 0 ? ExitCode.refused : ExitCode.ok;
}
