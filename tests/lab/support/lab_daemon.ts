import { fileURLToPath } from "node:url";
import { ApiClient } from "../../../lib/api/client.ts";
import { guestImage } from "../../../scripts/guest/image.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import { HostProcess } from "../../../scripts/lab/host_process.ts";
import { until } from "../../../scripts/lab/until.ts";
import { silentProgress } from "../../../scripts/progress.ts";

export const EXECUTABLE = fileURLToPath(new URL("../../../dist/virtxd", import.meta.url));
const IMAGE_CACHE = fileURLToPath(new URL("../../../.lab/cache", import.meta.url));
const INSTALLED = "/usr/local/bin/virtxd";
const PORT = 8080;

export interface LabDaemonOptions {
  /** Started instead of the one that was built: that of another version. */
  readonly executable?: string;
  /** Added to the command line. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** The built executable at work on a lab host, and a client of its API. */
export class LabDaemon implements AsyncDisposable {
  private constructor(readonly host: LabHost, readonly process: HostProcess, readonly api: ApiClient) {}

  /** Installs the executable on the host and starts it; returns once it is ready to serve. */
  static async start(host: LabHost, options: LabDaemonOptions = {}): Promise<LabDaemon> {
    const daemon = await LabDaemon.launch(host, options);
    try {
      await daemon.ready();
      return daemon;
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Like {@link start}, without waiting: for a daemon that is not expected to get ready. */
  static async launch(host: LabHost, options: LabDaemonOptions = {}): Promise<LabDaemon> {
    await host.install(options.executable ?? EXECUTABLE, INSTALLED);
    const listen = `${host.address}:${PORT},127.0.0.1:${PORT}`;
    const process = await HostProcess.spawn(
      host,
      [INSTALLED, "--listen", listen, "--insecure", "--domain-type", "qemu", ...options.args ?? []],
      { log: "virtxd", ...(options.env && { env: options.env }) },
    );
    return new LabDaemon(host, process, new ApiClient({ address: urlOf(host) }));
  }

  /** Of its API. */
  get url(): string {
    return urlOf(this.host);
  }

  /** Waits until /readyz says so; fails with the daemon's log if it ends instead. */
  async ready(timeoutMs = 60_000): Promise<void> {
    await until("virtxd to be ready", async () => {
      if (this.process.pid === undefined) throw new Error(`virtxd ended:\n${this.process.output}`);
      try {
        await this.api.request("GET", "/readyz");
        return true;
      } catch {
        return undefined;
      }
    }, timeoutMs);
  }

  /** Waits until it has printed a text. */
  async says(text: string, timeoutMs = 30_000): Promise<void> {
    await until(`virtxd to say "${text}"`, () => this.process.output.includes(text) || undefined, timeoutMs);
  }

  /** The JSON that the API answers. */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    return (await this.api.request(method, path, body, { timeoutMs: 60_000 })).body as T;
  }

  async runstate(uuid: string): Promise<number> {
    return (await this.json<{ runstate: number }>("GET", `/vms/${uuid}/runstate`)).runstate;
  }

  /** Waits until a VM is in a run state. */
  async until(uuid: string, runstate: number, timeoutMs = 30_000): Promise<void> {
    await until(
      `run state ${runstate} of VM ${uuid}`,
      async () => await this.runstate(uuid) === runstate || undefined,
      timeoutMs,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.api[Symbol.dispose]();
    await this.process[Symbol.asyncDispose]();
  }
}

function urlOf(host: LabHost): string {
  return `http://${host.address}:${PORT}`;
}

/** Puts a copy of the lab's guest image at a path of the host. */
export async function installGuestImage(host: LabHost, path: string): Promise<void> {
  await host.install(await guestImage(IMAGE_CACHE, silentProgress), path);
}
