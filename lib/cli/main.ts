import { ExitCode } from "./exit_code.ts";
import { printError } from "./output.ts";

/**
 * What the executable does with its arguments; the exit code. Each command's code is loaded only when it is asked
 * for, so that one that prints and ends does not pay for the daemon.
 *
 * @param version of virtxd
 */
export async function main(args: readonly string[], version: string): Promise<number> {
  const [command, ...rest] = args;
  if (command === undefined || command.startsWith("-")) return await serve(args, version);
  if (command === "serve") return await serve(rest, version);
  printError(`virtxd: there is no command ${JSON.stringify(command)}; see virtxd --help\n`);
  return ExitCode.usage;
}

async function serve(args: readonly string[], version: string): Promise<number> {
  const { serve } = await import("./serve.ts");
  return await serve(args, version);
}
