import { fileURLToPath } from "node:url";
import { inBackground } from "../../../lib/model/background.ts";
import { SERF_RPC } from "../../../scripts/lab/services.ts";
import { until } from "../../../scripts/lab/until.ts";
import type { PrototypeArguments } from "./prototype_program.ts";
import type { TestLab } from "./test_lab.ts";

const PROGRAM = fileURLToPath(new URL("prototype_program.ts", import.meta.url));

/** A lab host as one of the prototype: with its libvirt and Serf agent, and a program in place of virtxd that speaks the prototype's protocol. */
export class PrototypeHost implements AsyncDisposable {
  readonly url: string;
  readonly #process: Deno.ChildProcess;
  #output = "";

  private constructor(address: string, process: Deno.ChildProcess) {
    this.url = `http://${address}:8080`;
    this.#process = process;
    for (const stream of [process.stdout, process.stderr]) inBackground(this.#keep(stream));
  }

  /** @param n of the host, counted from 1 */
  static async start(lab: TestLab, n: number): Promise<PrototypeHost> {
    const host = lab.host(n);
    await host.exec(["mkdir", "-p", `/vms/xml/${host.record.uuid}`]);
    const o: PrototypeArguments = {
      uuid: host.record.uuid,
      name: host.name,
      address: host.address,
      serf: SERF_RPC,
      enter: await host.command([]),
      others: Object.fromEntries(lab.lab.hosts.map(({ record, address }) => [record.uuid, address])),
    };
    const deno = [Deno.execPath(), "run", "--allow-all", "--no-check", "--quiet", PROGRAM, JSON.stringify(o)];
    const [program = "", ...args] = (await host.realm()).enter(["net"], deno);
    const process = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "piped" })
      .spawn();
    const started = new PrototypeHost(host.address, process);
    try {
      await until("the prototype to serve", () => started.#output.includes("ready") || undefined, 60_000);
      return started;
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw new Error(`The prototype does not start: ${started.#output}`, { cause: error });
    }
  }

  /** What it has printed. */
  get output(): string {
    return this.#output;
  }

  /** What it lists of a VM; undefined: nothing. */
  async vm(uuid: string): Promise<{ readonly host: string; readonly runstate: number } | undefined> {
    const { items } = await (await fetch(`${this.url}/vms`)).json();
    return items.find((item: { uuid: string }) => item.uuid === uuid)?.fields;
  }

  async #keep(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.#output += decoder.decode(chunk, { stream: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGTERM");
    } catch { /* it has ended */ }
    await this.#process.status;
  }
}
