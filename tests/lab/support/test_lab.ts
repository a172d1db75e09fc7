import { Lab } from "../../../scripts/lab/lab.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import { isRunning, thisProcess } from "../../../scripts/lab/process_identity.ts";
import { labNames, readLab } from "../../../scripts/lab/state.ts";
import { silentProgress } from "../../../scripts/progress.ts";

/**
 * A lab for one test: `await using lab = await TestLab.up({ hosts: 2 })`. It ends with the test, with a signal to the test
 * run, or, if the run was killed, when the next one starts a lab.
 */
export class TestLab implements AsyncDisposable {
  readonly #onSignal: () => void;

  private constructor(readonly lab: Lab) {
    this.#onSignal = () => void this[Symbol.asyncDispose]().finally(() => Deno.exit(130));
    for (const signal of ENDING) Deno.addSignalListener(signal, this.#onSignal);
  }

  static async up(options: { hosts: number }): Promise<TestLab> {
    await removeOrphans();
    const name = `test-${crypto.randomUUID().slice(0, 8)}`;
    const owner = await thisProcess();
    try {
      return new TestLab(await Lab.up({ name, hosts: options.hosts, progress: silentProgress, owner }));
    } catch (error) {
      await Lab.down(name);
      throw error;
    }
  }

  get name(): string {
    return this.lab.name;
  }

  /** The n-th host, counted from 1. */
  host(n = 1): LabHost {
    return this.lab.host(`virt${n}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const signal of ENDING) Deno.removeSignalListener(signal, this.#onSignal);
    await Lab.down(this.lab.name);
  }
}

const ENDING: readonly Deno.Signal[] = ["SIGINT", "SIGTERM"];

/** Ends the labs of test runs that are no more. */
async function removeOrphans(): Promise<void> {
  for (const name of await labNames()) {
    const owner = (await readLab(name))?.owner;
    if (owner && !await isRunning(owner)) await Lab.down(name);
  }
}
