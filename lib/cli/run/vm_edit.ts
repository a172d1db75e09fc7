import { errorMessage, VirtxError } from "../../model/error.ts";
import { allDisks, type Vmdef } from "../../model/vm.ts";
import { reasonOf } from "../../posix/reason.ts";
import { runInForeground } from "../../posix/foreground.ts";
import { UserFiles } from "../../posix/user_files.ts";
import { Attendance } from "../changes/attendance.ts";
import { carryOut } from "../changes/change.ts";
import { showDifferences } from "../changes/definition.ts";
import { outcomeLine } from "../changes/outcome.ts";
import { canAsk, confirm } from "../changes/prompt.ts";
import { overtaken, updating } from "../changes/updating.ts";
import { showVerdict } from "../changes/verdict.ts";
import type { Context } from "../context.ts";
import type { Format } from "../definition/format.ts";
import { parseDefinition } from "../definition/parse.ts";
import { printDefinition } from "../definition/print.ts";
import { ExitCode } from "../exit_code.ts";
import { reportFailure } from "../failure.ts";
import type { Input } from "../input.ts";
import { homeOf } from "../server/config_path.ts";
import { findVm } from "../server/find.ts";
import { formatFlag } from "./vm_export.ts";

/** What our launcher and runtime have put into the environment, and an editor should not inherit. */
const OURS = [
  "VIRTX_ARGV0",
  "VIRTX_HOME",
  "VIRTX_STDOUT",
  "DENO_DIR",
  "DENO_NO_UPDATE_CHECK",
  "MALLOC_ARENA_MAX",
];

/** `vm edit`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const vm = await findVm(cluster, input.required("vm"));
  const format = formatFlag(input, context);
  let read = await cluster.vm(vm.uuid);
  for (;;) {
    const after = await edited(context, read.def, format);
    if (after === undefined || !showDifferences(context, read.def, after)) {
      context.err.line("Nothing changes.");
      return ExitCode.ok;
    }
    const change = updating(vm, read, after, input);
    if (input.flag("dry-run")) return await showVerdict(context, cluster, change);
    if (!await confirm(context, `Change ${vm.name} so?`, input.flag("yes"))) return ExitCode.refused;
    try {
      await using attendance = await Attendance.begin(context, cluster, [vm.name]);
      const outcome = await carryOut(change, { context, cluster, attendance, leave: false });
      if (!context.options.quiet) attendance.say(outcomeLine(outcome));
      return ExitCode.ok;
    } catch (error) {
      const now = await overtaken(error, vm, read, { context, cluster });
      if (now === undefined || !canAsk(context)) throw error;
      if (!await confirm(context, "Edit it as it is now?", false)) throw error;
      read = now;
    }
  }
}

/** The definition as it is when the user leaves the editor with one that can be read; undefined: it was given up. */
async function edited(context: Context, def: Vmdef, format: Format): Promise<Vmdef | undefined> {
  using files = UserFiles.open();
  const directory = context.env("XDG_RUNTIME_DIR") || context.env("TMPDIR") || "/tmp";
  const path = `${directory}/virtx-${crypto.randomUUID()}.${format}`;
  const before = await printDefinition(def, format, { comments: true });
  const taken = allDisks(def).map(({ path }) => path);
  files.create(path, before);
  try {
    for (let text = before;;) {
      await openEditor(context, path);
      const now = await readBack(path);
      if (now === before || now.trim() === "") return undefined;
      try {
        return await parseDefinition(now, format, "what you wrote", { taken, old: def });
      } catch (error) {
        if (!(error instanceof VirtxError) || !canAsk(context) || now === text) throw error;
        reportFailure(error, context.program, context.err);
        if (!await confirm(context, "Edit it again?", false)) return undefined;
        text = now;
      }
    }
  } finally {
    files.remove(path);
  }
}

async function readBack(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new VirtxError("refused", `Cannot read what you wrote, "${path}": ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

async function openEditor(context: Context, path: string): Promise<void> {
  const editor = context.env("VISUAL") || context.env("EDITOR") || "vi";
  // Arguments as in "code --wait"; no shell is asked, so quotes mean nothing.
  const argv = [...editor.trim().split(/\s+/), path];
  const home = homeOf(context.env);
  const env = { ...without(Deno.env.toObject(), ["HOME"]), ...(home !== undefined && { HOME: home }) };
  // What is pressed in the editor is for the editor.
  using _ = context.interrupts.divert((signal) => signal === "SIGTERM" && context.interrupts.abort());
  const code = await runInForeground({ argv, env: without(env, OURS) }).catch((error) => {
    throw new VirtxError(
      "unavailable",
      `${errorMessage(error)}. Which editor is used is said by $VISUAL or $EDITOR`,
      {
        cause: error,
      },
    );
  });
  if (code !== 0) throw new VirtxError("refused", `The editor ended with code ${code}: nothing is changed`);
}

function without(env: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)));
}
