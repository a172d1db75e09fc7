import { partition } from "../../../scripts/lab/faults/packets.ts";
import type { LabHost } from "../../../scripts/lab/host.ts";
import { LabCluster } from "../../lab/support/lab_cluster.ts";
import type { LabDaemonOptions } from "../../lab/support/lab_daemon.ts";
import type { TestLab } from "../../lab/support/test_lab.ts";
import type { CheckedHost } from "./checker.ts";
import type { Ledger } from "./ledger.ts";

export const FAULTS = ["kill", "halt", "freeze", "partition", "power", "unmount"] as const;
export type Fault = (typeof FAULTS)[number];

/** Where a daemon halts, to be killed there. */
const POINTS = [
  ...["journal.written", "journal.renamed", "journal.written:2", "journal.renamed:2", "journal.removed"],
  ...["disks.written", "disks.linked", "disks.decided", "disks.replaced", "vms.linked", "vms.decided"],
  ...["storage.reserved", "storage.created", "storage.linked", "storage.committed"],
  ...["registry.written", "registry.renamed", "registry.linked", "registry.removed"],
  ...["create.prepared", "create.taken", "create.defined", "create.registered", "create.committed"],
  ...["update.prepared", "update.taken", "update.defined", "update.registered", "update.committed"],
  ...["update.kept", "update.deleted", "delete.committed", "delete.undefined", "delete.unregistered"],
  ...["delete.kept", "delete.deleted", "trash.recorded", "trash.renamed", "trash.moved", "trash.claimed"],
  ...["trash.linked", "trash.emptied", "migrate.recorded", "migrate.begun", "migrate.ended"],
  ...["migrate.handed", "migrate.settled"],
];
/** How long a host may need to be there again. */
const READY_MS = 90_000;

/** Where a host keeps its shared storage reachable while that is not mounted where it belongs. */
const ELSEWHERE = "/mnt/storage";

/** The hosts of a campaign, what is done to them, and how they come back. */
export class Hosts implements AsyncDisposable {
  readonly #logs = new Map<number, string>();
  /** Hosts whose daemon is not to be there. */
  readonly #down = new Set<number>();

  private constructor(
    readonly cluster: LabCluster,
    readonly ledger: Ledger,
    readonly options: LabDaemonOptions,
  ) {
    this.checked = cluster.numbers.map((n) => ({
      host: cluster.host(n),
      api: cluster.daemon(n).url,
      said: () => this.said(n),
    }));
  }

  static async start(lab: TestLab, ledger: Ledger, options: LabDaemonOptions): Promise<Hosts> {
    for (const host of lab.lab.hosts) await prepareStorage(host);
    const cluster = await LabCluster.start(lab, options);
    return new Hosts(cluster, ledger, options);
  }

  get numbers(): readonly number[] {
    return this.cluster.numbers;
  }

  /** For the checker. */
  readonly checked: readonly CheckedHost[];

  /** What the daemons of a host have said. */
  said(n: number): string {
    const daemon = this.#down.has(n) ? undefined : this.cluster.daemon(n);
    return (this.#logs.get(n) ?? "") + (daemon?.process.output ?? "");
  }

  /** Daemons that have ended though nobody ended them. */
  deserters(): string[] {
    return this.numbers.filter((n) => !this.#down.has(n) && this.cluster.daemon(n).process.pid === undefined)
      .map((n) => `virtxd on ${this.cluster.host(n).name} has ended by itself`);
  }

  /** Does it to a host, waits, and has the host come back. */
  async make(fault: Fault, n: number, random: () => number): Promise<void> {
    const ms = 1_000 + random() * 6_000;
    switch (fault) {
      case "kill":
        return await this.#logged(fault, n, () => this.outage(n, () => pause(ms / 2)));
      case "halt": {
        const point = POINTS[Math.floor(random() * POINTS.length)] ?? "";
        return await this.#logged(`halt at ${point}`, n, async () => {
          await this.restart(n, { env: { VIRTX_TEST_STOP_AT: point } });
          await this.halted(n, 8_000 + ms);
          await this.outage(n, () => pause(ms / 2));
        });
      }
      case "freeze":
        return await this.#logged(fault, n, async () => {
          using _frozen = this.cluster.freezeDaemon(n);
          await pause(ms * 2);
        });
      case "partition":
        return await this.#logged(fault, n, async () => {
          const others = this.numbers.filter((other) => other !== n).map((other) => this.cluster.host(other));
          await using _cut = await partition([this.cluster.host(n)], others);
          await pause(ms * 2);
        });
      case "power":
        return await this.#logged("power cut", n, async () => {
          this.#keepLog(n);
          await this.cluster.host(n).crash();
          await pause(ms);
          await this.cluster.lab.lab.boot(this.cluster.host(n));
          await prepareStorage(this.cluster.host(n));
          await this.restart(n);
        });
      case "unmount":
        return await this.#logged(fault, n, () => this.unmounted(n, () => pause(ms)));
    }
  }

  /** Kills a daemon, and starts it again after the task. */
  async outage(n: number, task: () => Promise<void>): Promise<void> {
    this.#keepLog(n);
    await this.cluster.killDaemon(n);
    try {
      await task();
    } finally {
      await this.restart(n);
    }
  }

  /** Runs a task while a host's storage is not mounted. */
  async unmounted(n: number, task: () => Promise<void>): Promise<void> {
    const host = this.cluster.host(n);
    await host.exec(["umount", "--lazy", "/vms"]);
    try {
      await task();
    } finally {
      await host.exec(["mount", "--bind", ELSEWHERE, "/vms"]);
    }
  }

  /** Starts a daemon again, which is killed if it runs. */
  async restart(n: number, options: LabDaemonOptions = {}): Promise<void> {
    if (!this.#down.has(n)) this.#keepLog(n);
    await this.cluster.startDaemon(n, { ...this.options, ...options });
    this.#down.delete(n);
  }

  /** Waits until a daemon has halted at its fault point; whether it did. */
  async halted(n: number, ms: number): Promise<boolean> {
    const end = Date.now() + ms;
    const { process } = this.cluster.daemon(n);
    while (Date.now() < end) {
      if (process.output.includes("halted at a fault point")) return true;
      await pause(50);
    }
    return false;
  }

  /** Starts what has died on a host beside virtxd, as systemd would. */
  async reviveServices(): Promise<void> {
    for (const host of this.checked.map(({ host }) => host)) {
      const { libvirtd, serf } = await host.status();
      if (libvirtd && serf) continue;
      await this.#logged(
        `${libvirtd ? "Serf" : "libvirtd"} has died`,
        host,
        () => this.cluster.lab.lab.boot(host),
      );
    }
  }

  /** Lets a daemon go on that has halted. */
  goOn(n: number): void {
    this.cluster.daemon(n).process.kill("SIGCONT");
  }

  /** Waits until all hosts know each other. */
  async complete(): Promise<void> {
    await this.cluster.complete(READY_MS);
  }

  /** Makes the records of owners older than the time for which they count by themselves; only while nothing is done. */
  async age(): Promise<void> {
    await this.cluster.host(1).exec([
      ...["find", `${ELSEWHERE}/.virtxd`, "-name", "*.json", "-not", "-name", "storage.json"],
      ...["-exec", "touch", "-d", "10 minutes ago", "{}", "+"],
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }

  async #logged(what: string, at: number | LabHost, task: () => Promise<void>): Promise<void> {
    const { name } = typeof at === "number" ? this.cluster.host(at) : at;
    const act = this.ledger.begin(`${name}: ${what}`, undefined);
    await task();
    this.ledger.end(act, "accepted", "healed");
  }

  #keepLog(n: number): void {
    this.#logs.set(n, this.said(n));
    this.#down.add(n);
  }
}

/** Keeps the storage at hand, and has a directory as of storage lie below the place where it is mounted. */
async function prepareStorage(host: LabHost): Promise<void> {
  await Deno.mkdir(`${host.disk}/vms/ds`, { recursive: true });
  await host.exec(["mkdir", "-p", ELSEWHERE]);
  await host.exec(["mount", "--bind", "/vms", ELSEWHERE]);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
