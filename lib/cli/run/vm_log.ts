import type { Context } from "../context.ts";
import type { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { directoryOf } from "../server/find.ts";
import { printOperations } from "../views/operation_list.ts";

/** `vm log`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const directory = await directoryOf(cluster);
  const { uuid } = await directory.vm(input.required("vm"));
  const list = await cluster.operations({ vm: uuid, limit: input.string("limit") });
  return await printOperations(context, list, directory);
}
