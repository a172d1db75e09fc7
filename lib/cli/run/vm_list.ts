import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { resolve } from "../resolve.ts";
import { hostNames } from "../server/host_names.ts";
import { vmListView } from "../views/vm_list.ts";
import { runstateQuery } from "../views/words.ts";

/** `vm list`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const wanted = input.string("host");
  const hosts = cluster.hosts();
  const vms = cluster.vms({
    name: input.string("name"),
    host: wanted === undefined ? undefined : resolve(wanted, await hosts, "host").uuid,
    runstate: runstateQuery(input.string("state")),
    vlanid: input.string("vlanid"),
    "custom.name": input.string("custom-name"),
    "custom.value": input.string("custom-value"),
    sort: input.string("sort")?.replace("state", "runstate"),
    limit: input.string("limit"),
  });
  const [names, items] = await Promise.all([hosts.then(hostNames), vms]);
  const { format, quiet } = context.options;
  if (items.length === 0 && (format.kind === "table" || format.kind === "wide") && !quiet) {
    context.err.line("No VMs.");
  } else await context.printer.list(vmListView({ hostName: names, now: context.now() }), items);
  return ExitCode.ok;
}
