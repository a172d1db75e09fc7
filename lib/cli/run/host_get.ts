import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { resolve } from "../resolve.ts";
import { hostRecord, hostSheet } from "../views/host_sheet.ts";

/** `host get`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const { uuid } = resolve(input.required("host"), await cluster.hosts(), "host");
  const [host, vms] = await Promise.all([cluster.host(uuid), cluster.vms({ host: uuid })]);
  const { printer } = context;
  await printer.one(
    { name: ({ def }) => def.name, record: (host) => hostRecord(host, vms) },
    host,
    () => hostSheet(host, vms, { now: context.now(), printer }),
  );
  return ExitCode.ok;
}
