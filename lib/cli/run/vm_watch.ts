import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { counted, instant } from "../output/human.ts";
import { isEndOfWatching } from "../interrupts.ts";
import { LiveView } from "../output/live_view.ts";
import { plain } from "../output/plain.ts";
import { Changing } from "../server/changing.ts";
import { directoryOf } from "../server/find.ts";
import { awayText } from "../failure.ts";
import type { VmItem } from "../server/vms.ts";
import { vmListView } from "../views/vm_list.ts";
import { jsonLine } from "../output/printer.ts";
import { measureAll } from "../output/width.ts";
import { runstateWord } from "../views/words.ts";

/** Ages grow, so the list is drawn again now and then though nothing has changed. */
const REDRAW_MS = 1_000;

/** `vm watch`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const directory = await directoryOf(cluster);
  const wanted = new Set<string>();
  for (const word of input.words("vm")) wanted.add((await directory.vm(word)).uuid);
  const isWanted = (uuid: string) => wanted.size === 0 || wanted.has(uuid);
  const changing = new Changing(cluster, context.signal);
  const inPlace = context.out.isAddressable && context.options.format.kind === "table";
  try {
    await (inPlace ? watchInPlace(context, changing, isWanted) : watchLines(context, changing, isWanted));
  } catch (error) {
    if (!isEndOfWatching(error, context.signal)) throw error;
    if (inPlace) context.out.line(); // behind the ^C that the terminal shows
  }
  return ExitCode.ok;
}

async function watchInPlace(
  context: Context,
  changing: Changing,
  isWanted: (uuid: string) => boolean,
): Promise<void> {
  const { out, printer, now } = context;
  const measure = await measureAll();
  using view = new LiveView(out, measure, () => {
    const vms = changing.vms().filter(({ uuid }) => isWanted(uuid));
    return {
      lines: printer.lines(vmListView({ hostName: changing.hostName, now: now() }), vms, measure),
      lost: changing.lost,
      foot: `${counted(vms.length, "VM")}. Ctrl-C ends.`,
    };
  });
  const timer = setInterval(() => view.draw(), REDRAW_MS);
  try {
    await changing.follow(() => view.draw());
  } finally {
    clearInterval(timer);
  }
}

/** A line for each VM, and then for each change. */
async function watchLines(
  { out, err, options, now }: Context,
  changing: Changing,
  isWanted: (uuid: string) => boolean,
): Promise<void> {
  const told = new Map<string, string>();
  const tell = (vm: VmItem | undefined, uuid: string) => {
    const view = vmListView({ hostName: changing.hostName, now: now() });
    const line = options.format.kind === "json"
      ? jsonLine(vm === undefined ? { uuid, removed: true } : view.record(vm))
      : vm === undefined
      ? `${uuid} deleted`
      : `${plain(vm.name)} ${runstateWord(vm.runstate)} on ${plain(changing.hostName(vm.host))}`;
    const essence = vm === undefined ? "" : `${vm.name} ${vm.runstate} ${vm.host}`;
    if (told.get(uuid) === essence || (vm === undefined && !told.has(uuid))) return;
    if (vm === undefined) told.delete(uuid);
    else told.set(uuid, essence);
    if (options.format.kind === "json") out.data(`${line}\n`);
    else out.line(`${instant(now())} ${line}`);
    out.throwIfClosed();
  };
  let lost: string | undefined;
  await changing.follow((uuids) => {
    if (changing.lost !== undefined && changing.lost !== lost && !options.quiet) {
      err.line(awayText(changing.lost));
    }
    lost = changing.lost;
    for (const uuid of uuids) if (isWanted(uuid)) tell(changing.vm(uuid), uuid);
  });
}
