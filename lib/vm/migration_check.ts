import type { Inventory } from "../cluster/inventory.ts";
import { resourceLoad } from "../cluster/placement.ts";
import {
  type GuestCapabilities,
  parseCapabilities,
  parseDomainCapabilities,
  parseOfferedDevices,
} from "../domain_xml/mod.ts";
import type { HostMonitor } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { NetType } from "../model/enums.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import { IMAGES_ROOT, isBelow } from "../model/paths.ts";
import type { MigrationObstacle, MigrationVerdict } from "../model/vm.ts";
import type { Storage } from "../storage/storage.ts";
import type { DiskOwners } from "./disk_owners.ts";
import type { DiskUsers } from "./disk_users.ts";
import type { TargetCheck } from "./migration_exchange.ts";

/**
 * The classes of obstacles to a migration, by the word that stays the same. Those up to `overloaded` are found without the
 * target, the others by the target itself.
 */
export const OBSTACLES = {
  unknown: "there is no such host",
  inactive: "the host is not alive",
  same: "the VM is there already",
  prototype: "the host runs the prototype, which cannot be asked",
  unreachable: "the host does not answer",
  libvirt: "its libvirt cannot be reached by that of the VM's host",
  ports: "the ports for the memory of guests do not answer (soft: qemu.conf may have others)",
  device: "the VM has a device that ties it to its host, or what its host alone keeps of it",
  overloaded: "the host is busy as it is (soft: it is taken if it is named, or if no other can take the VM)",
  away: "its libvirt is away",
  defined: "a VM with that UUID, or with its name in libvirt, is there already",
  arch: "another architecture",
  domain_type: "it lacks KVM, or another hypervisor",
  machine: "its QEMU lacks the machine type",
  emulator: "QEMU is elsewhere there",
  qemu_version: "its QEMU is older, so that it cannot go on with what this one began",
  firmware: "it lacks UEFI firmware",
  lacking: "its QEMU or libvirt lacks what a device of the VM needs",
  vcpus: "more virtual CPUs than the machine type has there",
  cpu: "its processor lacks what the guest has been shown",
  memory: "too little memory",
  hugepages: "too few hugepages",
  storage: "its shared storage is another one, or is not there",
  disk_missing: "a disk is not visible there, or not allowed",
  disk_other: "another file or device has the disk's path there",
  disk_size: "a disk has another size there",
  disk_taken: "another VM has the disk",
  network: "a libvirt network is missing or inactive",
  bridge: "a bridge is missing",
} as const;

export type ObstacleCode = keyof typeof OBSTACLES;

/** What a {@link TargetChecker} asks. */
export interface TargetCheckerOptions {
  readonly hypervisor: Pick<
    Hypervisor,
    "capabilities" | "domains" | "hypervisorVersion" | "domainCapabilities" | "compareCpu" | "activeNetworks"
  >;
  readonly monitor: Pick<HostMonitor, "uuid" | "hasBridge">;
  readonly inventory: Pick<Inventory, "host">;
  readonly storage: Pick<Storage, "id" | "identify" | "refusal">;
  /** Of this host alone: those of others are the source's to know. */
  readonly localDisks: DiskUsers;
  readonly owners: Pick<DiskOwners, "recorded">;
}

/** Collects what is in the way. */
class Obstacles {
  readonly found: MigrationObstacle[] = [];

  /** Adds the obstacle unless it is none; whether it is none. */
  unless(passed: boolean, code: ObstacleCode, message: string): boolean {
    if (!passed) this.found.push({ code, message });
    return passed;
  }
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
      const guest = await this.#platform(request, obstacles);
      await Promise.all([
        this.#unique(request, obstacles),
        guest && this.#machine(request, guest, obstacles),
        this.#networks(request, obstacles),
        this.#storage(request, obstacles),
        ...request.disks.map((disk) => this.#disk(disk, obstacles)),
        this.#disksFree(request, obstacles),
      ]);
    } catch (error) {
      if (!(error instanceof VirtxError)) throw error;
      obstacles.unless(false, "away", errorMessage(error));
    }
    const here = inventory.host(monitor.uuid);
    const resource = request.hugepages ? here?.resources.hp : here?.resources.memory;
    const available = resource?.availablevms ?? 0;
    obstacles.unless(
      available >= request.memoryMiB,
      request.hugepages ? "hugepages" : "memory",
      `${request.memoryMiB} MiB are needed and ${available} MiB available`,
    );
    return {
      host: monitor.uuid,
      name: here?.def.name ?? monitor.uuid,
      fits: obstacles.found.length === 0,
      obstacles: obstacles.found,
      load: here === undefined ? 0 : resourceLoad(here.resources, request),
    };
  }

  /** Whether this host runs guests of that kind at all; what it offers them. */
  async #platform(request: TargetCheck, obstacles: Obstacles): Promise<GuestCapabilities | undefined> {
    const { arch, domainType, machine } = request;
    const { guests } = parseCapabilities(await this.#o.hypervisor.capabilities());
    const guest = guests.find((candidate) => candidate.arch === arch);
    if (guest === undefined) {
      obstacles.unless(false, "arch", `guests of architecture ${arch} cannot run here`);
      return undefined;
    }
    const typed = obstacles.unless(
      guest.domainTypes.includes(domainType),
      "domain_type",
      `domains of type ${domainType} cannot run here, but ${guest.domainTypes.join(", ")}`,
    );
    const known = obstacles.unless(
      machine === "" || guest.machines.has(machine),
      "machine",
      `this QEMU has no machine type ${machine}`,
    );
    return typed && known ? guest : undefined;
  }

  async #unique({ vm, name }: TargetCheck, obstacles: Obstacles): Promise<void> {
    const known = await this.#o.hypervisor.domains();
    const namesake = known.find((other) => other.uuid !== vm && other.name === name);
    obstacles.unless(
      namesake === undefined,
      "defined",
      `libvirt here has another VM of the name "${name}" (${namesake?.uuid}); rename one of them (virsh domrename)`,
    );
    obstacles.unless(known.every(({ uuid }) => uuid !== vm), "defined", `VM ${vm} is known to libvirt here`);
  }

  /** What the machine type offers here, and the processor. */
  async #machine(request: TargetCheck, guest: GuestCapabilities, obstacles: Obstacles): Promise<void> {
    const { hypervisor } = this.#o;
    const { arch, machine, domainType, emulator, live, cpu } = request;
    if (machine === "") return; // libvirt's test driver, which knows neither machine types nor processors
    if (live) {
      const qemu = await hypervisor.hypervisorVersion();
      const older = minor(qemu) < minor(request.qemuVersion);
      obstacles.unless(
        !older,
        "qemu_version",
        `QEMU ${dotted(qemu)} is older than ${dotted(request.qemuVersion)}`,
      );
    }
    const kind = { arch, machine, virttype: domainType, emulator: emulator || guest.emulator };
    const offered = await orRefusal(hypervisor.domainCapabilities(kind));
    if (typeof offered !== "string") {
      obstacles.unless(false, "emulator", `${kind.emulator}: ${offered.message}`);
      return;
    }
    const { firmware, maxVcpus } = parseDomainCapabilities(offered);
    obstacles.unless(!request.uefi || firmware.has("efi"), "firmware", "there is no UEFI firmware here");
    obstacles.unless(
      maxVcpus === 0 || request.vcpus <= maxVcpus,
      "vcpus",
      `${request.vcpus} virtual CPUs are more than ${machine} can have here: ${maxVcpus}`,
    );
    const devices = parseOfferedDevices(offered);
    for (const { kind, type } of request.devices ?? []) {
      obstacles.unless(
        devices.get(kind)?.has(type) ?? true,
        "lacking",
        `there is no ${kind} of type "${type}" here, for which software is missing; install it, or change the device first`,
      );
    }
    if (cpu === "") return;
    const comparison = await orRefusal(hypervisor.compareCpu(cpu, kind));
    const reason = comparison instanceof VirtxError
      ? comparison.message
      : comparison.verdict === "incompatible"
      ? comparison.reason
      : undefined;
    obstacles.unless(reason === undefined, "cpu", reason ?? "");
  }

  async #networks({ nets }: TargetCheck, obstacles: Obstacles): Promise<void> {
    const active = nets.some(({ nettype }) => nettype === NetType.network)
      ? await this.#o.hypervisor.activeNetworks()
      : [];
    for (const { name, nettype } of nets) {
      if (nettype === NetType.network) {
        obstacles.unless(active.includes(name), "network", `network "${name}" is not active here`);
      } else {
        obstacles.unless(this.#o.monitor.hasBridge(name), "bridge", `there is no bridge "${name}" here`);
      }
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

/** The answer, or why it was refused; that libvirt is away is thrown. */
async function orRefusal<T>(answer: Promise<T>): Promise<T | VirtxError> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof VirtxError) || error.kind === "unavailable" || error.kind === "timeout") {
      throw error;
    }
    return error;
  }
}

/** QEMU's version without the patch level, which says nothing about what it understands. */
function minor(version: number): number {
  return Math.trunc(version / 1_000);
}

function dotted(version: number): string {
  return [version / 1_000_000, version / 1_000, version].map((part) => Math.trunc(part) % 1_000).join(".");
}
