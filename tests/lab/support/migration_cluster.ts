import { MigrationState, MigrationType, Runstate } from "../../../lib/model/enums.ts";
import type { MigrationInfo, Vmdef, VmMigrateOptions } from "../../../lib/model/vm.ts";
import { GuestConsole } from "../../../scripts/lab/guest_console.ts";
import { until } from "../../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { LabCluster } from "./lab_cluster.ts";
import { installGuestImage } from "./lab_daemon.ts";
import { TestLab } from "./test_lab.ts";

const IMAGE = "/vms/ds/guest.qcow2";
const VM: Vmdef = {
  ...SMALL_VMDEF,
  name: "traveller",
  osdisk: disk(IMAGE, { man: 1 }),
  nets: [{ name: "br0", nettype: 1, model: 0, mac: "" }, { name: "default", nettype: 0, model: 0, mac: "" }],
};

/** Migrations that take their time, for something to happen meanwhile. */
export const SLOWLY = { bandwidth: 8 };

/** A cluster, and a VM on its first host that is to travel. */
export class MigrationCluster implements AsyncDisposable {
  private constructor(readonly lab: TestLab, readonly cluster: LabCluster, readonly vm: string) {}

  /** Returns when the guest is up, if it is to run. */
  static async up(
    o: { readonly hosts?: number; readonly boot?: boolean; readonly vmdef?: Partial<Vmdef> } = {},
  ): Promise<MigrationCluster> {
    await using undo = new AsyncDisposableStack();
    const lab = undo.use(await TestLab.up({ hosts: o.hosts ?? 2 }));
    await installGuestImage(lab.host(), IMAGE);
    const cluster = undo.use(await LabCluster.start(lab));
    const vm = await cluster.daemon(1).json<string>("POST", "/vms", {
      vmdef: { ...VM, ...o.vmdef },
      host: cluster.uuid(1),
    });
    const made = new MigrationCluster(lab, cluster, vm);
    if (o.boot ?? true) await made.boot();
    undo.move();
    return made;
  }

  /** Boots the guest where it is. */
  async boot(n = 1): Promise<void> {
    await this.cluster.daemon(n).json("POST", `/vms/${this.vm}/runstate/boot`);
    await using terminal = await this.console(n);
    await terminal.up();
  }

  async console(n: number): Promise<GuestConsole> {
    return await GuestConsole.open(this.cluster.host(n), this.vm);
  }

  /** Asks a host to begin a migration to another one. */
  async begin(to: number | undefined, options: Partial<VmMigrateOptions> = {}, by = 1): Promise<void> {
    await this.cluster.daemon(by).json("POST", `/vms/${this.vm}/runstate/migrate`, {
      host: to === undefined ? "" : this.cluster.uuid(to),
      migration_type: MigrationType.live,
      ...options,
    });
  }

  async info(by = 1): Promise<MigrationInfo> {
    return await this.cluster.daemon(by).json<MigrationInfo>("GET", `/vms/${this.vm}/runstate/migrate`);
  }

  /** Waits until so many MiB have been sent. */
  async sent(mib: number, by = 1): Promise<MigrationInfo> {
    return await until(`${mib} MiB to be sent`, async () => {
      const info = await this.info(by);
      return info.progress.transferred >= mib ? info : undefined;
    }, 30_000);
  }

  /** Waits until a host says that the migration has ended; how. */
  async ended(by = 1, timeoutMs = 60_000): Promise<MigrationInfo> {
    return await until("the migration to end", async () => {
      const info = await this.info(by).catch(() => undefined); // its host may be away
      return info && ENDED.includes(info.state) ? info : undefined;
    }, timeoutMs);
  }

  /** Where a host says that the VM is: the host's number. */
  async whereabouts(by = 1): Promise<number | undefined> {
    const { host } = await this.cluster.daemon(by).json<{ host: string }>("GET", `/vms/${this.vm}/runstate`);
    return this.cluster.numbers.find((n) => this.cluster.uuid(n) === host);
  }

  /** The hosts that have a QEMU of the VM, by number. */
  async guests(): Promise<number[]> {
    const counts = await Promise.all(this.cluster.numbers.map(async (n) => {
      const found = await this.cluster.host(n).run(["pgrep", "--full", `guest=${this.vm}`]);
      return found.code === 0 ? [n] : [];
    }));
    return counts.flat();
  }

  /** Makes sure that the guest runs on a host, and has done so all along. */
  async answersOn(n: number): Promise<void> {
    await this.cluster.daemon(n).until(this.vm, Runstate.running, 10_000);
    await using terminal = await this.console(n);
    await until("the guest to answer", async () => {
      await terminal.send("status");
      return await terminal.expect(/guest status:/, 2_000).catch(() => undefined);
    }, 20_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
    await this.lab[Symbol.asyncDispose]();
  }
}

const ENDED: readonly number[] = [MigrationState.completed, MigrationState.cancelled, MigrationState.failed];
