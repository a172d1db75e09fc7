import type { Inventory } from "../cluster/inventory.ts";
import type { HostMonitor } from "../host/monitor.ts";
import { NetType } from "../model/enums.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import { IMAGES_ROOT, isBelow } from "../model/paths.ts";
import type { MigrationVerdict } from "../model/vm.ts";
import type { Storage } from "../storage/storage.ts";
import type { DiskOwners } from "./disk_owners.ts";
import type { DiskUsers } from "./disk_users.ts";
import { type AskedLibvirt, checkLibvirt, orRefusal } from "./libvirt_check.ts";
import type { TargetCheck } from "./migration_exchange.ts";
import { Obstacles, verdictOf } from "./migration_obstacles.ts";

/** What a {@link TargetChecker} asks. */
export interface TargetCheckerOptions {
  readonly hypervisor: AskedLibvirt;
  readonly monitor: Pick<HostMonitor, "uuid" | "hasBridge">;
  readonly inventory: Pick<Inventory, "host">;
  readonly storage: Pick<Storage, "id" | "identify" | "refusal">;
  /** Of this host alone: those of others are the source's to know. */
  readonly localDisks: DiskUsers;
  readonly owners: Pick<DiskOwners, "recorded">;
}

/**
 * This host as the target of a migration: whether a VM could be here as it is there. Each thing is asked of who decides in
 * the end: libvirt compares processors, the kernel knows bridges, and storage whether a path leads to the same file.
 */
export class TargetChecker {
  readonly #o: TargetCheckerOptions;

  constructor(options: TargetCheckerOptions) {
    this.#o = options;
  }

  /** All that is in the way, not only the first. Throws only on defects: what cannot be asked is an obstacle. */
  async check(request: TargetCheck): Promise<MigrationVerdict> {
    const { monitor, inventory } = this.#o;
    const obstacles = new Obstacles();
    try {
      this.#bridges(request, obstacles);
      await Promise.all([
        checkLibvirt(this.#o.hypervisor, request, obstacles),
        this.#storage(request, obstacles),
        ...request.disks.map((disk) => this.#disk(disk, obstacles)),
        this.#disksFree(request, obstacles),
      ]);
    } catch (error) {
      if (!(error instanceof VirtxError)) throw error;
      obstacles.unless(false, "away", errorMessage(error));
    }
    return verdictOf(inventory.host(monitor.uuid), monitor.uuid, request, obstacles);
  }

  #bridges({ nets }: TargetCheck, obstacles: Obstacles): void {
    for (const { name, nettype } of nets) {
      const there = nettype === NetType.network || this.#o.monitor.hasBridge(name);
      obstacles.unless(there, "bridge", `there is no bridge "${name}" here`);
    }
  }

  /** Two file systems may well give one inode number to the same path, so these have to be the same. */
  async #storage({ storage: theirs, disks }: TargetCheck, obstacles: Obstacles): Promise<void> {
    const { storage } = this.#o;
    if (!disks.some(({ path }) => isBelow(path, IMAGES_ROOT))) return;
    const refusal = await storage.refusal();
    obstacles.unless(refusal === undefined, "storage", refusal?.message ?? "");
    const same = theirs === undefined || storage.id === undefined || theirs === storage.id;
    obstacles.unless(
      same,
      "storage",
      `the storage at /vms is another one here (${storage.id}, not ${theirs})`,
    );
  }

  /**
   * The same path is not yet the same disk: a directory of that name on a local file system is found out by the inode,
   * which is a file's own wherever shared storage is mounted.
   */
  async #disk(disk: TargetCheck["disks"][number], obstacles: Obstacles): Promise<void> {
    const { path } = disk;
    const here = await orRefusal(this.#o.storage.identify(path));
    if (here instanceof VirtxError) {
      obstacles.unless(false, "disk_missing", here.message);
      return;
    }
    const same = obstacles.unless(
      here.identity === disk.identity,
      "disk_other",
      `disk "${path}" is another one here (${here.identity || "unknown"}, not ${disk.identity || "unknown"})`,
    );
    if (same) {
      obstacles.unless(
        here.sizeMiB === disk.sizeMiB,
        "disk_size",
        `disk "${path}" has ${here.sizeMiB} MiB here, not ${disk.sizeMiB}`,
      );
    }
  }

  /** No disk is one of another VM. */
  async #disksFree({ vm, disks }: TargetCheck, obstacles: Obstacles): Promise<void> {
    const { localDisks, owners } = this.#o;
    const paths = disks.map(({ path }) => path);
    const users = await localDisks.users(paths, vm);
    for (const path of paths) {
      const user = users.get(path) ?? await owners.recorded(path, vm);
      obstacles.unless(user === undefined, "disk_taken", `disk "${path}" is one of ${user}`);
    }
  }
}
