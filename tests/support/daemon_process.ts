import { fileURLToPath } from "node:url";
import { TempDir } from "./temp_dir.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));

/** One line of the JSON log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

/**
 * The real daemon as a process of its own: from source, on libvirt's test driver, with storage of its own and any free
 * port of loopback unless told otherwise.
 */
export class DaemonProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: LogLine[] = [];
  readonly #reading: Promise<void>;
  #arrived = Promise.withResolvers<void>();
  #logEnded = false;
  readonly #closing = new AbortController();

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#reading = this.#read(child.stderr);
  }

  /**
   * @param root what stands for /vms
   * @param under a command that is to run it
   * @param executable to run instead of the source
   */
  static spawn(
    root: Pick<TempDir, "path">,
    args: readonly string[] = [],
    under: readonly string[] = [],
    executable?: string,
  ): DaemonProcess {
    const source = [Deno.execPath(), "run", "--allow-all", "--quiet", MAIN];
    const [program = "", ...words] = [...under, ...(executable === undefined ? source : [executable])];
    const child = new Deno.Command(program, {
      args: [
        ...words,
        ...[
          "--libvirt-uri",
          "test:///default",
          "--serf-rpc",
          "none",
          ...(args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"]),
          "--insecure",
          "--socket",
          "none",
        ],
        ...args,
      ],
      env: { VIRTX_TEST_ROOT: root.path },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    return new DaemonProcess(child);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The first line with that message; fails if the daemon ends without it. */
  async line(message: string): Promise<LogLine> {
    for (;;) {
      const found = this.#lines.find(({ msg }) => msg === message);
      if (found) return found;
      if (this.#logEnded) throw new Error(`no "${message}" in ${JSON.stringify(this.#lines)}`);
      await this.#arrived.promise;
    }
  }

  /** All lines so far. */
  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  /** Waits until it serves; the URL of its first address. */
  async ready(): Promise<string> {
    return String((await this.line("ready")).addresses).split(" ")[0] ?? "";
  }

  /** Goes away as the reader of its log. */
  async closeLog(): Promise<void> {
    this.#closing.abort();
    await this.#reading;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for its end; the exit code. */
  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended already
    }
    await this.ended();
  }

  async #read(stderr: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    const { signal } = this.#closing;
    try {
      for await (const text of stderr.pipeThrough(new TextDecoderStream(), { signal })) {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        this.#lines.push(...lines.map((line) => JSON.parse(line)));
        this.#wake();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    this.#logEnded = true;
    this.#wake();
  }

  #wake(): void {
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers<void>();
  }
}

/** Storage for a daemon, with the directories that have to be there. */
export async function daemonStorage(): Promise<TempDir> {
  const root = await TempDir.create();
  await Deno.mkdir(root.at("ds"));
  return root;
}
