import { VirtxError } from "../../model/error.ts";
import { allDisks } from "../../model/vm.ts";
import { Attendance } from "../changes/attendance.ts";
import { carryOut, leaves } from "../changes/change.ts";
import { definitionFile, definitionFlags, saysAnything, showDifferences } from "../changes/definition.ts";
import { outcomeLine } from "../changes/outcome.ts";
import { overtaken, updating } from "../changes/updating.ts";
import { showVerdict } from "../changes/verdict.ts";
import type { Context } from "../context.ts";
import { definitionFromFlags } from "../definition/flags.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { findVm } from "../server/find.ts";

/** `vm update`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const vm = await findVm(cluster, input.required("vm"));
  const read = await cluster.vm(vm.uuid);
  const { def } = read;
  const taken = allDisks(def).map(({ path }) => path);
  const file = await definitionFile(input, { name: input.string("name"), taken, old: def });
  const flags = definitionFlags(input);
  if (file === undefined && !saysAnything(flags)) {
    throw new VirtxError(
      "invalid",
      `What should change of ${vm.name}? Give a --file, or flags such as --memory`,
    );
  }
  const after = definitionFromFlags(flags, file ?? def, def);
  if (!showDifferences(context, def, after)) {
    if (!context.options.quiet) context.err.line("Nothing changes.");
    return ExitCode.ok;
  }
  const change = updating(vm, read, after, input);
  if (input.flag("dry-run")) return await showVerdict(context, cluster, change);
  try {
    await using attendance = await Attendance.begin(context, cluster, [vm.name]);
    const outcome = await carryOut(change, {
      context,
      cluster,
      attendance,
      leave: leaves(input),
    });
    if (!context.options.quiet) attendance.say(outcomeLine(outcome));
    return ExitCode.ok;
  } catch (error) {
    await overtaken(error, vm, read, { context, cluster });
    throw error;
  }
}
