import assert from "node:assert/strict";
import { MigrationState, MigrationType, Runstate } from "../../../lib/model/enums.ts";
import type { MigrationInfo, Vmdef, VmMigrateOptions } from "../../../lib/model/vm.ts";
import { GuestConsole } from "../../../scripts/lab/guest_console.ts";
import { until } from "../../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { LabCluster } from "./lab_cluster.ts";
import { installGuestImage, type LabDaemonOptions } from "./lab_daemon.ts";
import { TestLab } from "./test_lab.ts";

/** A VM that travels among the hosts of a cluster. Hosts are counted from 1. */
export class Traveller {
  constructor(readonly cluster: LabCluster, readonly vm: string) {}

  /** Creates it on host 1, with the lab's guest on its first disk. */
  static async create(cluster: LabCluster, name: string, vmdef: Partial<Vmdef> = {}): Promise<Traveller> {
    const image = `/vms/ds/${name}.qcow2`;
    await installGuestImage(cluster.host(1), image);
    const nets = [{ name: "br0", nettype: 1, model: 0, mac: "" }, {
      name: "default",
      nettype: 0,
      model: 0,
      mac: "",
    }];
    const def = { ...SMALL_VMDEF, name, osdisk: disk(image, { man: 1 }), nets, ...vmdef };
    const body = { vmdef: def, host: cluster.uuid(1) };
    return new Traveller(cluster, await cluster.daemon(1).json<string>("POST", "/vms", body));
  }

  /** Boots the guest where it is, and waits until it is up. */
  async boot(by = 1): Promise<void> {
    await this.cluster.daemon(by).json("POST", `/vms/${this.vm}/runstate/boot`);
    await using terminal = await this.console(await this.whereabouts(by));
    await terminal.up();
  }

  /** Powers it off where it is. */
  async powerOff(by = 1): Promise<void> {
    await this.cluster.daemon(by).json("DELETE", `/vms/${this.vm}/runstate/boot`, { force: 2 });
  }

  async console(n: number): Promise<GuestConsole> {
    return await GuestConsole.open(this.cluster.host(n), this.vm);
  }

  /** Has the guest write to its memory, so many MiB of it, so many MiB/s; or stop that. */
  async dirty(n: number, how: readonly [mib: number, rate: number] | "off"): Promise<void> {
    await using terminal = await this.console(n);
    await terminal.send(how === "off" ? "dirty off" : `dirty ${how[0]} ${how[1]}`);
    await terminal.expect(/guest dirty: /);
  }

  /** Asks a host to begin a migration to another one, or to the best; live unless said otherwise. */
  async begin(to: number | undefined, options: Partial<VmMigrateOptions> = {}, by = 1): Promise<void> {
    await this.cluster.daemon(by).json("POST", this.#path, this.request(to, options));
  }

  /** Aborts the migration; returns when that has ended. */
  async abort(by = 1): Promise<void> {
    await this.cluster.daemon(by).json("DELETE", this.#path);
  }

  /** What {@link begin} asks for. */
  request(to: number | undefined, options: Partial<VmMigrateOptions> = {}): Partial<VmMigrateOptions> {
    const host = to === undefined ? "" : this.cluster.uuid(to);
    return { host, migration_type: MigrationType.live, ...options };
  }

  async info(by = 1): Promise<MigrationInfo> {
    return await this.cluster.daemon(by).json<MigrationInfo>("GET", this.#path);
  }

  /** Waits until so many MiB have been sent. */
  async sent(mib: number, by = 1): Promise<MigrationInfo> {
    return await until(`${mib} MiB to be sent`, async () => {
      const info = await this.info(by);
      if (hasEnded(info)) assert.fail(`The migration has ended too early: ${JSON.stringify(info)}`);
      return info.progress.transferred >= mib ? info : undefined;
    }, 30_000);
  }

  /** Waits until a host says that the migration has ended; how. */
  async ended(by = 1, timeoutMs = 60_000): Promise<MigrationInfo> {
    return await until("the migration to end", async () => {
      const info = await this.info(by).catch(() => undefined); // its host may be away
      return info && hasEnded(info) ? info : undefined;
    }, timeoutMs);
  }

  /** Follows the migration to its end: all that a host tells of it. */
  async followed(
    by: number,
  ): Promise<{ readonly seen: readonly MigrationInfo[]; readonly end: MigrationInfo }> {
    const seen: MigrationInfo[] = [];
    const end = await until(
      "the migration to end",
      async () => {
        const info = await this.info(by);
        seen.push(info);
        return hasEnded(info) ? info : undefined;
      },
      90_000,
      50,
    );
    return { seen, end };
  }

  /** The host that a host says it is on. */
  async whereabouts(by = 1): Promise<number> {
    const { host } = await this.cluster.daemon(by).json<{ host: string }>("GET", `/vms/${this.vm}/runstate`);
    return this.#number(host);
  }

  /** The hosts that have a QEMU of it. */
  async guests(): Promise<number[]> {
    const found = await Promise.all(this.cluster.numbers.map(async (n) => {
      const { code } = await this.cluster.host(n).run(["pgrep", "--full", `guest=${this.vm}`]);
      return code === 0 ? [n] : [];
    }));
    return found.flat();
  }

  /** Makes sure that all is well, and the VM on that host, in that state, by what every host says; else waits for it. */
  async restsOn(n: number, runstate: Runstate = Runstate.running, settleMs?: number): Promise<void> {
    await this.cluster.settled(settleMs);
    const { served } = this.cluster;
    const seen = await Promise.all(served.map(async (by) => [
      await this.whereabouts(by),
      await this.cluster.daemon(by).runstate(this.vm),
    ]));
    assert.deepEqual(seen, served.map(() => [n, runstate]));
    assert.deepEqual(await this.guests(), runstate === Runstate.poweroff ? [] : [n]);
  }

  /** Makes sure that the guest lives: for how many seconds it has, by its own clock. */
  async answersOn(n: number): Promise<number> {
    await using terminal = await this.console(n);
    return await until("the guest to answer", async () => {
      await terminal.send("status");
      const found = await terminal.expect(/guest status: \S+ up ([\d.]+) s/, 5_000).catch(() => undefined);
      return found && Number(found[1]);
    }, 60_000);
  }

  get #path(): string {
    return `/vms/${this.vm}/runstate/migrate`;
  }

  #number(uuid: string): number {
    const found = this.cluster.numbers.find((n) => this.cluster.uuid(n) === uuid);
    assert.ok(found, `"${uuid}" is no host of the lab`);
    return found;
  }
}

/** Whether a migration is over. */
export function hasEnded({ state }: MigrationInfo): boolean {
  return state === MigrationState.completed || state === MigrationState.cancelled ||
    state === MigrationState.failed;
}

/** A lab with a daemon on each host, for VMs to travel in. */
export class MigrationCluster implements AsyncDisposable {
  private constructor(
    readonly lab: TestLab,
    readonly cluster: LabCluster,
    readonly resources: AsyncDisposableStack,
  ) {}

  static async up(hosts: number, options: LabDaemonOptions = {}): Promise<MigrationCluster> {
    await using resources = new AsyncDisposableStack();
    const lab = resources.use(await TestLab.up({ hosts }));
    const cluster = resources.use(await LabCluster.start(lab, options));
    return new MigrationCluster(lab, cluster, resources.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}
