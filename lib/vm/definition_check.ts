import type { Inventory } from "../cluster/inventory.ts";
import { CPU_MODES, FALLBACK_CPU_MODE } from "../domain_xml/build_cpu.ts";
import type { HostMonitor } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { DiskProvisioning, Firmware, NetType } from "../model/enums.ts";
import { type ErrorKind, type FieldIssue, VirtxError } from "../model/error.ts";
import { isKeptNet } from "../model/kept.ts";
import { didYouMean } from "../model/suggest.ts";
import { allDisks, type DefinitionVerdict, vcpus, type Vmdef } from "../model/vm.ts";
import type { Storage } from "../storage/storage.ts";
import type { DiskOwners } from "./disk_owners.ts";
import type { DiskUsers } from "./disk_users.ts";
import { type DiskPlan, namedDisks, planDisks, unwiped } from "./disks.ts";
import { isExclusive } from "./registered_disks.ts";

/** Why a definition cannot be: the field that is at fault, and which kind of failure that is. */
export interface DefinitionObstacle extends FieldIssue {
  readonly kind: ErrorKind;
}

/** What a {@link DefinitionChecker} asks. */
export interface DefinitionCheckerOptions {
  readonly hypervisor: Pick<Hypervisor, "activeNetworks">;
  readonly monitor: Pick<HostMonitor, "uuid" | "context" | "hasBridge">;
  readonly inventory: Pick<Inventory, "host" | "vms">;
  readonly storage: Pick<Storage, "plan" | "inspect" | "freeMiB" | "reclaimableMiB">;
  readonly diskUsers: DiskUsers;
  readonly owners: Pick<DiskOwners, "recorded">;
}

/** A definition before it is carried out. */
export interface CheckedDefinition {
  readonly plan: DiskPlan;
  /** All that is in the way; empty: it can be carried out. */
  readonly obstacles: readonly DefinitionObstacle[];
  /** What can be carried out, and may surprise: such as a VM that cannot start here. */
  readonly warnings: readonly FieldIssue[];
}

/** What this host has to say to a definition that a VM is to have, without doing anything about it. */
export class DefinitionChecker {
  readonly #o: DefinitionCheckerOptions;

  constructor(options: DefinitionCheckerOptions) {
    this.#o = options;
  }

  /**
   * Looks for all that is wrong, not only the first.
   * @param vm its UUID
   * @param old the definition that the VM has; undefined: it is a new VM
   * @param tag makes the temporary names of new disks unique
   * @param taken what other VMs have of what this one wants
   * @param duplicateName it may get the name of another VM
   * @throws VirtxError unavailable, timeout: it could not be looked at
   */
  async check(
    { vm, def, old, tag, taken, duplicateName = false }: {
      readonly vm: string;
      readonly def: Vmdef;
      readonly old: Vmdef | undefined;
      readonly tag: string;
      readonly taken: readonly FieldIssue[];
      readonly duplicateName?: boolean | undefined;
    },
  ): Promise<CheckedDefinition> {
    const [{ plan, obstacles }, free, networks] = await Promise.all([
      planDisks(this.#o.storage, def, old, tag),
      this.#o.storage.freeMiB(),
      this.#networks(def),
    ]);
    const room = await this.#room(plan, def, free);
    const here = new Set(taken.map(({ field }) => field));
    const elsewhere = (await this.taken(vm, def, old, plan)).filter(({ field }) => !here.has(field));
    const others = [...taken.map((issue) => ({ ...issue, kind: "conflict" as const })), ...elsewhere];
    const known = new Set(others.map(({ field }) => field));
    return {
      plan,
      obstacles: [
        ...(duplicateName || def.name === old?.name ? [] : this.#namesakes(vm, def)),
        ...others,
        ...obstacles.filter(({ field }) => !known.has(field)), // that it is another's says why
        ...room.obstacles,
        ...this.#platform(def, old),
      ],
      warnings: [...this.#capacity(def), ...networks, ...room.warnings, ...unwipedLuns(def, old)],
    };
  }

  /** Other VMs of that name, as far as this host knows. No lock is taken on names: of two at one instant both may be made. */
  *#namesakes(vm: string, { name }: Vmdef): Generator<DefinitionObstacle> {
    const { inventory } = this.#o;
    for (const other of inventory.vms()) {
      if (other.name !== name || other.uuid === vm) continue;
      const host = inventory.host(other.host)?.def.name ?? other.host;
      const message =
        `VM ${other.uuid} on host "${host}" has that name; choose another one, or allow both to have it: ` +
        "?duplicate_name=allow, virtx: --allow-duplicate-name";
      return yield { kind: "duplicate", field: "vmdef.name", message };
    }
  }

  /** Room that is not there now may still be made, by taking out of the trash what could be restored. */
  async #room(plan: DiskPlan, def: Vmdef, free: number | undefined): Promise<Room> {
    const room = storageRoom(plan, def, free);
    if (room.obstacles.length === 0 || free === undefined) return room;
    return storageRoom(plan, def, free + await this.#o.storage.reclaimableMiB());
  }

  /**
   * Disks that the VM does not have yet, which VMs of other hosts have, or one of this host may have; those that are to be made,
   * by their records alone.
   */
  async #usedElsewhere(
    vm: string,
    def: Vmdef,
    old: Vmdef | undefined,
    { provision }: DiskPlan,
  ): Promise<readonly FieldIssue[]> {
    const had = new Set(old === undefined ? [] : allDisks(old).map(({ path }) => path));
    const made = new Set(provision.map(({ disk }) => disk.path));
    const wanted = namedDisks(def).filter(([, disk]) => isExclusive(disk) && !had.has(disk.path));
    const existing = wanted.map(([, { path }]) => path).filter((path) => !made.has(path));
    const users = await this.#o.diskUsers.users(existing, vm);
    const issues: FieldIssue[] = [];
    for (const [field, { path }] of wanted) {
      const user = users.get(path) ?? await this.#o.owners.recorded(path, vm);
      if (user === undefined) continue;
      issues.push({ field: `${field}.path`, message: `disk "${path}" is one of ${user}` });
    }
    return issues;
  }

  /** The disks that VMs of other hosts have, as obstacles: to be asked again once the records say that they are this VM's. */
  async taken(
    vm: string,
    def: Vmdef,
    old: Vmdef | undefined,
    plan: DiskPlan,
  ): Promise<readonly DefinitionObstacle[]> {
    const issues = await this.#usedElsewhere(vm, def, old, plan);
    return issues.map((issue) => ({ ...issue, kind: "conflict" }));
  }

  /** As an answer: from this host, without the plan. */
  verdict({ obstacles, warnings }: CheckedDefinition): DefinitionVerdict {
    const { monitor, inventory } = this.#o;
    return {
      host: monitor.uuid,
      name: inventory.host(monitor.uuid)?.def.name ?? monitor.uuid,
      fits: obstacles.length === 0,
      obstacles: obstacles.map(({ field, message }) => ({ field, message })),
      warnings,
    };
  }

  /** What libvirt and QEMU of this host do not know at all. */
  *#platform(def: Vmdef, old: Vmdef | undefined): Generator<DefinitionObstacle> {
    const { capabilities } = this.#o.monitor.context(def.firmware);
    if (capabilities === undefined) return; // libvirt's test driver does not tell
    const { model } = def.cpudef;
    const { knownCpuModels, firmware } = capabilities;
    const known = [...CPU_MODES, ...knownCpuModels];
    // A domain of another tool may leave it to QEMU.
    const isKnown = model === "" || model === old?.cpudef.model || known.includes(model);
    if (knownCpuModels.size > 0 && !isKnown) {
      const message = `libvirt here knows no CPU model ${JSON.stringify(model)}${didYouMean(model, known)}`;
      yield { kind: "invalid", field: "vmdef.cpudef.model", message };
    }
    if (def.firmware === Firmware.uefi && !firmware.has("efi")) {
      const message = "there is no UEFI firmware on this host; on Debian it is the package ovmf";
      yield { kind: "invalid", field: "vmdef.firmware", message };
    }
  }

  /** What keeps the VM from starting here, now or ever; elsewhere it may well start. */
  *#capacity(def: Vmdef): Generator<FieldIssue> {
    const { monitor, inventory } = this.#o;
    const { capabilities } = monitor.context(def.firmware);
    const { model } = def.cpudef;
    const isReplaced = CPU_MODES.includes(model) && model !== FALLBACK_CPU_MODE;
    if (isReplaced && capabilities?.cpuModes.has(model) === false) {
      const message = `this host cannot give a guest the CPU ${model}: here it gets ${FALLBACK_CPU_MODE}`;
      yield { field: "vmdef.cpudef.model", message };
    }
    if (capabilities?.knownCpuModels.has(model) && !capabilities.cpuModels.has(model)) {
      const message = `it cannot start here: this host's processor lacks what ${model} has`;
      yield { field: "vmdef.cpudef.model", message };
    }
    const maxVcpus = capabilities?.maxVcpus ?? 0;
    if (maxVcpus > 0 && vcpus(def.cpudef) > maxVcpus) {
      const message =
        `it cannot start here: ${vcpus(def.cpudef)} virtual CPUs are more than the ${maxVcpus} ` +
        `that ${capabilities?.machine} can have`;
      yield { field: "vmdef.cpudef", message };
    }
    const resources = inventory.host(monitor.uuid)?.resources;
    const resource = def.memory.hp ? resources?.hp : resources?.memory;
    if (resource === undefined) return;
    const { total, availablevms } = resource;
    const what = def.memory.hp ? "hugepages" : "memory";
    if (def.memory.total > total) {
      const message = `it can never start here: this host has ${total} MiB of ${what} in all`;
      yield { field: "vmdef.memory.total", message };
    } else if (def.memory.total > availablevms) {
      const message = `this host has only ${Math.max(0, availablevms)} MiB of ${what} left for VMs now`;
      yield { field: "vmdef.memory.total", message };
    }
  }

  async #networks({ nets }: Vmdef): Promise<readonly FieldIssue[]> {
    const { hypervisor, monitor } = this.#o;
    const named = nets.some(({ nettype }) => nettype === NetType.network);
    const active = named ? await hypervisor.activeNetworks() : [];
    return nets.flatMap((net, index) => {
      if (isKeptNet(net)) return []; // libvirt will say
      const { name, nettype } = net;
      const isBridge = nettype === NetType.bridge;
      if (isBridge ? monitor.hasBridge(name) : active.includes(name)) return [];
      const missing = isBridge ? `there is no bridge "${name}"` : `libvirt has no active network "${name}"`;
      return [{
        field: `vmdef.nets[${index}].name`,
        message: `it cannot start here: ${missing} on this host`,
      }];
    });
  }
}

/** What stands against new disks for want of room. */
interface Room {
  readonly obstacles: readonly DefinitionObstacle[];
  readonly warnings: readonly FieldIssue[];
}

/** What new disks need of the storage: thick ones at once, thin ones in time. */
function storageRoom({ provision }: DiskPlan, def: Vmdef, free: number | undefined): Room {
  const none = { obstacles: [], warnings: [] };
  if (free === undefined) return none;
  const made = new Set(provision.map(({ disk }) => disk.path));
  const disks = namedDisks(def).filter(([, { path }]) => made.has(path));
  const thick = disks.filter(([, { prov }]) => prov === DiskProvisioning.thick);
  const sum = (of: typeof disks) => of.reduce((total, [, { size }]) => total + size, 0);
  const [first] = thick.length > 0 && sum(thick) > free ? thick : disks;
  if (first === undefined) return none;
  const field = `${first[0]}.size`;
  if (sum(thick) > free) {
    const message = `${
      sum(thick)
    } MiB are to be written at once (thick), and ${free} MiB are free below /vms/ds`;
    return { obstacles: [{ kind: "storage", field, message }], warnings: [] };
  }
  if (sum(disks) <= free) return none;
  const message = `${sum(disks)} MiB may be written in time (thin), and ${free} MiB are free below /vms/ds`;
  return { obstacles: [], warnings: [{ field, message }] };
}

/** The prototype wipes a new LUN that has a prov. */
function unwipedLuns(def: Vmdef, old: Vmdef | undefined): readonly FieldIssue[] {
  const before = new Set(old === undefined ? [] : allDisks(old).map(({ path }) => path));
  return namedDisks(def).flatMap(([field, disk]) => {
    const message = before.has(disk.path) || disk.prov === DiskProvisioning.none
      ? undefined
      : unwiped([disk]);
    return message === undefined ? [] : [{ field: `${field}.prov`, message }];
  });
}

/** @throws VirtxError for all obstacles; its kind is that of the first */
export function requireNone(obstacles: readonly DefinitionObstacle[], verb: string): void {
  const [first, ...others] = obstacles;
  if (first === undefined) return;
  const why = others.length === 0 ? first.message : `for ${obstacles.length} reasons`;
  const issues = obstacles.map(({ field, message }) => ({ field, message }));
  const separator = others.length === 0 ? ": " : " ";
  throw new VirtxError(first.kind, `Cannot ${verb}${separator}${why}`, { issues });
}
