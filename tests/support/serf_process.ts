import { TempDir } from "./temp_dir.ts";

/** How an agent is started. */
export interface SerfProcessOptions {
  readonly name: string;
  /** What is run: "serf" unless told. */
  readonly program?: string;
  /** An agent to join. */
  readonly join?: SerfProcess;
  /** How fast it gossips and how soon it gives a member up: "local" unless told, which notices a failure after seconds. */
  readonly profile?: "lan" | "local";
  /** rpc_auth */
  readonly authKey?: string;
}

/** No agent takes so long to start. */
const PATIENCE_MS = 10_000;

/**
 * A real Serf agent as a child process, with a loopback address of its own, so that its ports are free whatever else
 * runs. It can be killed and started again, as it was configured and without what it learnt.
 */
export class SerfProcess implements AsyncDisposable {
  readonly #program: string;
  readonly #arguments: readonly string[];
  readonly #dir: TempDir;
  #child: Deno.ChildProcess | undefined;

  private constructor(readonly ip: string, program: string, args: readonly string[], dir: TempDir) {
    this.#program = program;
    this.#arguments = args;
    this.#dir = dir;
  }

  static async start(o: SerfProcessOptions): Promise<SerfProcess> {
    const dir = await TempDir.create();
    const random = () => 1 + Math.floor(Math.random() * 254);
    const ip = `127.${random()}.${random()}.${random()}`;
    const config = dir.at("serf.json");
    await Deno.writeTextFile(
      config,
      JSON.stringify({
        node_name: o.name,
        bind: `${ip}:7946`,
        rpc_addr: `${ip}:7373`,
        profile: o.profile ?? "local",
        ...(o.authKey && { rpc_auth: o.authKey }),
      }),
    );
    const join = o.join ? [`-join=${o.join.ip}:7946`] : [];
    const agent = new SerfProcess(ip, o.program ?? "serf", ["agent", `-config-file=${config}`, ...join], dir);
    try {
      await agent.restart();
      return agent;
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where the RPC listens. */
  get rpc(): string {
    return `${this.ip}:7373`;
  }

  /** Starts it, or starts it again, and waits until its RPC answers. */
  async restart(): Promise<void> {
    this.#child = new Deno.Command(this.#program, {
      args: [...this.#arguments],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const deadline = performance.now() + PATIENCE_MS;
    while (!await isListening(this.ip)) {
      if (performance.now() > deadline) throw new Error(`No Serf agent listens at ${this.rpc}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** SIGKILL: without a word to the others. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** SIGSTOP: it hangs, with all connections open. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  /** SIGCONT */
  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  /** SIGINT: says good-bye first. */
  async leave(): Promise<void> {
    await this.#end("SIGINT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#dir[Symbol.asyncDispose]();
  }

  async #end(signal: Deno.Signal): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    child?.kill(signal);
    await child?.status;
  }
}

async function isListening(hostname: string): Promise<boolean> {
  try {
    (await Deno.connect({ hostname, port: 7373 })).close();
    return true;
  } catch {
    return false;
  }
}
