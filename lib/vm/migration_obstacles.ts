import { resourceLoad } from "../cluster/placement.ts";
import type { Host } from "../model/host.ts";
import type { MigrationObstacle, MigrationVerdict } from "../model/vm.ts";
import type { TargetCheck } from "./migration_exchange.ts";

/**
 * The classes of obstacles to a migration, by the word that stays the same. Those up to `overloaded` are found without the
 * target, the others by the target itself.
 */
export const OBSTACLES = {
  unknown: "there is no such host",
  inactive: "the host is not alive",
  same: "the VM is there already",
  prototype:
    "the host runs the prototype, whose libvirt tells only part (soft: it is taken if it is named, or if no other can take the VM)",
  address: "the libvirt at the host's address is another host's",
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

/** Collects what is in the way. */
export class Obstacles {
  readonly found: MigrationObstacle[] = [];

  /** Adds the obstacle unless it is none; whether it is none. */
  unless(passed: boolean, code: ObstacleCode, message: string): boolean {
    if (!passed) this.found.push({ code, message });
    return passed;
  }

  /** Adds what keeps nobody from trying. */
  warn(code: ObstacleCode, message: string): void {
    this.found.push({ code, message, soft: true });
  }
}

/** What a host says to a VM, by the room that it has, as far as is known, and by what was found beside that. */
export function verdictOf(
  host: Host | undefined,
  uuid: string,
  request: TargetCheck,
  obstacles: Obstacles,
): MigrationVerdict {
  const resource = request.hugepages ? host?.resources.hp : host?.resources.memory;
  const available = resource?.availablevms ?? 0;
  obstacles.unless(
    available >= request.memoryMiB,
    request.hugepages ? "hugepages" : "memory",
    `${request.memoryMiB} MiB are needed and ${available} MiB available`,
  );
  return {
    host: uuid,
    name: host?.def.name ?? uuid,
    fits: obstacles.found.every(({ soft }) => soft),
    obstacles: obstacles.found,
    load: host === undefined ? 0 : resourceLoad(host.resources, request),
  };
}
