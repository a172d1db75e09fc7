import { VirtxError } from "../../model/error.ts";
import { newNameProblem } from "../../model/validate.ts";
import type { VmCreateOptions, Vmdef } from "../../model/vm.ts";
import { Attendance } from "../changes/attendance.ts";
import { carryOut, leaves, type Manner } from "../changes/change.ts";
import { definitionFile, definitionFlags, definitionPath, saysAnything } from "../changes/definition.ts";
import { OUTCOME_VIEW, outcomeLine } from "../changes/outcome.ts";
import { showVerdict } from "../changes/verdict.ts";
import type { Context } from "../context.ts";
import { definitionFromFlags } from "../definition/flags.ts";
import { printDefinition } from "../definition/print.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { resolve } from "../resolve.ts";
import type { Cluster } from "../server/cluster.ts";
import { starting } from "./vm_start.ts";

/** `vm create`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  // A file may be a template, or another VM's: what is new in it is named after the VM that is made of it.
  const name = input.string("name");
  const copied = (from: string) => {
    const what = "with empty disks, MAC addresses and a generation id of its own";
    if (!context.options.quiet) context.err.line(`${name} is made like ${from}, ${what}.`);
  };
  const file = await definitionFile(input, { name, copied });
  const flags = definitionFlags(input);
  if (file === undefined && !saysAnything(flags)) {
    throw new VirtxError("invalid", "What VM? Give a --file, or at least --name, --memory and --disk");
  }
  const vmdef = definitionFromFlags(flags, file);
  const problem = newNameProblem(vmdef.name);
  if (problem !== undefined) {
    throw new VirtxError("invalid", `The name ${JSON.stringify(vmdef.name)} ${problem}`);
  }
  const cluster = await context.cluster();
  const wanted = input.string("host");
  const host = wanted === undefined ? "" : resolve(wanted, await cluster.hosts(), "host").uuid;
  if (input.flag("dry-run")) return await tryOut(context, cluster, { vmdef, host }, input);
  await using attendance = await Attendance.begin(context, cluster, [vmdef.name]);
  await create(vmdef, host, input, { context, cluster, attendance, leave: leaves(input) });
  return ExitCode.ok;
}

/** Shows what would be made, and what the host says to it. */
async function tryOut(
  context: Context,
  cluster: Cluster,
  body: VmCreateOptions,
  input: Input,
): Promise<ExitCode> {
  const { out, options } = context;
  // A host of the prototype, which would not understand the question but create the VM, cannot answer this one.
  await cluster.vms({ name: body.vmdef.name });
  out.write(await printDefinition(body.vmdef, options.format.kind === "json" ? "json" : "yaml"));
  return await showVerdict(context, cluster, { method: "POST", path: definitionPath("/vms", input), body });
}

async function create(vmdef: Vmdef, host: string, input: Input, manner: Manner): Promise<void> {
  const { context, attendance } = manner;
  let uuid = "";
  const created = await carryOut({
    vm: { uuid: "", name: vmdef.name },
    title: `Creating ${vmdef.name}`,
    method: "POST",
    path: definitionPath("/vms", input),
    body: { vmdef, host },
    done: (result, warning) => {
      uuid = String(result);
      return `created, ${uuid}${warning && `; ${warning}`}`;
    },
    begun: "creating",
  }, manner);
  const outcome = { ...created, vm: { uuid, name: vmdef.name } };
  const { format, quiet } = context.options;
  if (format.kind !== "table" && format.kind !== "wide") await context.printer.list(OUTCOME_VIEW, [outcome]);
  else if (quiet) attendance.say(outcome.state === "running" ? outcome.operation ?? "" : uuid);
  else {attendance.say(
      outcomeLine(outcome) + (outcome.state === "running" ? `, operation ${outcome.operation}` : ""),
    );}
  if (!input.flag("start") || outcome.state === "running") return;
  const started = await carryOut(starting(outcome.vm), manner);
  if (!quiet) attendance.say(outcomeLine(started));
}
