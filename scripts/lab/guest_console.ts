import type { LabHost } from "./host.ts";
import { HostProcess } from "./host_process.ts";
import { until } from "./until.ts";

/**
 * A guest's serial console: what it prints is collected, lines can be sent to it. The guest of the lab understands the
 * commands in scripts/guest/rootfs/init.
 */
export class GuestConsole implements AsyncDisposable {
  readonly #host: LabHost;
  readonly #device: string;
  readonly #reader: HostProcess;
  /** Up to where {@link expect} has looked. */
  #seen = 0;

  private constructor(host: LabHost, device: string, reader: HostProcess) {
    this.#host = host;
    this.#device = device;
    this.#reader = reader;
  }

  /** Opens the console of a running domain (by name or UUID). QEMU drops what the guest printed before. */
  static async open(host: LabHost, domain: string): Promise<GuestConsole> {
    const device = (await host.exec(["virsh", "ttyconsole", domain])).trim();
    // A process on the host reads it, so that the terminal can never become that of this process.
    return new GuestConsole(host, device, await HostProcess.spawn(host, ["cat", device]));
  }

  /** All that was printed so far. */
  get text(): string {
    return this.#reader.output;
  }

  /** Sends a line. */
  async send(line: string): Promise<void> {
    await this.#host.exec(["tee", this.#device], { stdin: `${line}\n` });
  }

  /** Waits for the next text that matches, after the one that was expected before. */
  async expect(pattern: RegExp, timeoutMs = 20_000): Promise<RegExpExecArray> {
    try {
      return await until(`${pattern} on the guest's console`, () => this.#match(pattern), timeoutMs);
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}; it said:\n${this.text}`);
    }
  }

  /** Waits until the guest is up; the name that it says it has. */
  async up(timeoutMs = 60_000): Promise<string> {
    return (await this.expect(/^guest up: (\S+)/m, timeoutMs))[1] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    const found = pattern.exec(this.text.slice(this.#seen));
    if (!found) return undefined;
    this.#seen += found.index + found[0].length;
    return found;
  }
}
