import { must, run } from "../../../scripts/command.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import { until } from "../../../scripts/lab/until.ts";

/** A person's terminal on a lab host, with a shell in it: tmux shows what that person would see. */
export class LabTerminal implements AsyncDisposable {
  readonly #server: string;

  private constructor(server: string) {
    this.#server = server;
  }

  static async open(host: LabHost, size = { columns: 100, rows: 30 }): Promise<LabTerminal> {
    const server = `virtx-test-${crypto.randomUUID()}`;
    const shell = await host.command(["env", "PS1=ready> ", "sh"]);
    const place = ["-x", String(size.columns), "-y", String(size.rows)];
    await must(["tmux", "-L", server, "-f", "/dev/null", "new-session", "-d", ...place, "--", ...shell]);
    const terminal = new LabTerminal(server);
    await terminal.shows(/ready>/);
    return terminal;
  }

  /** Types a text as it is. */
  async type(text: string): Promise<void> {
    await this.#tmux(["send-keys", "-l", "--", text]);
  }

  /** Presses keys as tmux names them: Enter, C-], C-c. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux(["send-keys", "--", ...keys]);
  }

  /** Types a line. */
  async line(text: string): Promise<void> {
    await this.type(text);
    await this.press("Enter");
  }

  /** Types a line at the shell's prompt, on an empty screen: what is seen from then on comes of it. */
  async command(line: string): Promise<void> {
    await this.shows(/ready>\s*$/);
    await this.#tmux(["send-keys", "-R"]);
    await this.#tmux(["clear-history"]);
    await this.line(line);
  }

  /** What is on the screen, and has been. */
  async screen(): Promise<string> {
    return await this.#tmux(["capture-pane", "-p", "-J", "-S", "-500"]);
  }

  /** Waits until the screen shows something. */
  async shows(pattern: RegExp, timeoutMs = 20_000): Promise<RegExpExecArray> {
    try {
      return await until(
        `${pattern} on the screen`,
        async () => pattern.exec(await this.screen()) ?? undefined,
        timeoutMs,
      );
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}; it shows:\n${await this.screen()}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(["tmux", "-L", this.#server, "kill-server"]);
  }

  async #tmux(args: readonly string[]): Promise<string> {
    return await must(["tmux", "-L", this.#server, ...args]);
  }
}
