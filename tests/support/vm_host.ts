import { systemClock } from "../../lib/model/clock.ts";
import type { FaultHook } from "../../lib/model/fault.ts";
import { type Logger, silentLogger } from "../../lib/model/log.ts";
import { hostRecords } from "../../lib/registry/host_record.ts";
import { Journal } from "../../lib/registry/journal.ts";
import { MigrationRecords } from "../../lib/registry/migration_record.ts";
import { type DiskRecords, diskRecords, type VmRecords, vmRecords } from "../../lib/registry/ownership.ts";
import { SecretDefinitions } from "../../lib/registry/secret_definitions.ts";
import { Registry } from "../../lib/registry/registry.ts";
import { type MigrationPeers, NO_PEERS } from "../../lib/vm/migration_peers.ts";
import { VmService } from "../../lib/vm/service.ts";
import { MonitoredHost } from "./monitored_host.ts";
import { SharedStorage } from "./shared_storage.ts";
import { TempDir } from "./temp_dir.ts";
import { TestDriverHost } from "./test_driver.ts";

/** The use cases on libvirt's test driver, with real storage in a directory of its own. */
export class VmHost implements AsyncDisposable {
  private constructor(
    readonly host: MonitoredHost,
    readonly shared: SharedStorage,
    readonly registry: Registry,
    readonly journal: Journal,
    readonly secrets: SecretDefinitions,
    readonly trashSecrets: SecretDefinitions,
    readonly diskRecords: DiskRecords,
    readonly vmRecords: VmRecords,
    readonly migrations: MigrationRecords,
    readonly vms: VmService,
    readonly resources: AsyncDisposableStack,
  ) {}

  static async start(
    fault?: FaultHook,
    peers: MigrationPeers = NO_PEERS,
    log: Logger = silentLogger,
  ): Promise<VmHost> {
    await using resources = new AsyncDisposableStack();
    const libvirt = resources.use(await TestDriverHost.create([]));
    const host = resources.use(await MonitoredHost.start(libvirt.uri));
    const shared = resources.use(await SharedStorage.create());
    const { hypervisor, inventory, monitor } = host;
    const place = { tree: shared.tree, hostUuid: monitor.uuid, log };
    const registry = new Registry(place);
    const journal = new Journal({ ...place, fault });
    const secrets = new SecretDefinitions(`${resources.use(await TempDir.create()).path}/secrets`, fault);
    const trashSecrets = new SecretDefinitions(`${resources.use(await TempDir.create()).path}/secrets`);
    const records = diskRecords(place);
    const holders = vmRecords(place);
    const migrations = new MigrationRecords(place);
    const storage = shared.storage();
    const vms = resources.use(
      new VmService({
        hypervisor,
        monitor,
        inventory,
        storage,
        registry,
        journal,
        secrets,
        trashSecrets,
        diskRecords: records,
        vmRecords: holders,
        hostRecords: hostRecords(shared.tree),
        migrations,
        peers,
        clock: systemClock,
        log,
        fault,
      }),
    );
    return new VmHost(
      host,
      shared,
      registry,
      journal,
      secrets,
      trashSecrets,
      records,
      holders,
      migrations,
      vms,
      resources.move(),
    );
  }

  /** All that a change can touch: domains, registry, files; and whether the journal is empty. */
  async state(): Promise<unknown> {
    const uuids = (await this.host.hypervisor.domains()).map(({ uuid }) => uuid).sort();
    return {
      domains: Object.fromEntries((await this.host.hypervisor.definitions(uuids, String)).found),
      registry: (await this.registry.list()).sort(),
      files: await this.shared.names(),
      open: (await this.journal.list()).length,
      owned: await this.owned(),
    };
  }

  /** The disks that are recorded as a VM's. */
  async owned(): Promise<string[]> {
    const { tree } = this.shared;
    const directory = ".virtxd/disks";
    const isMissing = (await tree.missing(directory)).length > 0;
    const keys = isMissing ? [] : await tree.files.directories(tree.at(directory));
    const records = await Promise.all(keys.map((key) => this.diskRecords.read(key)));
    return records.flatMap((record) => record?.value?.path ?? []).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}
