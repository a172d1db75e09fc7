import type { LabHost } from "../../../scripts/lab/host.ts";
import { HostProcess } from "../../../scripts/lab/host_process.ts";
import { until } from "../../../scripts/lab/until.ts";

/** Nothing is answered from a cache of the kernel's. */
const UNCACHED = "attr_timeout=0,entry_timeout=0,negative_timeout=0";

/**
 * A host's /vms through a file system in user space (bindfs(1)), which can hang as a network file system can whose server does
 * not answer: every call then waits in the kernel, until it goes on.
 */
export class FuseStorage implements AsyncDisposable {
  private constructor(readonly host: LabHost, readonly server: HostProcess) {}

  /** Mounts it over what the host has there, with a directory for images. */
  static async mount(host: LabHost): Promise<FuseStorage> {
    await host.exec(["mkdir", "-p", "/vms/ds"]);
    const server = await HostProcess.spawn(
      host,
      ["/usr/bin/bindfs", "-f", "--multithreaded", "-o", UNCACHED, "/vms", "/vms"],
      { log: "bindfs" },
    );
    const storage = new FuseStorage(host, server);
    try {
      await until(
        "/vms to be mounted",
        async () =>
          (await host.exec(["stat", "-f", "-c", "%T", "/vms"])).trim().startsWith("fuse") || undefined,
        10_000,
      );
      return storage;
    } catch (error) {
      await storage[Symbol.asyncDispose]();
      throw new Error(`bindfs said: ${server.output}`, { cause: error });
    }
  }

  /** From now on it answers nothing, until disposed. */
  hang(): Disposable {
    this.server.kill("SIGSTOP");
    return { [Symbol.dispose]: () => this.server.kill("SIGCONT") };
  }

  /** What waits for it gets an error. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.host.run(["umount", "--lazy", "/vms"]);
  }
}
