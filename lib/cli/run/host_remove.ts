import { VirtxError } from "../../model/error.ts";
import { isUuid } from "../../model/uuid.ts";
import { confirm } from "../changes/prompt.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { plain } from "../output/plain.ts";
import { type Named, resolve } from "../resolve.ts";
import type { HostItem } from "../server/hosts.ts";

/** `host remove`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const { uuid, name } = find(input.required("host"), await cluster.hosts());
  const force = input.flag("force");
  const vms = force ? " and the VMs that are registered there" : "";
  if (!await confirm(context, `Have the cluster forget host ${plain(name)}${vms}?`, input.flag("yes"))) {
    return ExitCode.refused;
  }
  await cluster.removeHost(uuid, force, { signal: context.signal });
  if (!context.options.quiet) {
    context.err.line(`${plain(name)}: removed; the other hosts follow within a minute`);
  }
  return ExitCode.ok;
}

/** One that is listed; or by its whole UUID one that is removed already. */
function find(word: string, hosts: readonly HostItem[]): Named {
  try {
    return resolve(word, hosts, "host");
  } catch (error) {
    const uuid = word.toLowerCase();
    if (!(error instanceof VirtxError) || error.kind !== "not_found" || !isUuid(uuid)) throw error;
    return { uuid, name: uuid };
  }
}
