import { awaitedLater, inBackground } from "../../lib/model/background.ts";
import type { LabHost } from "./host.ts";
import { until } from "./until.ts";

export interface SpawnOptions {
  /** Added to the environment that every process on a host gets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Also write what it prints to /var/log/<log>.log on the host, where `lab logs` finds it. */
  readonly log?: string;
}

/**
 * A process on a host that its creator watches over: it ends with `await using`, if not before. (What shall stay when the
 * creator ends is started by {@link LabHost.startDaemon}.)
 */
export class HostProcess implements AsyncDisposable {
  readonly #entry: Deno.ChildProcess;
  readonly #ended: Promise<Deno.CommandStatus>;
  #pid: number | undefined;
  #output = "";

  private constructor(entry: Deno.ChildProcess, pid: number | undefined, log: Deno.FsFile | undefined) {
    this.#entry = entry;
    this.#pid = pid;
    this.#ended = this.#watch(entry, log);
  }

  /** Starts a program on a host. */
  static async spawn(
    host: LabHost,
    argv: readonly string[],
    options: SpawnOptions = {},
  ): Promise<HostProcess> {
    const variables = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
    const [program = "", ...args] = await host.command([...variables, ...argv]);
    const log = options.log === undefined
      ? undefined
      : await Deno.open(`${host.disk}/var/log/${options.log}.log`, { append: true, create: true });
    const entry = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "piped" })
      .spawn();
    return new HostProcess(entry, await innerPid(entry), log);
  }

  /** As the machine sees it; undefined: it has ended. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /** What it printed so far, to standard output and standard error. */
  get output(): string {
    return this.#output;
  }

  /** How it ended, once it has. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#ended;
  }

  /** Sends a signal; one to a process that has ended is lost. */
  kill(signal: Deno.Signal): void {
    if (this.#pid === undefined) return;
    try {
      Deno.kill(this.#pid, signal);
      // nsenter(1) stops with the program that it waits for, and has to see that this goes on, or ends.
      if (signal === "SIGCONT" || signal === "SIGKILL") Deno.kill(this.#entry.pid, "SIGCONT");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // It has just ended.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("SIGKILL");
    await this.status;
  }

  async #watch(entry: Deno.ChildProcess, log: Deno.FsFile | undefined): Promise<Deno.CommandStatus> {
    const reading = awaitedLater(
      Promise.all([this.#read(entry.stdout, log), this.#read(entry.stderr, log)]),
    );
    const status = await entry.status;
    this.#pid = undefined;
    await reading;
    log?.close();
    return status;
  }

  async #read(stream: ReadableStream<Uint8Array>, log: Deno.FsFile | undefined): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      this.#output += decoder.decode(bytes, { stream: true });
      log?.writeSync(bytes);
    }
  }
}

/**
 * The pid of the process that nsenter(1) makes to enter the host's PID namespace, and that becomes the program
 * (proc_pid_task(5), children); undefined: the program has ended.
 */
async function innerPid(nsenter: Deno.ChildProcess): Promise<number | undefined> {
  let ended = false;
  inBackground(nsenter.status.then(() => ended = true));
  const children = `/proc/${nsenter.pid}/task/${nsenter.pid}/children`;
  const found = await until(
    "a process to start",
    async () => {
      const text = await Deno.readTextFile(children).catch(() => ""); // No file: it has ended.
      if (text.trim() !== "") return Number(text);
      return ended ? 0 : undefined;
    },
    5_000,
    2,
  );
  return found === 0 ? undefined : found;
}
