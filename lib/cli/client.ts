import type { Context } from "./context.ts";
import { ExitCode } from "./exit_code.ts";
import { clientHelp } from "./command.ts";
import { reportFailure } from "./failure.ts";
import type { Input } from "./input.ts";
import { Interrupts } from "./interrupts.ts";
import { parseFormat } from "./output/format.ts";
import { parseDuration } from "./output/duration.ts";
import { plain } from "./output/plain.ts";
import { Printer } from "./output/printer.ts";
import { type Mistake, parse } from "./parse.ts";
import type { Cluster } from "./server/cluster.ts";
import { OutputClosed, type Terminal, terminalOf } from "./terminal.ts";

/** How the client was called. */
export interface Call {
  readonly args: readonly string[];
  /** "virtx", or "virtxd" where it was called by the daemon's name. */
  readonly program: string;
  readonly version: string;
}

/** Carries out a command of the client; its exit code. */
export async function client(call: Call): Promise<ExitCode> {
  const [first, second] = call.args;
  if (first === "complete" && second === "--") return await complete(call);
  const request = parse(call.args);
  switch (request.kind) {
    case "help": {
      const { help } = await import("./help.ts");
      const out = terminalOf(Deno.stdout, wantsColour(call.args));
      out.write(help(request.about, call.program, out));
      return finish(ExitCode.ok, out, call);
    }
    case "version": {
      const { versionText } = await import("./version.ts");
      const out = terminalOf(Deno.stdout, false);
      out.write(versionText(call.version));
      return finish(ExitCode.ok, out, call);
    }
    case "mistake":
      return reportMistake(request, call);
    case "run":
      return await run(request.input, call);
  }
}

/** What the scripts of the shells ask; see completion/scripts.ts. */
async function complete({ args, version }: Call): Promise<ExitCode> {
  const { answer } = await import("./completion/answer.ts");
  const env = (name: string) => Deno.env.get(name);
  terminalOf(Deno.stdout, false).data(await answer(args.slice(2), { env, version, now: Date.now() }));
  return ExitCode.ok;
}

function reportMistake({ messages, about }: Mistake, { args, program }: Call): ExitCode {
  const err = terminalOf(Deno.stderr, wantsColour(args));
  const mark = err.colours.paint(`${program}:`, "red");
  for (const message of messages) err.line(`${mark} ${message}`);
  const help = about.length === 0 ? clientHelp(program) : `${[program, ...about].join(" ")} --help`;
  err.line(err.colours.paint(`${help} shows what is right.`, "dim"));
  return ExitCode.usage;
}

async function run(input: Input, call: Call): Promise<ExitCode> {
  const colour = wantsColour(call.args);
  const out = terminalOf(Deno.stdout, colour);
  const err = terminalOf(Deno.stderr, colour);
  await using resources = new AsyncDisposableStack();
  try {
    const timeout = input.string("timeout");
    const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout, "--timeout");
    const interrupts = resources.use(new Interrupts(timeoutMs));
    const format = parseFormat(input.string("output") ?? "table");
    const headers = !input.flag("no-headers");
    let cluster: Promise<Cluster> | undefined;
    const context: Context = {
      program: call.program,
      version: call.version,
      out,
      err,
      printer: new Printer(out, format, headers),
      options: { format, headers, quiet: input.flag("quiet"), timeoutMs },
      env: (name) => Deno.env.get(name),
      interrupts,
      signal: interrupts.signal,
      now: Date.now,
      cluster: () => cluster ??= connect(input, call, { signal: interrupts.signal, resources, err }),
    };
    const { run } = await input.command.load();
    return finish(await run(context, input), out, call);
  } catch (error) {
    if (error instanceof OutputClosed) return finish(ExitCode.ok, out, call);
    return reportFailure(error, call.program, err);
  }
}

/** The exit code of a command that has ended so, unless what it said was lost: then it has not succeeded. */
function finish(code: ExitCode, out: Terminal, { args, program }: Call): ExitCode {
  if (out.failure === undefined) return code;
  reportFailure(out.failure, program, terminalOf(Deno.stderr, wantsColour(args)));
  return code === ExitCode.ok ? ExitCode.output : code;
}

/** NO_COLOR as no-color.org has it: any value but an empty one. */
function wantsColour(args: readonly string[]): boolean {
  return !Deno.env.get("NO_COLOR") && !args.includes("--no-color");
}

async function connect(
  input: Input,
  { program, version }: Call,
  { signal, resources, err }: {
    readonly signal: AbortSignal;
    readonly resources: AsyncDisposableStack;
    readonly err: Terminal;
  },
): Promise<Cluster> {
  const { openCluster } = await import("./server/open.ts");
  const { cluster, server } = await openCluster({
    servers: input.string("server"),
    profile: input.string("profile"),
    env: (name) => Deno.env.get(name),
    version,
    signal,
    onCaution: (text) => err.line(err.colours.paint(`${program}: ${plain(text)}`, "yellow")),
  });
  resources.use(server);
  return cluster;
}
