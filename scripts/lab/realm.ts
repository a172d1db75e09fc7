import { must, run } from "../command.ts";
import { startTime } from "./process_identity.ts";
import { until } from "./until.ts";

/**
 * A realm is a set of Linux namespaces (PID namespace always among them), held open by its first process. The process
 * table is the only record of it: the holder carries the realm's key in its environment, so that a realm is found
 * again, and ended, by whoever looks for it, even if the one who started it was killed at that very moment. Killing
 * the holder ends every process within (pid_namespaces(7)); with the last process go mounts and network devices.
 */

const KEY = "VIRTXD_LAB";

/**
 * Holds the PID namespace open. As its first process it inherits orphans; because it ignores SIGCHLD the kernel reaps
 * them at once (sigaction(2)), which libvirt counts on to see that a QEMU has ended.
 */
const HOLDER = ["env", "--ignore-signal=CHLD", "sleep", "infinity"];

/** Namespaces that a realm may have beside its PID namespace: options of unshare(1) and nsenter(1). */
export type Namespace = "mount" | "uts" | "ipc" | "net";

/** A process outside the realm's view: how it is seen from the machine. */
interface Marked {
  readonly pid: number;
  readonly key: string;
  /** Whether it is the first process of its PID namespace. */
  readonly holder: boolean;
}

/** A running realm. */
export class Realm {
  private constructor(readonly key: string, readonly pid: number) {}

  /** The realm with this key, if it runs. */
  static async find(key: string): Promise<Realm | undefined> {
    const holder = (await markedProcesses()).find((process) => process.holder && process.key === key);
    return holder && new Realm(key, holder.pid);
  }

  /** Starts a realm in a session of its own: it outlives the caller. */
  static async start(key: string, namespaces: readonly Namespace[]): Promise<Realm> {
    const unshare = ["unshare", "--pid", ...namespaces.map((name) => `--${name}`), "--fork", "--kill-child"];
    await must([...unshare, "true"]); // Says what is wrong where namespaces cannot be made.
    await must(["setsid", "--fork", ...unshare, ...HOLDER], { cwd: "/", env: { [KEY]: key }, discard: true });
    return await until(`realm ${key} to start`, () => Realm.find(key), 5_000);
  }

  /**
   * Something that tells this realm from an earlier or later one with the same key: the holder's start time
   * beside its pid.
   */
  async identity(): Promise<string> {
    return `${this.pid} ${await startTime(this.pid)}`;
  }

  /** A process within, by the pid that it has there, as the machine sees it; undefined: there is none. */
  async machinePid(inner: number): Promise<number | undefined> {
    const namespace = await Deno.readLink(`/proc/${this.pid}/ns/pid`);
    for await (const entry of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(entry.name)) continue;
      const pids = await namespacePids(Number(entry.name), namespace);
      if (pids.at(-1) === String(inner)) return Number(entry.name);
    }
    return undefined;
  }

  /** The command that runs argv within the namespaces of this realm. */
  enter(namespaces: readonly (Namespace | "pid" | "root")[], argv: readonly string[]): string[] {
    const options = namespaces.map((name) => `--${name}`);
    return [
      "nsenter",
      `--target=${this.pid}`,
      ...options,
      ...(namespaces.includes("root") ? ["--wd"] : []),
      "--",
      ...argv,
    ];
  }

  /** Runs commands of ip-batch(8) in the realm's network namespace; with `force` it goes on after errors. */
  async ip(commands: readonly string[], options: { force?: boolean } = {}): Promise<void> {
    const argv = ["ip", ...(options.force ? ["-force"] : []), "-batch", "-"];
    const command = this.enter(["net"], argv);
    const stdin = commands.join("\n") + "\n";
    await (options.force ? run(command, { stdin }) : must(command, { stdin }));
  }

  /** Ends every process of the realm at once, as a power failure would, and waits until they are gone. */
  async end(): Promise<void> {
    await endRealms((key) => key === this.key);
  }
}

/** Ends all realms whose key the filter accepts, half-started ones too, and waits until they are gone. */
export async function endRealms(accepts: (key: string) => boolean): Promise<void> {
  const theirs = async () => (await markedProcesses()).filter((process) => accepts(process.key));
  for (const process of await theirs()) kill(process.pid);
  await until("the lab's processes to end", async () => {
    const left = await theirs();
    for (const process of left) kill(process.pid);
    return left.length === 0 ? true : undefined;
  }, 20_000);
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Every process of the machine that carries a realm's key. */
async function markedProcesses(): Promise<Marked[]> {
  const found: Marked[] = [];
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const marked = await inspect(Number(entry.name));
    if (marked) found.push(marked);
  }
  return found;
}

async function inspect(pid: number): Promise<Marked | undefined> {
  try {
    const environment = (await Deno.readTextFile(`/proc/${pid}/environ`)).split("\0");
    const key = environment.find((entry) => entry.startsWith(`${KEY}=`))?.slice(KEY.length + 1);
    if (key === undefined) return undefined;
    const pids = pidsOf(await Deno.readTextFile(`/proc/${pid}/status`));
    return { pid, key, holder: pids.length > 1 && pids.at(-1) === "1" };
  } catch {
    return undefined; // It ended while we looked, or is a kernel thread.
  }
}

/** The pids of a process of this PID namespace, the innermost last; none: it is of another, or has ended. */
async function namespacePids(pid: number, namespace: string): Promise<readonly string[]> {
  try {
    if (await Deno.readLink(`/proc/${pid}/ns/pid`) !== namespace) return [];
    return pidsOf(await Deno.readTextFile(`/proc/${pid}/status`));
  } catch {
    return []; // It ended while we looked.
  }
}

/** The pids of a process in each of its PID namespaces, by its proc(5) status. */
function pidsOf(status: string): readonly string[] {
  return /^NSpid:\s*(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
}
