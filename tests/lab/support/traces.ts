import { labDirectory, type LabRecord } from "../../../scripts/lab/state.ts";

/**
 * What a lab can leave on the machine, found without the means by which the lab itself is ended: the namespaces that its
 * processes were in, mounts, network devices, files.
 */
export class LabTraces {
  private constructor(readonly lab: LabRecord, readonly namespaces: ReadonlySet<string>) {}

  /**
   * Remembers a running lab's namespaces.
   * @param pids a process of each of its hosts, as the machine sees them
   */
  static async of(lab: LabRecord, pids: readonly number[]): Promise<LabTraces> {
    const namespaces = new Set<string>();
    for (const pid of pids) for (const namespace of await namespacesOf(pid)) namespaces.add(namespace);
    for (const shared of await namespacesOf(Deno.pid)) namespaces.delete(shared);
    return new LabTraces(lab, namespaces);
  }

  /** What is still there, in words; nothing if all is gone. */
  async left(): Promise<string[]> {
    const directory = labDirectory(this.lab.name);
    const mounts = (await Deno.readTextFile("/proc/self/mountinfo")).split("\n");
    const devices = (await Deno.readTextFile("/proc/net/dev")).split("\n");
    return [
      ...await this.#processes(),
      ...mounts.filter((line) => line.includes(directory)).map((line) => `mount: ${line}`),
      ...devices.filter((line) => line.includes(this.lab.uplink)).map((line) => `device: ${line}`),
      ...await exists(directory) ? [`directory: ${directory}`] : [],
    ];
  }

  async #processes(): Promise<string[]> {
    const left: string[] = [];
    for await (const entry of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(entry.name)) continue;
      const within = (await namespacesOf(Number(entry.name))).some((each) => this.namespaces.has(each));
      if (within) {
        left.push(`process: ${entry.name} ${await Deno.readTextFile(`/proc/${entry.name}/cmdline`)}`);
      }
    }
    return left;
  }
}

/** The namespaces of a process, such as "net:[4026531840]"; none if it has ended. */
async function namespacesOf(pid: number): Promise<string[]> {
  try {
    return await Promise.all(["mnt", "net", "pid"].map((kind) => Deno.readLink(`/proc/${pid}/ns/${kind}`)));
  } catch {
    return [];
  }
}

/** Whether there is something at the path. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
