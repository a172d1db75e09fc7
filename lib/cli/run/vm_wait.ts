import { Runstate } from "../../model/enums.ts";
import { VirtxError } from "../../model/error.ts";
import { Attendance } from "../changes/attendance.ts";
import { type Awaited, untilState } from "../changes/until_state.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { plain } from "../output/plain.ts";
import { directoryOf } from "../server/find.ts";
import { runstateQuery } from "../views/words.ts";

/** `vm wait`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const directory = await directoryOf(cluster);
  const vms = await Promise.all(input.words("vm").map(directory.vm));
  const word = input.string("for") ?? "running";
  const state = awaited(word);
  await using attendance = await Attendance.begin(context, cluster, vms.map(({ name }) => name));
  await Promise.all(vms.map(async ({ uuid, name }) => {
    await attendance.attend(
      `Waiting for ${name} to be ${word}`,
      () => untilState(cluster, uuid, [state], context.signal),
    );
    if (!context.options.quiet) attendance.say(`${plain(name)}: ${word}`);
  }));
  return ExitCode.ok;
}

function awaited(word: string): Awaited {
  if (word === "deleted") return word;
  for (const [name, state] of Object.entries(Runstate)) if (name === runstateQuery(word)) return state;
  throw new VirtxError("invalid", `--for: there is no state ${JSON.stringify(word)}`);
}
