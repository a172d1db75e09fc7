import { errorMessage, VirtxError } from "../../model/error.ts";
import { delay } from "../changes/delay.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { isEndOfWatching } from "../interrupts.ts";
import { parseDuration } from "../output/duration.ts";
import { Live } from "../output/live.ts";
import { plain } from "../output/plain.ts";
import { resolve } from "../resolve.ts";
import type { Cluster } from "../server/cluster.ts";
import { hostUses, hostUseView, vmUses, vmUseView } from "../views/uses.ts";

const INTERVAL = "2s";

/** `host top`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const { out, options, signal } = context;
  const intervalMs = Math.max(500, parseDuration(input.string("interval") ?? INTERVAL, "--interval"));
  const sort = input.string("sort") ?? "cpu";
  const word = input.argument("host");
  const host = word === undefined ? undefined : resolve(word, await cluster.hosts(), "host");
  const inPlace = out.isTerminal && options.format.kind === "table" && !input.flag("once");
  if (!inPlace) {
    await printOnce(context, cluster, host?.uuid, sort);
    return ExitCode.ok;
  }
  using live = new Live(out);
  try {
    for (;;) {
      live.draw([...await picture(context, cluster, host, sort), "", "Ctrl-C ends."]);
      await delay(intervalMs, signal);
    }
  } catch (error) {
    live.keep();
    if (!isEndOfWatching(error, signal)) throw error;
    out.line(); // behind the ^C that the terminal shows
    return ExitCode.ok;
  }
}

async function printOnce(
  { printer }: Context,
  cluster: Cluster,
  host: string | undefined,
  sort: string,
): Promise<void> {
  if (host === undefined) await printer.list(hostUseView, await hostUses(cluster, sort));
  else await printer.list(vmUseView, await vmUses(cluster, host, sort));
}

/** The lines of the moment; while no server answers, why. */
async function picture(
  context: Context,
  cluster: Cluster,
  host: { readonly uuid: string; readonly name: string } | undefined,
  sort: string,
): Promise<readonly string[]> {
  const { printer, now } = context;
  const time = new Date(now()).toISOString().slice(11, 19);
  try {
    const table = host === undefined
      ? await printer.table(hostUseView, await hostUses(cluster, sort))
      : await printer.table(vmUseView, await vmUses(cluster, host.uuid, sort));
    const title = host === undefined ? "Hosts" : `VMs on ${plain(host.name)}`;
    return [`${title} at ${time} UTC`, "", ...table.trimEnd().split("\n")];
  } catch (error) {
    if (!(error instanceof VirtxError) || context.signal.aborted) throw error;
    return [`${time} UTC: ${plain(errorMessage(error).split("\n")[0] ?? "")}`];
  }
}
