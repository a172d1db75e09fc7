import assert from "node:assert/strict";
import type { HypervisorEvent } from "../../../lib/libvirt/events.ts";
import { settlesWithin } from "../../../lib/libvirt/deadline.ts";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import type { DomainJob } from "../../../lib/libvirt/job.ts";
import type {
  LiveMigrationOptions,
  MigrationOptions,
  MigrationOutcome,
} from "../../../lib/libvirt/migration.ts";
import { inBackground } from "../../../lib/model/background.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { GuestConsole } from "../../../scripts/lab/guest_console.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import { until } from "../../../scripts/lab/until.ts";
import { installGuestImage } from "./lab_daemon.ts";
import { startPlainGuest } from "./plain_guest.ts";
import { TestLab } from "./test_lab.ts";

const IMAGE = "/vms/ds/guest.qcow2";

/** Two hosts, the lab's guest up on the first, and the first one's libvirt as virtxd sees it. */
export class MigrationLab implements AsyncDisposable {
  readonly #migrations: Promise<MigrationOutcome>[] = [];
  readonly #over = new AbortController();
  /** What the source's libvirt has told. */
  readonly seen: HypervisorEvent[] = [];

  private constructor(
    readonly lab: TestLab,
    readonly guest: string,
    readonly hypervisor: Hypervisor,
    readonly leaks: readonly string[],
  ) {
    inBackground(this.#watch());
  }

  static async up(): Promise<MigrationLab> {
    await using undo = new AsyncDisposableStack();
    const lab = undo.use(await TestLab.up({ hosts: 2 }));
    const host = lab.host();
    await installGuestImage(host, IMAGE);
    const guest = await startPlainGuest(host, { firmware: "bios", disk: IMAGE });
    {
      await using terminal = await GuestConsole.open(host, guest);
      await terminal.up();
    }
    const uri = `qemu+unix:///system?socket=${await host.path("/run/libvirt/libvirt-sock")}`;
    const leaks: string[] = [];
    const log = { ...silentLogger, error: (message: string) => void leaks.push(message) };
    const hypervisor = await Hypervisor.open({ uri, log });
    undo.move();
    return new MigrationLab(lab, guest, hypervisor, leaks);
  }

  get source(): LabHost {
    return this.lab.host(1);
  }

  get target(): LabHost {
    return this.lab.host(2);
  }

  /** To the target; live, if there are options for that. */
  options(live?: Partial<LiveMigrationOptions>): MigrationOptions {
    const { address } = this.target;
    const destination = `qemu+tcp://${address}/system`;
    return live ? { destination, live: { address, ...live } } : { destination };
  }

  /**
   * Migrates the guest to its end. A test may fail before it looks how that came out: then it is aborted, and waited for, when
   * this is disposed.
   */
  migrate(options: MigrationOptions, signal?: AbortSignal): Promise<MigrationOutcome> {
    const either = AbortSignal.any([this.#over.signal, ...signal ? [signal] : []]);
    const outcome = this.hypervisor.migrate(this.guest, options, either);
    outcome.catch(() => {}); // nor shall it be its failure that ends the test run
    this.#migrations.push(outcome);
    return outcome;
  }

  /** The job of the last migration as it is when so many bytes of memory have been sent; fails as soon as that fails. */
  progress(bytes: number): Promise<DomainJob> {
    const moving = this.#migrations.at(-1);
    return until("memory to be sent", async () => {
      if (moving && await settlesWithin(0, moving)) {
        throw new Error(`The migration is over before ${bytes} bytes were sent: it has ${await moving}`);
      }
      const job = await this.hypervisor.job(this.guest);
      return job && (job.memoryProcessed ?? 0) >= bytes ? job : undefined;
    }, 20_000);
  }

  /** Where the guest is, and how, by virsh, and how many QEMUs it has there. */
  async whereabouts(): Promise<string[]> {
    const found = await Promise.all([this.source, this.target].map(async (host) => {
      const state = await host.run(["virsh", "domstate", this.guest]);
      const { stdout } = await host.run(["pgrep", "--count", "--full", `guest=${this.guest}`]);
      const processes = Number(stdout);
      if (state.code !== 0 && processes === 0) return [];
      return [`${host.name}: ${state.stdout.trim()}, ${processes} QEMU`];
    }));
    return found.flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.allSettled(this.#migrations);
    await this.hypervisor[Symbol.asyncDispose]();
    await this.lab[Symbol.asyncDispose]();
    assert.deepEqual(this.leaks, []);
  }

  async #watch(): Promise<void> {
    for await (const event of this.hypervisor.events) this.seen.push(event);
  }
}
