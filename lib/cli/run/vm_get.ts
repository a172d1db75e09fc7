import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { findVm } from "../server/find.ts";
import { vmRecord, vmSheet } from "../views/vm_sheet.ts";

/** `vm get`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const { uuid, hostName } = await findVm(cluster, input.required("vm"));
  const vm = await cluster.vm(uuid);
  const { printer } = context;
  await printer.one(
    { name: ({ def }) => def.name, record: (vm) => vmRecord(vm, hostName) },
    vm,
    () => vmSheet(vm, { hostName, now: context.now(), printer }),
  );
  return ExitCode.ok;
}
