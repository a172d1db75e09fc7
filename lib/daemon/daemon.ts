import { createApp } from "../api/app.ts";
import { PeerClocks } from "../api/arrival.ts";
import { HttpMigrationPeers } from "../api/http_migrations.ts";
import { Listeners } from "../api/listen.ts";
import type { Readiness } from "../api/service_operations.ts";
import { Transport } from "../api/transport.ts";
import { type Cluster, untoldReason } from "../cluster/cluster.ts";
import { Inventory } from "../cluster/inventory.ts";
import { systemTimers } from "../cluster/timers.ts";
import { HostMonitor } from "../host/monitor.ts";
import { Hypervisor } from "../libvirt/hypervisor.ts";
import { inBackground } from "../model/background.ts";
import { systemClock } from "../model/clock.ts";
import { VirtxError } from "../model/error.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { SHARED_ROOT } from "../model/paths.ts";
import { within } from "../model/within.ts";
import { errnoCode } from "../posix/errno.ts";
import { Libc } from "../posix/libc.ts";
import { RemoteFiles } from "../posix/remote_files.ts";
import { Tree } from "../posix/tree.ts";
import { Journal } from "../registry/journal.ts";
import { MigrationRecords } from "../registry/migration_record.ts";
import { diskRecords, vmRecords } from "../registry/ownership.ts";
import { hostRecords } from "../registry/host_record.ts";
import { Registry } from "../registry/registry.ts";
import { SecretDefinitions } from "../registry/secret_definitions.ts";
import { StorageRoom } from "../storage/room.ts";
import { StorageMount } from "../storage/mount.ts";
import { Storage } from "../storage/storage.ts";
import { type RememberedStorage, StorageMemory } from "../storage/storage_memory.ts";
import { VmConsoles } from "../vm/consoles.ts";
import { DeletedVms } from "../vm/deleted_vms.ts";
import { DoubleDefinitions } from "../vm/double_definitions.ts";
import { KnownHosts } from "../vm/known_hosts.ts";
import { Operations } from "../vm/operations.ts";
import { MixedPeers } from "../vm/mixed_peers.ts";
import { UndefinedVms } from "../vm/undefined_vms.ts";
import { VmService } from "../vm/service.ts";
import { openCluster } from "./cluster.ts";
import { InstanceLock } from "./instance_lock.ts";
import type { LogThreshold } from "./log.ts";
import type { Config } from "./settings.ts";
import { keepMemoryLow } from "./memory.ts";
import { followFaults } from "./own_faults.ts";
import { Recovery } from "./recovery.ts";
import { socketGroup } from "./socket_group.ts";
import { step } from "./start_failure.ts";
import { keepStorageTidy } from "./tidy_storage.ts";
import { haltingFault, type TestHooks } from "./test_hooks.ts";

const RUN_DIRECTORY = "/run/virtxd";
/** What outlasts a reboot; lib/cli/serve_help.ts names what is in it. */
const STATE_DIRECTORY = "/var/lib/virtxd";
/** With its full path, as the executable may run nothing else. */
const QEMU_IMG = "/usr/bin/qemu-img";
/** Whoever starts virtxd: other programs, such as QEMU, have to find their way through its directories. */
const UMASK = 0o022;
const HOUR_MS = 3_600_000;
/** How long letting go of libvirt may take when all work is done. */
const RELEASE_TIMEOUT_MS = 5_000;

export interface DaemonOptions {
  readonly config: Config;
  readonly version: string;
  readonly log: Logger;
  readonly logLevel: LogThreshold;
  /** Where all parts report faults that last; /readyz tells them. */
  readonly health: Health;
  readonly hooks: TestHooks;
  /** Gives the start up. */
  readonly signal: AbortSignal;
}

/** All parts of virtxd put together: the only place that knows them all. */
export class Daemon {
  readonly #listeners: Listeners;
  readonly #vms: VmService;
  /** Everything that is held, in the order in which it was taken. */
  readonly #held: AsyncDisposableStack;

  private constructor(listeners: Listeners, vms: VmService, held: AsyncDisposableStack) {
    this.#listeners = listeners;
    this.#vms = vms;
    this.#held = held;
  }

  /**
   * Returns once all requests can be served.
   * @throws StartFailure when something that virtxd stands on is not there
   */
  static async start(
    { config, version, log, logLevel, health, hooks, signal }: DaemonOptions,
  ): Promise<Daemon> {
    await using held = new AsyncDisposableStack();
    const clock = systemClock;
    const root = hooks.root ?? SHARED_ROOT;
    const fault = haltingFault(hooks, log);

    const files = held.use(new RemoteFiles({ root, worker: startFilesWorker, health, log }));
    const tree = new Tree(root, files);
    const libc = held.use(await step("virtxd runs on Linux with glibc", () => Libc.open()));
    libc.setUmask(UMASK);
    const inventory = new Inventory();
    const nameOf = (uuid: string) => `VM "${inventory.vm(uuid)?.name ?? uuid}"`;
    const hypervisor = held.use(
      await step(
        "is libvirtd running (systemctl start libvirtd)? Another hypervisor can be named by --libvirt-uri",
        () => Hypervisor.open({ uri: config.libvirtUri, log, clock, health, nameOf }),
      ),
    );

    const monitor = held.use(
      new HostMonitor({
        hypervisor,
        inventory,
        libc,
        domainType: config.domainType,
        health,
        sampleIntervalMs: config.sampleInterval,
        clock,
        log,
      }),
    );
    await step(
      "libvirt is there, but does not answer as expected; see its own log",
      () => monitor.start(signal),
    );
    const hostUuid = monitor.uuid;
    held.use(
      await step(
        `virtxd keeps its lock and socket in ${RUN_DIRECTORY}, which takes root`,
        () => InstanceLock.take(hooks.root ?? RUN_DIRECTORY, hostUuid),
      ),
    );

    const memory = new StorageMemory(
      hooks.root ? `${hooks.root}/${hostUuid}.storage` : `${STATE_DIRECTORY}/storage.json`,
    );
    const remembered = await step(`can root read and write ${STATE_DIRECTORY}?`, () => memory.read());
    await step(
      "is the shared storage mounted at /vms? On new storage, and on a host on its own: mkdir -p /vms/ds",
      () => requireStorage(tree, remembered),
    );
    signal.throwIfAborted();

    const transport = held.use(new Transport({ clocks: new PeerClocks() }));
    const cluster = await openCluster(held, {
      config,
      inventory,
      hostUuid,
      transport,
      directory: hooks.root ?? RUN_DIRECTORY,
      clock,
      log,
      health,
      signal,
    });

    const mount = held.use(
      new StorageMount({
        root,
        host: inventory.host(hostUuid)?.def.name ?? hostUuid,
        files,
        restrictWrites: (to) => files.restrictWrites(to),
        memory,
        told: () => cluster.toldStorages(),
        tell: (id) => inBackground(cluster.tellStorage(id)),
        clock,
        health,
        log,
      }),
    );
    const recovery = held.use(new Recovery(mount, health, log));
    const storage = new Storage({
      libc,
      tree,
      hostUuid,
      mount: recovery,
      blockDevices: config.blockDevices,
      qemuImg: QEMU_IMG,
      concurrency: config.provisionConcurrency,
      timeoutMs: config.provisionTimeout,
      trashMs: config.trashHours * HOUR_MS,
      log,
      health,
      fault,
    });
    const room = new StorageRoom(() => storage.freeMiB(), clock);
    const registry = new Registry({ tree, hostUuid, fault });
    const journal = new Journal({ tree, hostUuid, log, health, fault });
    const migrations = new MigrationRecords({ tree, hostUuid, log, health, fault });
    const operations = held.use(
      await step(
        `can ${RUN_DIRECTORY} be written?`,
        () =>
          Operations.open(
            { host: hostUuid, clock, log },
            `${hooks.root ?? RUN_DIRECTORY}/${hostUuid}.operations`,
          ),
      ),
    );
    const disksOwned = diskRecords({ tree, fault });
    const vmsHeld = vmRecords({ tree, fault });
    const hostsKnown = hostRecords(tree);
    const secretsIn = (name: string) =>
      hooks.root ? `${hooks.root}/${hostUuid}.${name}` : `${STATE_DIRECTORY}/${name}`;
    const trashSecrets = new SecretDefinitions(secretsIn("trash-secrets"));
    const vms = held.use(
      new VmService({
        hypervisor,
        monitor,
        inventory,
        storage,
        registry,
        journal,
        secrets: new SecretDefinitions(secretsIn("secrets"), fault),
        trashSecrets,
        diskRecords: disksOwned,
        vmRecords: vmsHeld,
        hostRecords: hostsKnown,
        migrations,
        peers: new MixedPeers({
          peers: new HttpMigrationPeers({ cluster, transport }),
          hypervisor,
          inventory,
          hear: (event) => cluster.hearFor(event),
        }),
        clock,
        log,
        fault,
      }),
    );
    held.use(files.onReturn(() => vms.storageReturned()));
    held.use(mount.onReturn(() => vms.storageReturned()));
    await step(`can ${root} be read and written?`, () =>
      recovery.begin(async () => {
        await files.whileAnswering(vms.recover());
        await operations.settle((operation, control) => vms.takeUp(operation, control));
      }));
    signal.throwIfAborted();

    const hosts = held.use(
      new KnownHosts({
        cluster,
        inventory,
        records: hostsKnown,
        registry,
        self: hostUuid,
        refusal: () => storage.refusal(),
        timers: systemTimers,
        log,
      }),
    );
    const deleted = new DeletedVms({
      trash: storage.trash,
      inventory,
      registry,
      settle: (vm) => vms.settle(vm),
      users: (paths) => vms.diskUsers(paths),
      define: (vm, xml, secretXml) => vms.redefine(vm, xml, secretXml),
      secrets: trashSecrets,
      openChanges: () => vms.openChanges(),
      log,
    });
    const api = createApp({
      vms,
      hosts,
      operations,
      trash: deleted,
      arrivals: vms,
      consoles: new VmConsoles({ hypervisor, monitor, inventory }),
      inventory,
      hostUuid,
      cluster,
      transport,
      storage: files,
      provisionTimeoutMs: config.provisionTimeout,
      version,
      stale: () => monitor.staleSince,
      storageMiB: () => room.mib(),
      readiness: () => readiness({ hypervisor, monitor, cluster, health }),
      logLevel,
      clock,
      log,
    });
    const group = await step(
      "groupadd --system makes one, and usermod --append --groups puts people into it",
      () => socketGroup(config),
    );
    const addresses = [...config.listen, ...(config.socket === null ? [] : [{ path: config.socket, group }])];
    const listeners = held.use(
      await step(
        `ss -ltnxp shows who listens where, ip address the addresses of this host; a socket has to be below ${RUN_DIRECTORY}`,
        () => Listeners.open(api, addresses, { health, log }),
      ),
    );
    await step(
      "the Serf agent is there, but does not answer as expected; see its own log",
      () => cluster.start(),
    );
    if (config.serfRpc !== null) hosts.start();
    held.use(
      followFaults([
        { part: "libvirt", isAway: () => !hypervisor.connected || monitor.staleSince !== undefined },
        { part: "storage", isAway: () => (files.refusal() ?? mount.refusal) !== undefined },
      ], (faults) => cluster.tellFaults(faults)),
    );
    held.use(keepStorageTidy({ storage, deleted, records: [disksOwned, vmsHeld], log }));
    held.use(keepMemoryLow(libc));
    const hostName = (uuid: string) => inventory.host(uuid)?.def.name ?? uuid;
    held.use(new DoubleDefinitions({ inventory, monitor, health, hostName, timers: systemTimers, log }));
    held.use(
      new UndefinedVms({
        inventory,
        monitor,
        registry,
        isOpen: (vm) => vms.isOpen(vm),
        unsure: () => cluster.unsure ?? hosts.unsure,
        refusal: () => storage.refusal(),
        hostName,
        health,
        clock,
        timers: systemTimers,
        log,
      }),
    );
    return new Daemon(listeners, vms, held.move());
  }

  /** Where requests are served, with the ports that the system chose. */
  get addresses(): readonly string[] {
    return this.#listeners.addresses;
  }

  /**
   * Accepts no more requests, lets those that are open and all operations come to their end, and lets go of everything.
   * What the deadline cuts off, the next start settles from the journal.
   * @returns whether all came to its end in time
   */
  async stop(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    const answered = await this.#listeners.close(timeoutMs);
    const done = await within(Math.max(0, deadline - performance.now()), this.#vms[Symbol.asyncDispose]());
    if (!done) return false;
    const released = await within(RELEASE_TIMEOUT_MS, this.#held.disposeAsync());
    return answered && released;
  }
}

function readiness({ hypervisor, monitor, cluster, health }: {
  readonly hypervisor: Hypervisor;
  readonly monitor: HostMonitor;
  readonly cluster: Cluster;
  readonly health: Health;
}): Readiness {
  const { conditions } = health;
  const reasons = conditions.filter(({ blocking }) => blocking).map(({ reason }) => reason);
  if (hypervisor.stuck) reasons.push("libvirt answers no call that changes a VM");
  if (!hypervisor.connected) reasons.push("libvirt is away");
  else if (monitor.staleSince !== undefined) reasons.push("catching up with libvirt");
  const degraded = conditions.filter(({ blocking }) => !blocking).map(({ reason }) => reason);
  if (!cluster.caughtUp) reasons.push(`catching up with the other hosts: ${cluster.unsure ?? "soon done"}`);
  else if (cluster.untold.length > 0) degraded.push(untoldReason(cluster.untold));
  return { ready: reasons.length === 0, reasons, degraded };
}

/** On a host that never had storage; one that had knows what to expect, see StorageMount. */
async function requireStorage(tree: Tree, remembered: RememberedStorage | undefined): Promise<void> {
  const found = await tree.files.lstat(tree.at("ds")).catch((error) => {
    if (remembered && errnoCode(error) !== undefined) return undefined;
    throw error;
  });
  if (!found?.isDirectory && !remembered) {
    throw new VirtxError("unavailable", `the shared storage has no directory ${tree.at("ds")}`);
  }
}

/** The program itself, which main.ts has serve files where it finds itself in a Worker. */
function startFilesWorker(): Worker {
  return new Worker(Deno.mainModule, { type: "module", name: "storage" });
}
