import { VirtxError } from "../../model/error.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import { help } from "../help.ts";
import type { Input } from "../input.ts";
import { parse } from "../parse.ts";

/** `help [command…]`. */
export function run({ out, program }: Context, input: Input): Promise<ExitCode> {
  const words = input.words("command");
  const request = parse([...words, "--help"]);
  if (request.kind !== "help") {
    throw new VirtxError("invalid", `There is no command ${JSON.stringify(words.join(" "))}`);
  }
  out.write(help(request.about, program, out));
  return Promise.resolve(ExitCode.ok);
}
