import { VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { awayText } from "../failure.ts";
import type { Input } from "../input.ts";
import { isEndOfWatching } from "../interrupts.ts";
import { instant } from "../output/human.ts";
import { plain } from "../output/plain.ts";
import { jsonLine } from "../output/printer.ts";
import type { ServerEvent } from "../server/event_stream.ts";
import { Fields } from "../server/fields.ts";
import { type Directory, directoryOf } from "../server/find.ts";
import { follow } from "../server/follow.ts";
import { readHostItem } from "../server/hosts.ts";
import { readOperation } from "../server/operations.ts";
import { readVmItem } from "../server/vms.ts";
import { vmNames } from "../views/operation_list.ts";
import { hostStateText, operationWord, runstateWord } from "../views/words.ts";

/** The last event that was asked for has come. */
class Enough extends Error {}

/** `event tail`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const directory = await directoryOf(cluster);
  const vm = input.string("vm");
  const types = input.strings("type");
  const { out, err, options, now, signal } = context;
  let left = countOf(input);
  let lost: string | undefined;
  try {
    await follow(cluster.server, {
      query: {
        types: types.length > 0 ? types.join(",") : undefined,
        vm: vm === undefined ? undefined : (await directory.vm(vm)).uuid,
      },
      signal,
      onOpen: () => {
        if (lost !== undefined && !options.quiet) err.line("The server is back.");
        lost = undefined;
      },
      onLost: (reason) => {
        if (reason !== lost && !options.quiet) err.line(awayText(reason));
        lost = reason;
      },
      onEvent: (event) => {
        const line = options.format.kind === "json"
          ? jsonLine({ type: event.type, ...parsed(event) })
          : out.shown(`${instant(now())} ${describe(event, directory)}`);
        out.data(`${line}\n`);
        out.throwIfClosed();
        if (--left === 0) throw new Enough();
      },
    });
  } catch (error) {
    if (!(error instanceof Enough) && !isEndOfWatching(error, signal)) throw error;
  }
  return ExitCode.ok;
}

function countOf(input: Input): number {
  const text = input.string("count");
  if (text === undefined) return Infinity;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new VirtxError("invalid", `--count must be a number from 1 on, not ${JSON.stringify(text)}`);
}

function parsed({ data }: ServerEvent): object {
  const value: unknown = JSON.parse(data);
  return typeof value === "object" && value !== null ? value : { data: value };
}

/** "vm web1 is running on virt1", "start of web1 completed". */
function describe(event: ServerEvent, directory: Directory): string {
  const item = new Fields(JSON.parse(event.data), `an event of type ${event.type}`);
  const vmName = vmNames(directory);
  if (event.type === "resync") return `resync ${plain(item.text("reason"))}`;
  if (item.raw("removed") === true) {
    const uuid = item.text("uuid");
    const name = event.type === "vm" ? vmName(uuid) : directory.hostName(uuid);
    return `${event.type} ${plain(name)} is gone`;
  }
  if (event.type === "vm") {
    const { name, runstate, host } = readVmItem(item);
    return `vm ${plain(name)} is ${runstateWord(runstate)} on ${plain(directory.hostName(host))}`;
  }
  if (event.type === "host") {
    const host = readHostItem(item);
    return `host ${plain(host.name)} is ${plain(hostStateText(host))}`;
  }
  if (event.type === "operation") {
    const { op, vm, state, error, id } = readOperation(item);
    const why = error === undefined ? "" : `: ${plain(error.message)}`;
    return `${plain(operationWord(op))} of ${plain(vmName(vm))} ${state}${why} (${id})`;
  }
  return plain(`${event.type} ${event.data}`);
}
