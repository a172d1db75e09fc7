/** What a finished process left. */
export interface CommandOutput {
  /** Exit code; 128 + signal number for one that was ended by a signal. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Start from an empty environment. */
  readonly clearEnv?: boolean;
  /** Text for standard input; without it, standard input is /dev/null. */
  readonly stdin?: string;
  /** After this long the process is killed and the call fails; 60 s unless told. */
  readonly timeoutMs?: number;
  /** Discard the output; for a program that leaves another running, which would hold the pipes open. */
  readonly discard?: boolean;
}

/** A process ended with a code other than 0, or took too long. */
export class CommandError extends Error {
  override readonly name = "CommandError";

  constructor(readonly argv: readonly string[], readonly output: CommandOutput, why: string) {
    const said = (output.stderr.trim() || output.stdout.trim()).split("\n").slice(-12).join("\n");
    super(`${argv.join(" ")}: ${why}${said && `\n${said}`}`);
  }
}

/** Runs a program to its end, whatever its exit code; fails only if it cannot be started or takes too long. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandOutput> {
  const [program = "", ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: options.discard ? "null" : "piped",
    stderr: options.discard ? "null" : "piped",
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.env !== undefined && { env: options.env }),
    ...(options.clearEnv !== undefined && { clearEnv: options.clearEnv }),
  }).spawn();
  const timeoutMs = options.timeoutMs ?? 60_000;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    kill(child);
  }, timeoutMs);
  try {
    if (options.stdin !== undefined) await feed(child.stdin, options.stdin);
    const output = await collect(child, options.discard ?? false);
    if (late) throw new CommandError(argv, output, `not done after ${timeoutMs / 1000} s`);
    return output;
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a program that must succeed; its standard output. */
export async function must(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const output = await run(argv, options);
  if (output.code !== 0) throw new CommandError(argv, output, `exit code ${output.code}`);
  return output.stdout;
}

async function collect(child: Deno.ChildProcess, discarded: boolean): Promise<CommandOutput> {
  if (discarded) return { code: (await child.status).code, stdout: "", stderr: "" };
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // It has ended; something that it started holds its pipes.
  }
}

/** A program may end without reading what it is given; that is for its exit code to judge. */
async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
