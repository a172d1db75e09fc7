import { HostState } from "../model/enums.ts";
import type { Host, Hostresource, Hostresources } from "../model/host.ts";
import type { MigrationVerdict } from "../model/vm.ts";
import type { HostEntry } from "./inventory.ts";

/** What a VM will take of a host. */
export interface Demand {
  readonly memoryMiB: number;
  readonly hugepages: boolean;
  readonly vcpus: number;
}

/** A host that is this loaded, of memory or CPU, is chosen only if there is no other. */
const OVERLOADED = 0.95;

/** So many hosts are asked whether they can take a VM; in a large cluster one of the roomiest will do. */
const ASKED = 16;

/**
 * How loaded a host would be with a VM more: the greater of its shares of memory and of CPU that are promised or in use
 * (protocol.md §5: reserved by VMs and used by the host itself). What is not known does not count.
 */
export function resourceLoad({ memory, hp, cpu }: Hostresources, { memoryMiB, hugepages }: Demand): number {
  const load = Math.max(
    share(memory, hugepages ? 0 : memoryMiB),
    hugepages ? share(hp, memoryMiB) : 0,
    cpu.total > 0 ? (cpu.usedos + cpu.usedvms) / cpu.total : 0,
  );
  return Math.round(load * 1_000) / 1_000;
}

/** Whether another host should be chosen, if one can take the VM. */
export function isOverloaded(load: number): boolean {
  return load > OVERLOADED;
}

/**
 * The hosts worth asking, those with the most room first: active and in order, of that architecture, with enough memory as far as is
 * known. Each decides for itself, and knows its own figures best; then {@link compareVerdicts} chooses.
 */
export function candidates(
  hosts: Iterable<HostEntry>,
  self: string,
  arch: string,
  demand: Demand,
): readonly Host[] {
  const room = ({ resources }: Host) =>
    (demand.hugepages ? resources.hp : resources.memory).availablevms - demand.memoryMiB;
  return [...hosts]
    .filter((host) =>
      host.uuid !== self && host.cstate === HostState.active && !host.conditions?.length &&
      host.def.cpuarch.arch === arch &&
      room(host) >= 0
    )
    .sort((a, b) => room(b) - room(a) || byUuid(a.uuid, b.uuid))
    .slice(0, ASKED);
}

/**
 * The order in which hosts are chosen: who fits, hosts of the prototype last, then the least loaded, then by UUID, so that the same
 * cluster chooses the same.
 */
export function compareVerdicts(a: MigrationVerdict, b: MigrationVerdict): number {
  return Number(b.fits) - Number(a.fits) || Number(isPrototype(a)) - Number(isPrototype(b)) ||
    a.load - b.load || byUuid(a.host, b.host);
}

function isPrototype({ obstacles }: MigrationVerdict): boolean {
  return obstacles.some(({ code }) => code === "prototype");
}

function share({ total, reservedvms, usedos }: Hostresource, addedMiB: number): number {
  return total > 0 ? (reservedvms + usedos + addedMiB) / total : 0;
}

function byUuid(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
