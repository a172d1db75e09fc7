import type { ClusterSim, SimHost } from "./cluster_sim.ts";

interface Change {
  readonly at: number;
  readonly ts: number;
  /** The numbers of the hosts that do not know it yet. */
  readonly missing: Set<number>;
}

/** Watches how long changes take to be known on each other host, in virtual time; for hosts that do not restart. */
export class ClusterWatch implements Disposable {
  /** Of each change on each other host, milliseconds. */
  readonly latencies: number[] = [];
  readonly #sim: ClusterSim;
  readonly #changes = new Map<string, Change>();
  readonly #watches = new DisposableStack();

  constructor(sim: ClusterSim) {
    this.#sim = sim;
    for (const { number, inventory } of sim.hosts) {
      this.#watches.use(inventory.watch({ vm: (uuid, entry) => this.#seen(number, uuid, entry?.ts ?? 0) }));
    }
  }

  /** Changes something on a host, and watches it. */
  change(host: SimHost): void {
    const { uuid, ts } = host.changeSomething();
    const missing = new Set(this.#sim.hosts.map(({ number }) => number));
    missing.delete(host.number);
    this.#changes.set(uuid, { at: this.#sim.time.now(), ts, missing });
  }

  /** So many changes a second on random hosts, for so long. */
  async churn(changesPerSecond: number, ms: number): Promise<void> {
    const { hosts, random, time } = this.#sim;
    const end = time.now() + ms;
    while (time.now() < end) {
      await time.pass(2 * random() * 1000 / changesPerSecond);
      const host = hosts[Math.floor(random() * hosts.length)];
      if (host) this.change(host);
    }
  }

  [Symbol.dispose](): void {
    this.#watches.dispose();
  }

  #seen(host: number, uuid: string, ts: number): void {
    const change = this.#changes.get(uuid);
    if (!change || ts < change.ts || !change.missing.delete(host)) return;
    this.latencies.push(this.#sim.time.now() - change.at);
  }
}
