import { must } from "../../command.ts";
import type { LabHost } from "../host.ts";

/** What a host keeps to itself, on its own disk; shared storage goes on. */
const KEPT = ["etc", "var/lib"];

/**
 * A host's disk as it was at a moment. Restored while the host is down, it lets the host come back with the same UUID
 * and an old state: with domains that are elsewhere by now, and without those that came later.
 */
export class HostBackup implements AsyncDisposable {
  private constructor(readonly host: LabHost, readonly directory: string) {}

  static async take(host: LabHost): Promise<HostBackup> {
    const directory = await Deno.makeTempDir({ prefix: "virtxd-lab-backup-" });
    const backup = new HostBackup(host, directory);
    try {
      const argv = ["cp", "--archive", "--parents", ...KEPT, `${directory}/`];
      await must(argv, { cwd: host.disk });
      return backup;
    } catch (error) {
      await backup[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Puts the disk back to what it was. */
  async restore(): Promise<void> {
    if (await this.host.isUp()) throw new Error(`Host ${this.host.name} is up: its disk is in use`);
    const { disk } = this.host;
    for (const name of KEPT) await Deno.remove(`${disk}/${name}`, { recursive: true });
    await must(["cp", "--archive", "--parents", ...KEPT, `${disk}/`], { cwd: this.directory });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}
