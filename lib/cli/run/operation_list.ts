import type { Context } from "../context.ts";
import type { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { directoryOf } from "../server/find.ts";
import { printOperations } from "../views/operation_list.ts";

/** `operation list`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const directory = await directoryOf(cluster);
  const vm = input.string("vm");
  const host = input.string("host");
  const list = await cluster.operations({
    vm: vm === undefined ? undefined : (await directory.vm(vm)).uuid,
    host: host === undefined ? undefined : directory.host(host).uuid,
    state: input.string("state"),
    limit: input.string("limit"),
  });
  return await printOperations(context, list, directory);
}
