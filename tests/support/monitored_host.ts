import { Inventory } from "../../lib/cluster/inventory.ts";
import { HostMonitor } from "../../lib/host/monitor.ts";
import { Hypervisor } from "../../lib/libvirt/hypervisor.ts";
import { systemClock } from "../../lib/model/clock.ts";
import { Health } from "../../lib/model/health.ts";
import { silentLogger } from "../../lib/model/log.ts";
import { Libc } from "../../lib/posix/libc.ts";

/** A host monitor at work on a libvirt, with all that it needs. */
export class MonitoredHost implements AsyncDisposable {
  private constructor(
    readonly hypervisor: Hypervisor,
    readonly inventory: Inventory,
    readonly monitor: HostMonitor,
    readonly health: Health,
    readonly resources: AsyncDisposableStack,
  ) {}

  /** @param sampleIntervalMs an hour unless told: samples are taken when the test asks for one */
  static async start(uri: string, sampleIntervalMs = 3_600_000): Promise<MonitoredHost> {
    await using resources = new AsyncDisposableStack();
    const log = silentLogger;
    const libc = resources.use(Libc.open());
    const hypervisor = resources.use(await Hypervisor.open({ uri, log, reconnectMs: 50 }));
    const inventory = new Inventory();
    const health = new Health();
    const monitor = resources.use(
      new HostMonitor({
        hypervisor,
        inventory,
        libc,
        domainType: "auto",
        health,
        clock: systemClock,
        log,
        sampleIntervalMs,
      }),
    );
    await monitor.start(AbortSignal.timeout(30_000));
    return new MonitoredHost(hypervisor, inventory, monitor, health, resources.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}

/** Waits until something holds; fails, saying what, if it does not within 10 seconds. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
