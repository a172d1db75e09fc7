import {
  ConfigError,
  describeConfig,
  type Flags,
  loadConfig,
  type ResolvedConfig,
} from "../daemon/config.ts";
import { ExitCode, exitCodeOf } from "./exit_code.ts";
import { parseServeArguments } from "./serve_arguments.ts";
import { terminalOf } from "./terminal.ts";

/** `virtxd [serve]`: runs the daemon until a signal ends it; the exit code. */
export async function serve(args: readonly string[], version: string): Promise<ExitCode> {
  const request = parseServeArguments(args);
  switch (request.kind) {
    case "help": {
      const { serveHelp } = await import("./serve_help.ts");
      return print(serveHelp());
    }
    case "version": {
      const { versionText } = await import("./version.ts");
      return print(versionText(version));
    }
    case "mistake":
      complain(request.messages.map((message) => `virtxd: ${message}; see virtxd --help\n`).join(""));
      return ExitCode.usage;
    case "check":
      return await configured(request.flags, (config) => Promise.resolve(print(describeConfig(config))));
    case "serve":
      return await configured(request.flags, async (config) => {
        const { runDaemon } = await import("../daemon/run.ts");
        const failure = await runDaemon(config.values, version);
        return failure === undefined ? ExitCode.ok : exitCodeOf(failure);
      });
  }
}

/** Prints what was asked for; the exit code. */
function print(text: string): ExitCode {
  const out = terminalOf(Deno.stdout, false);
  out.write(text);
  if (out.failure === undefined) return ExitCode.ok;
  complain(`virtxd: ${out.failure.message}\n`);
  return ExitCode.output;
}

function complain(text: string): void {
  terminalOf(Deno.stderr, false).write(text);
}

/** Goes on with the configuration, or says all that is wrong with it. */
async function configured(
  flags: Flags,
  next: (config: ResolvedConfig) => Promise<ExitCode>,
): Promise<ExitCode> {
  let config;
  try {
    config = await loadConfig(flags, Deno.env.toObject());
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    complain(error.problems.map(({ where, message }) => `virtxd: ${where}: ${message}\n`).join(""));
    return error.problems.every(({ source }) => source === "flag") ? ExitCode.usage : ExitCode.config;
  }
  return await next(config);
}
