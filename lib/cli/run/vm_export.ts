import { VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";
import { type Format, FORMATS } from "../definition/format.ts";
import { printDefinition } from "../definition/print.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";
import { plainLines } from "../output/plain.ts";
import { findVm } from "../server/find.ts";

/** `vm export`. */
export async function run(context: Context, input: Input): Promise<ExitCode> {
  const cluster = await context.cluster();
  const { uuid } = await findVm(cluster, input.required("vm"));
  const { def, flaw } = await cluster.vm(uuid);
  if (flaw !== "") {
    throw new VirtxError(
      "conflict",
      `Cannot export VM "${def.name}": its definition is not all there: ${flaw}`,
    );
  }
  const text = await printDefinition(def, formatFlag(input, context), { comments: input.flag("comments") });
  context.out.data(context.out.isTerminal ? plainLines(text) : text);
  return ExitCode.ok;
}

/** --format, or -o json, which many will try; else YAML. */
export function formatFlag(input: Input, { options }: Context): Format {
  const word = input.string("format");
  return FORMATS.find((format) => format === word) ?? (options.format.kind === "json" ? "json" : "yaml");
}
