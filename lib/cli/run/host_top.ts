import { errorMessage, VirtxError } from "../../model/error.ts";
import { delay } from "../../model/delay.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { isEndOfWatching } from "../interrupts.ts";
import { parseDuration } from "../output/duration.ts";
import { LiveView, type Picture } from "../output/live_view.ts";
import { plain } from "../output/plain.ts";
import { type Measure, measureAll } from "../output/width.ts";
import { type Named, resolve } from "../resolve.ts";
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
  const inPlace = out.isAddressable && options.format.kind === "table" && !input.flag("once");
  if (!inPlace) {
    await printOnce(context, cluster, host?.uuid, sort);
    return ExitCode.ok;
  }
  const measure = await measureAll();
  let uses: Uses | undefined;
  let lost: string | undefined;
  using view = new LiveView(out, measure, () => picture(context, { host, uses, lost, measure }));
  try {
    for (;;) {
      try {
        uses = await look(context, cluster, host, sort);
        lost = undefined;
      } catch (error) {
        if (!(error instanceof VirtxError) || signal.aborted) throw error;
        lost = errorMessage(error);
      }
      view.draw();
      await delay(intervalMs, signal);
    }
  } catch (error) {
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

/** What was seen at a moment. */
interface Uses {
  /** UTC milliseconds. */
  readonly at: number;
  readonly lines: (measure: Measure) => readonly string[];
}

/** @throws VirtxError if nobody can tell */
async function look(
  { printer, now }: Context,
  cluster: Cluster,
  host: Named | undefined,
  sort: string,
): Promise<Uses> {
  if (host === undefined) {
    const uses = await hostUses(cluster, sort);
    return { at: now(), lines: (measure) => printer.lines(hostUseView, uses, measure) };
  }
  const uses = await vmUses(cluster, host.uuid, sort);
  return { at: now(), lines: (measure) => printer.lines(vmUseView, uses, measure) };
}

/** What was seen last and when, and, while no server answers, why there is nothing newer. */
function picture(
  { now }: Context,
  { host, uses, lost, measure }: {
    readonly host: Named | undefined;
    readonly uses: Uses | undefined;
    readonly lost: string | undefined;
    readonly measure: Measure;
  },
): Picture {
  const title = host === undefined ? "Hosts" : `VMs on ${plain(host.name)}`;
  const time = new Date(uses?.at ?? now()).toISOString().slice(11, 19);
  return {
    lines: [`${title} at ${time} UTC`, "", ...uses?.lines(measure) ?? []],
    lost,
    foot: "Ctrl-C ends.",
  };
}
