import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { sizeOf } from "../output/size_flag.ts";
import { hostListView } from "../views/host_list.ts";

/** As a filter the prototype's client gives MiB, without a unit. */
const MIB = { bare: true };

/** `host list`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const hosts = await cluster.hosts({
    name: input.string("name"),
    cstate: input.string("state"),
    arch: input.string("arch"),
    vendor: input.string("vendor"),
    memoryavailable: sizeOf(input, "memory", MIB)?.toString(),
    hpavailable: sizeOf(input, "hp", MIB)?.toString(),
  });
  await context.printer.list(hostListView(context.now()), hosts);
  return ExitCode.ok;
}
