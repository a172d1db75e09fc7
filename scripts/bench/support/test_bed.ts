import { Inventory } from "../../../lib/cluster/inventory.ts";
import { buildDomainXml } from "../../../lib/domain_xml/mod.ts";
import { HostMonitor } from "../../../lib/host/monitor.ts";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { systemClock } from "../../../lib/model/clock.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { Libc } from "../../../lib/posix/libc.ts";
import { TempDir } from "../../../tests/support/temp_dir.ts";
import { disk, SMALL_VMDEF } from "../../../tests/support/vmdef_examples.ts";
import type { LabHost } from "../../lab/host.ts";
import { RpcCounter } from "./rpc_counter.ts";

/** Definitions are made so many at a time. */
const AT_A_TIME = 4;

/** A monitor on a lab host's libvirtd, in this process, with a counter on its connections. */
export class TestBed implements AsyncDisposable {
  private constructor(
    readonly hypervisor: Hypervisor,
    readonly inventory: Inventory,
    readonly monitor: HostMonitor,
    readonly counter: RpcCounter,
    readonly resources: AsyncDisposableStack,
  ) {}

  /** Connects, and starts the monitor. */
  static async open(host: LabHost, uri: string): Promise<TestBed> {
    await using resources = new AsyncDisposableStack();
    const dir = resources.use(await TempDir.create());
    const socket = dir.at("libvirt");
    const counter = resources.use(
      await RpcCounter.start(socket, await host.path("/run/libvirt/libvirt-sock")),
    );
    const libc = resources.use(Libc.open());
    const log = silentLogger;
    const hypervisor = resources.use(await Hypervisor.open({ uri: `${uri}?socket=${socket}`, log }));
    const inventory = new Inventory();
    const options = { hypervisor, inventory, libc, domainType: "qemu", clock: systemClock, log } as const;
    const monitor = resources.use(new HostMonitor({ ...options, sampleIntervalMs: 3_600_000 }));
    await monitor.start(AbortSignal.timeout(30_000));
    return new TestBed(hypervisor, inventory, monitor, counter, resources.move());
  }

  /** Defines so many domains through virtxd's own XML, each with a disk that need not exist; their UUIDs. */
  async define(count: number): Promise<string[]> {
    const uuids: string[] = [];
    const names = Array.from({ length: count }, (_, n) => `bench${n}`).values();
    const defineAll = async () => {
      for (const name of names) uuids.push(await this.#define(name));
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, defineAll));
    return uuids;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }

  #define(name: string): Promise<string> {
    const uuid = crypto.randomUUID();
    const def = { ...SMALL_VMDEF, name, osdisk: disk(`/vms/ds/${uuid}.qcow2`) };
    return this.hypervisor.define(buildDomainXml(uuid, def, this.monitor.context(def.firmware)));
  }
}
