import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { hostNames } from "../server/host_names.ts";
import { printTrash } from "../views/trash_list.ts";

/** `trash list`. */
export async function run(context: Context): Promise<ExitCode> {
  const cluster = await context.cluster();
  const [{ items }, hosts] = await Promise.all([cluster.trash(), cluster.hosts()]);
  await printTrash(context, items, hostNames(hosts));
  return ExitCode.ok;
}
