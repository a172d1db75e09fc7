import { must, run } from "../../../scripts/command.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import { until } from "../../../scripts/lab/until.ts";

/** Columns and rows of a terminal. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

const SIZE: TerminalSize = { columns: 100, rows: 30 };

/** A person's terminal, on a lab host or here, with a shell in it: tmux shows what that person would see. */
export class LabTerminal implements AsyncDisposable {
  readonly #server: string;

  private constructor(server: string) {
    this.#server = server;
  }

  /** One on a lab host. */
  static async open(host: LabHost, size = SIZE): Promise<LabTerminal> {
    return await LabTerminal.#start(await host.command(["env", "PS1=ready> ", "sh"]), size);
  }

  /** One on this machine, with nothing in its environment but what is given. */
  static async local(env: Readonly<Record<string, string>>, size = SIZE): Promise<LabTerminal> {
    const given = Object.entries({ PATH: "/usr/bin:/bin", TERM: "screen", ...env, PS1: "ready> " });
    const shell = ["env", "-i", ...given.map(([name, value]) => `${name}=${value}`), "sh"];
    return await LabTerminal.#start(shell, size);
  }

  static async #start(shell: readonly string[], size: TerminalSize): Promise<LabTerminal> {
    const server = `virtx-test-${crypto.randomUUID()}`;
    const place = ["-x", String(size.columns), "-y", String(size.rows)];
    // -u: what is shown is UTF-8, whatever the locale of who runs the tests.
    await must([
      "tmux",
      "-u",
      "-L",
      server,
      "-f",
      "/dev/null",
      "new-session",
      "-d",
      ...place,
      "--",
      ...shell,
    ]);
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

  /** Makes the window another size. */
  async resize({ columns, rows }: TerminalSize): Promise<void> {
    await this.#tmux(["resize-window", "-x", String(columns), "-y", String(rows)]);
  }

  /** What is on the screen, and has been. */
  async screen(): Promise<string> {
    return await this.#tmux(["capture-pane", "-p", "-J", "-S", "-500"]);
  }

  /** The rows that are on the screen now, each as it stands there, without the empty ones at the end. */
  async rows(): Promise<readonly string[]> {
    return (await this.#tmux(["capture-pane", "-p"])).trimEnd().split("\n");
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
