import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { findVm } from "../server/find.ts";
import { printMigration } from "../views/migration_sheet.ts";
import { vmRecord, vmSheet } from "../views/vm_sheet.ts";
import { vmListView } from "../views/vm_list.ts";

/** `vm get`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const { hostName, ...item } = await findVm(cluster, input.required("vm"));
  const { printer } = context;
  const now = context.now();
  if (input.flag("state")) await printer.list(vmListView({ hostName, now }), [item]);
  else if (input.flag("migration")) {
    await printMigration(context, item, await cluster.migration(item.uuid), hostName);
  } else {
    await printer.one(
      { name: ({ def }) => def.name, record: (vm) => vmRecord(vm, hostName) },
      await cluster.vm(item.uuid),
      (vm) => vmSheet(vm, { hostName, now, printer }),
    );
  }
  return ExitCode.ok;
}
