import { hostCpuOf, parseDomainXml, parsePlatform, type Platform } from "../domain_xml/mod.ts";
import type { KeptState } from "../libvirt/domain.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { DiskDevice, Firmware } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { isKeptNet } from "../model/kept.ts";
import { DEVICES_ROOT, IMAGES_ROOT, isBelow, seedPath } from "../model/paths.ts";
import { allDisks, vcpus } from "../model/vm.ts";
import type { Storage } from "../storage/storage.ts";
import { Seed } from "./seed.ts";
import { localVariables } from "./variables.ts";
import type { TargetCheck } from "./migration_exchange.ts";

/** A VM as other hosts are asked to take it. */
export interface MigrationRequest {
  readonly check: TargetCheck;
  /** Whether it writes to a disk that QEMU's locks do not protect from another QEMU on another host. */
  readonly unlocked: boolean;
  /** What ties it to this host, or is kept here alone, in words. */
  readonly bound: readonly string[];
  /** Whether it is started when its host is. */
  readonly autostart: boolean;
}

/**
 * Describes a VM of this host for others to check: a live one as it runs, one that is off as it is defined.
 *
 * @param definition the inactive XML
 * @throws VirtxError what libvirt or storage answer: a VM whose disks this host cannot see stays
 */
export async function describeForTarget(
  o: { readonly hypervisor: Hypervisor; readonly storage: Storage },
  uuid: string,
  definition: string,
  live: boolean,
): Promise<MigrationRequest> {
  const { hypervisor, storage } = o;
  const xml = live ? await hypervisor.liveXml(uuid) : definition;
  const { def } = parseDomainXml(xml);
  const platform = parsePlatform(xml);
  const disks = allDisks(def).filter(({ path }) => path !== "");
  const paths = [...disks.map(({ path }) => path), ...(Seed.isAttached(uuid, xml) ? [seedPath(uuid)] : [])];
  const [version, cpu, kept, variables, identities] = await Promise.all([
    qemuVersion(hypervisor),
    processorOf(hypervisor, platform, live),
    hypervisor.kept(uuid),
    live ? undefined : tiedVariables(storage, xml),
    Promise.all(paths.map(async (path) => ({ path, ...await storage.identify(path) }))),
  ]);
  return {
    check: {
      vm: uuid,
      name: platform.name,
      live,
      arch: platform.arch,
      domainType: platform.domainType,
      machine: platform.machine,
      emulator: platform.emulator,
      qemuVersion: version,
      uefi: def.firmware === Firmware.uefi,
      vcpus: vcpus(def.cpudef),
      memoryMiB: def.memory.total,
      hugepages: def.memory.hp,
      cpu,
      disks: identities,
      devices: platform.devices,
      nets: def.nets.filter((net) => !isKeptNet(net)).map(({ name, nettype }) => ({ name, nettype })),
      storage: paths.some((path) => isBelow(path, IMAGES_ROOT)) ? storage.id : undefined,
    },
    bound: [
      ...platform.bound,
      ...live ? platform.unmovable : platform.local,
      ...keptHere(kept),
      ...variables ? [variables] : [],
    ],
    autostart: kept.autostart,
    unlocked: disks.some(({ path, device }) => device !== DiskDevice.cdrom && isBelow(path, DEVICES_ROOT)),
  };
}

/** Why the UEFI variables of a VM that is off cannot go along, in words; undefined: they can. */
async function tiedVariables(storage: Storage, xml: string): Promise<string | undefined> {
  const file = localVariables(xml);
  return file === undefined ? undefined : await storage.variables.objection(file);
}

/** What libvirt leaves behind, or refuses to migrate with. */
function keptHere({ managedSave, snapshots, checkpoints }: KeptState): string[] {
  return [
    ...managedSave ? ["a saved memory; start it first, or drop that (virsh managedsave-remove)"] : [],
    ...snapshots > 0
      ? [
        `snapshots (${snapshots}), which libvirt keeps on this host; delete them first (virsh snapshot-delete)`,
      ]
      : [],
    ...checkpoints > 0
      ? [
        `checkpoints (${checkpoints}), which libvirt keeps on this host; delete them first (virsh checkpoint-delete)`,
      ]
      : [],
  ];
}

/**
 * What the target's processor has to offer. A model that is named binds always, as "host-model" has one in a guest that
 * runs. The other modes bind only such a guest: to this host's processor. But an emulated processor is QEMU's own, which
 * is compared by version.
 */
async function processorOf(hypervisor: Hypervisor, platform: Platform, live: boolean): Promise<string> {
  const { cpu, cpuMode, domainType } = platform;
  if (cpuMode === "custom") return cpu;
  return live && domainType === "kvm" ? hostCpuOf(await hypervisor.capabilities()) : "";
}

/** libvirt's test driver gives a version, too; a driver that does not is as old as can be. */
async function qemuVersion(hypervisor: Hypervisor): Promise<number> {
  try {
    return await hypervisor.hypervisorVersion();
  } catch (error) {
    if (error instanceof VirtxError && error.kind === "refused") return 0;
    throw error;
  }
}
