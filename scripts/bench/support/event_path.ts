import { fileURLToPath } from "node:url";
import type { LabHost } from "../../lab/host.ts";
import { until } from "../../lab/until.ts";

const PROBE = fileURLToPath(new URL("serf_probe.ts", import.meta.url));
const TIMEOUT_MS = 10_000;

/** The way of a bare user event, from one host's agent to another's. */
export class EventPath implements AsyncDisposable {
  #sent = 0;

  private constructor(private readonly from: Probe, private readonly to: Probe) {}

  static async open(from: LabHost, to: LabHost): Promise<EventPath> {
    await using probes = new AsyncDisposableStack();
    const path = new EventPath(probes.use(await Probe.start(from)), probes.use(await Probe.start(to)));
    probes.move();
    return path;
  }

  /** How long one takes, from when it is handed to the one agent until the other hands it out, ms. */
  async measure(): Promise<number> {
    const name = `bench-${this.#sent++}`;
    await this.from.send(name);
    return await this.to.when("heard", name) - await this.from.when("sent", name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.from[Symbol.asyncDispose]();
    await this.to[Symbol.asyncDispose]();
  }
}

/** serf_probe.ts at work within a host's network. */
class Probe implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  #said = "";

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#reading = this.#read();
  }

  static async start(host: LabHost): Promise<Probe> {
    const realm = await host.realm();
    const [program = "", ...args] = realm.enter(["net"], [Deno.execPath(), "run", "--allow-all", PROBE]);
    const probe = new Probe(new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn());
    await until("the probe to reach the agent", () => probe.#said.includes("ready") || undefined, TIMEOUT_MS);
    return probe;
  }

  async send(name: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${name}\n`));
  }

  /** When it did something with an event. */
  async when(what: "sent" | "heard", name: string): Promise<number> {
    const line = new RegExp(`^${what} ${name} (\\S+)$`, "m");
    return Number(
      await until(`event ${name} to be ${what}`, () => line.exec(this.#said)?.[1], TIMEOUT_MS, 5),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#reading;
    await this.#input.abort().catch(() => {}); // Its end closed it.
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) this.#said += text;
  }
}
