import { inBackground } from "../../../lib/model/background.ts";
import { Lab } from "../../../scripts/lab/lab.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import { thisProcess } from "../../../scripts/lab/process_identity.ts";
import { silentProgress } from "../../../scripts/progress.ts";

/**
 * A lab for one test: `await using lab = await TestLab.up({ hosts: 2 })`. It ends with the test, or with SIGTERM to the test
 * run. Deno's test runner ends at once at SIGINT: then, as after SIGKILL, the next test that wants a lab ends the old one.
 */
export class TestLab implements AsyncDisposable {
  readonly #terminate = () => inBackground(this[Symbol.asyncDispose]().finally(() => Deno.exit(143)));

  private constructor(readonly lab: Lab) {
    Deno.addSignalListener("SIGTERM", this.#terminate);
  }

  static async up(options: { hosts: number }): Promise<TestLab> {
    await Lab.downOrphans();
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
    Deno.removeSignalListener("SIGTERM", this.#terminate);
    await Lab.down(this.lab.name);
  }
}
