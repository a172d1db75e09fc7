import type { LabHost } from "../../../scripts/lab/host.ts";
import { until } from "../../../scripts/lab/until.ts";
import { settled } from "./invariants.ts";
import { LabDaemon, type LabDaemonOptions } from "./lab_daemon.ts";
import type { TestLab } from "./test_lab.ts";

/** HostState "active" of protocol.md §1. */
const ACTIVE = 1;

/** An item of GET /hosts or GET /vms, as far as tests look at it. */
export interface Listed {
  readonly uuid: string;
  readonly fields: {
    readonly name: string;
    readonly cstate?: number;
    readonly host?: string;
    readonly runstate?: number;
  };
}

/** A daemon on every host of a lab, which together are a cluster. Hosts are counted from 1. */
export class LabCluster implements AsyncDisposable {
  readonly #daemons = new Map<number, LabDaemon>();

  private constructor(readonly lab: TestLab) {}

  /** Starts the daemons of all hosts, or of those only; returns once each of them lists all hosts as active. */
  static async start(
    lab: TestLab,
    { on, ...options }: LabDaemonOptions & { readonly on?: readonly number[] } = {},
  ): Promise<LabCluster> {
    await using starting = new AsyncDisposableStack();
    const cluster = starting.use(new LabCluster(lab));
    await Promise.all((on ?? cluster.numbers).map((n) => cluster.startDaemon(n, options)));
    await cluster.complete();
    starting.move();
    return cluster;
  }

  get numbers(): readonly number[] {
    return this.lab.lab.hosts.map((_, at) => at + 1);
  }

  /** The hosts whose daemons were started. */
  get served(): readonly number[] {
    return [...this.#daemons.keys()].sort();
  }

  host(n: number): LabHost {
    return this.lab.host(n);
  }

  /** The UUID of a host. */
  uuid(n: number): string {
    return this.host(n).record.uuid;
  }

  daemon(n: number): LabDaemon {
    const daemon = this.#daemons.get(n);
    if (!daemon) throw new Error(`virtxd was not started on host ${n}`);
    return daemon;
  }

  /** Starts the daemon of a host that has none, or whose one has ended; waits until it is ready. */
  async startDaemon(n: number, options: LabDaemonOptions = {}): Promise<LabDaemon> {
    const old = this.#daemons.get(n);
    this.#daemons.delete(n);
    await old?.[Symbol.asyncDispose]();
    const daemon = await LabDaemon.start(this.host(n), options);
    this.#daemons.set(n, daemon);
    return daemon;
  }

  /** Starts a daemon that must end by itself: with which exit code, and what it said. */
  async refusal(n: number): Promise<{ readonly code: number; readonly output: string }> {
    await using daemon = await LabDaemon.launch(this.host(n));
    const { code } = await daemon.process.status;
    return { code, output: daemon.process.output };
  }

  /** Kills the daemon of a host (SIGKILL). */
  async killDaemon(n: number): Promise<void> {
    const { process } = this.daemon(n);
    process.kill("SIGKILL");
    await process.status;
  }

  /** Stops the daemon of a host (SIGSTOP) until disposed. */
  freezeDaemon(n: number): Disposable {
    const { process } = this.daemon(n);
    process.kill("SIGSTOP");
    return { [Symbol.dispose]: () => process.kill("SIGCONT") };
  }

  /** Boots a host that is down, or what is missing on it, with its daemon. */
  async boot(n: number, options: LabDaemonOptions = {}): Promise<void> {
    await this.lab.lab.boot(this.host(n));
    await this.startDaemon(n, options);
  }

  async hosts(n: number): Promise<readonly Listed[]> {
    return (await this.daemon(n).json<{ items: Listed[] }>("GET", "/hosts")).items;
  }

  async vms(n: number): Promise<readonly Listed[]> {
    return (await this.daemon(n).json<{ items: Listed[] }>("GET", "/vms")).items;
  }

  /** What a host lists of a VM; undefined: nothing. */
  async vm(n: number, uuid: string): Promise<Listed["fields"] | undefined> {
    return (await this.vms(n)).find((vm) => vm.uuid === uuid)?.fields;
  }

  /** The state in which a host lists another one. */
  async cstate(n: number, other: number): Promise<number | undefined> {
    return (await this.hosts(n)).find(({ uuid }) => uuid === this.uuid(other))?.fields.cstate;
  }

  /** Waits until every daemon lists all hosts as active; after how many milliseconds. */
  async complete(timeoutMs = 60_000): Promise<number> {
    const began = performance.now();
    for (const n of this.served) {
      await until(
        `host ${n} to list all hosts as active`,
        async () => {
          const states = await Promise.all(this.numbers.map((other) => this.cstate(n, other)));
          return states.every((state) => state === ACTIVE) || undefined;
        },
        timeoutMs,
        100,
      );
    }
    return performance.now() - began;
  }

  /** Waits until all invariants hold, see {@link settled}; after how many milliseconds. */
  async settled(settleMs?: number): Promise<number> {
    const observed = this.numbers.map((n) => {
      const daemon = this.#daemons.get(n);
      return { host: this.host(n), api: daemon?.process.pid === undefined ? undefined : daemon.url };
    });
    return await settled(observed, settleMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#daemons.values()].map((daemon) => daemon[Symbol.asyncDispose]()));
  }
}
