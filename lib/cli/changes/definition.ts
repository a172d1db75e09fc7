import { VirtxError } from "../../model/error.ts";
import { reasonOf } from "../../posix/reason.ts";
import type { Vmdef } from "../../model/vm.ts";
import type { Context } from "../context.ts";
import { type DefinitionFlags } from "../definition/flags.ts";
import { diffDefinitions } from "../definition/diff.ts";
import { formatOf } from "../definition/format.ts";
import { parseDefinition } from "../definition/parse.ts";
import type { Input } from "../input.ts";
import type { ReadOptions } from "../definition/read.ts";
import { plain } from "../output/plain.ts";

/** The flags of a definition that were given. */
export function definitionFlags(input: Input): DefinitionFlags {
  return {
    name: input.string("name"),
    cpus: input.string("cpus"),
    cpuModel: input.string("cpu-model"),
    memory: input.string("memory"),
    hugepages: input.flag("hugepages") ? true : undefined,
    numaPlacement: input.flag("numa-placement") ? true : undefined,
    firmware: input.string("firmware"),
    disk: input.strings("disk"),
    net: input.strings("net"),
    vlan: input.string("vlan"),
    genid: input.string("genid"),
    custom: input.strings("custom"),
    removeDisk: input.strings("remove-disk"),
    removeNet: input.strings("remove-net"),
    removeCustom: input.strings("remove-custom"),
  };
}

/** The path of a change of definitions, with what the flags ask for. */
export function definitionPath(path: string, input: Input): string {
  return input.flag("allow-duplicate-name") ? `${path}?duplicate_name=allow` : path;
}

/** Whether flags say anything of a definition. */
export function saysAnything(flags: DefinitionFlags): boolean {
  return Object.values(flags).some((value) => Array.isArray(value) ? value.length > 0 : value !== undefined);
}

/**
 * The definition in the file that --file or the argument names; undefined: none is named.
 * @throws VirtxError invalid, with all that is wrong with it
 */
export async function definitionFile(input: Input, options: ReadOptions = {}): Promise<Vmdef | undefined> {
  const named = [input.string("file"), input.argument("file")].filter((path) => path !== undefined);
  const [path] = named;
  if (path === undefined) return undefined;
  if (named.length > 1) throw new VirtxError("invalid", "Name one file: by --file, or as an argument");
  const text = await readText(path);
  return await parseDefinition(text, formatOf(path, text), path === "-" ? "standard input" : path, options);
}

/**
 * The text of a file; "-": of standard input.
 * @throws VirtxError invalid, if it cannot be read
 */
export async function readText(path: string): Promise<string> {
  try {
    return path === "-" ? await new Response(Deno.stdin.readable).text() : await Deno.readTextFile(path);
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound;
    const hint = missing && !/[./]/.test(path) ? `; a VM of that name is made by --name ${path}` : "";
    const why = missing ? `there is no such file${hint}` : reasonOf(error);
    throw new VirtxError("invalid", `Cannot read ${JSON.stringify(path)}: ${why}`, { cause: error });
  }
}

/** Shows in what two definitions differ; whether they do. */
export function showDifferences({ out, options }: Context, before: Vmdef, after: Vmdef): boolean {
  const differences = diffDefinitions(before, after);
  if (options.quiet) return differences.length > 0;
  const { colours } = out;
  for (const { field, before, after } of differences) {
    const from = colours.paint(plain(before), "red");
    const to = colours.paint(plain(after), "green");
    if (before === "") out.line(`${plain(field)}: added (${to})`);
    else if (after === "") out.line(`${plain(field)}: removed (${from})`);
    else out.line(`${plain(field)}: ${from} → ${to}`);
  }
  return differences.length > 0;
}
