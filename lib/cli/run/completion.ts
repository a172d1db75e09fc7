import { completionScript, type Shell } from "../completion/scripts.ts";
import type { Context } from "../context.ts";
import { ExitCode } from "../exit_code.ts";
import type { Input } from "../input.ts";

const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];

/** `completion`. */
export function run({ out, program }: Context, input: Input): Promise<ExitCode> {
  const word = input.required("shell");
  const shell = SHELLS.find((shell) => shell === word) ?? "bash";
  out.data(completionScript(shell, program));
  return Promise.resolve(ExitCode.ok);
}
