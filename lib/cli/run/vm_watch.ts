import { inBackground } from "../../model/background.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { counted, instant } from "../output/human.ts";
import { isEndOfWatching } from "../interrupts.ts";
import { Live } from "../output/live.ts";
import { plain } from "../output/plain.ts";
import { Printer } from "../output/printer.ts";
import { Changing } from "../server/changing.ts";
import { directoryOf } from "../server/find.ts";
import type { VmItem } from "../server/vms.ts";
import { vmListView } from "../views/vm_list.ts";
import { jsonLine } from "../output/printer.ts";
import { runstateWord } from "../views/words.ts";

/** Ages grow, so the list is drawn again now and then though nothing has changed. */
const REDRAW_MS = 1_000;

/** `vm watch`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const directory = await directoryOf(cluster);
  const wanted = new Set(input.words("vm").map((word) => directory.vm(word).uuid));
  const isWanted = (uuid: string) => wanted.size === 0 || wanted.has(uuid);
  const changing = new Changing(cluster, context.signal);
  const inPlace = context.out.isTerminal && context.options.format.kind === "table";
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
  const { out, options, now } = context;
  using live = new Live(out);
  const printer = new Printer(out, options.format, options.headers);
  const draw = async () => {
    const vms = changing.vms().filter(({ uuid }) => isWanted(uuid));
    const table = await printer.table(vmListView({ hostName: changing.hostName, now: now() }), vms);
    const lost = changing.lost === undefined ? [] : [`The server is away: ${plain(changing.lost)}`];
    live.draw([...table.split("\n").slice(0, -1), "", ...lost, `${counted(vms.length, "VM")}. Ctrl-C ends.`]);
  };
  const timer = setInterval(() => inBackground(draw()), REDRAW_MS);
  try {
    await changing.follow(() => inBackground(draw()));
  } finally {
    clearInterval(timer);
    live.keep();
  }
}

/** A line for each VM, and then for each change. */
async function watchLines(
  { out, options, now }: Context,
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
    out.line(options.format.kind === "json" ? line : `${instant(now())} ${line}`);
  };
  await changing.follow((uuids) => {
    for (const uuid of uuids) if (isWanted(uuid)) tell(changing.vm(uuid), uuid);
  });
}
