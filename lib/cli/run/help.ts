import { VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { help } from "../help.ts";
import type { Input } from "../input.ts";
import { parse } from "../parse.ts";

/** `help [command…]`. */
export async function run({ out, program }: Context, input: Input): Promise<ExitCode> {
  if (input.flag("markdown")) {
    const { referencePage } = await import("../reference.ts");
    out.data(referencePage());
    return ExitCode.ok;
  }
  const words = input.words("command");
  const request = parse([...words, "--help"]);
  if (request.kind !== "help") {
    throw new VirtxError("invalid", `There is no command ${JSON.stringify(words.join(" "))}`);
  }
  out.write(help(request.about, program, out));
  return ExitCode.ok;
}
