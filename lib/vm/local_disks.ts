import { setTimeout as delay } from "node:timers/promises";
import type { Inventory } from "../cluster/inventory.ts";
import { escapeXml } from "../domain_xml/element.ts";
import { ifReadable } from "../domain_xml/if_readable.ts";
import { heldDisks } from "../domain_xml/writable_disks.ts";
import type { LocalDomain } from "../host/monitor.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import { Runstate } from "../model/enums.ts";
import { errorMessage, VirtxError } from "../model/error.ts";
import type { DiskUsers } from "./disk_users.ts";

/** How long, and how often, a guest is asked about again that libvirt does not tell of, for it may be busy for a moment. */
const PATIENCE_MS = 5_000, PAUSE_MS = 250;

/** What {@link LocalDisks} asks. */
export interface LocalDisksOptions {
  readonly hypervisor: Pick<Hypervisor, "domains" | "definitions" | "liveXml">;
  readonly monitor: { domain(uuid: string): Pick<LocalDomain, "runstate" | "arriving"> | undefined };
  readonly inventory: Pick<Inventory, "vm">;
  /** How long a guest is asked about again that libvirt does not tell of; 5 s. */
  readonly patienceMs?: number;
}

/**
 * Which VMs of this host have a disk, as libvirt says at this moment: by their definitions, which other tools change without an
 * event, and by what runs, which may have more disks than its definition. All are read, so this is for what is seldom: to take
 * a disk that exists, and to delete one.
 */
export class LocalDisks implements DiskUsers {
  readonly #o: LocalDisksOptions;

  constructor(options: LocalDisksOptions) {
    this.#o = options;
  }

  /**
   * Those of the disks that another VM of this host keeps from others, each with whose it is, in words. A guest about which
   * libvirt does not answer may have any of them; but of one that arrives, the host that it comes from has them on record.
   * @param except the VM that wants them
   * @throws VirtxError what libvirt answers
   */
  async users(paths: readonly string[], except: string): Promise<ReadonlyMap<string, string>> {
    const users = new Map<string, string>();
    if (paths.length === 0) return users;
    const { hypervisor } = this.#o;
    const vms = (await hypervisor.domains()).map(({ uuid }) => uuid).filter((uuid) => uuid !== except);
    const texts = paths.map((path) => [path, escapeXml(path)] as const);
    const take = (xml: string, vm: string) => {
      const named = texts.filter(([, text]) => xml.includes(text));
      if (named.length === 0) return;
      const held = ifReadable(() => heldDisks(xml)); // else it may have all that it names
      for (const [path] of named) if (held?.includes(path) ?? true) users.set(path, this.#named(vm));
    };
    const deadline = performance.now() + (this.#o.patienceMs ?? PATIENCE_MS);
    let untold = await this.#read(vms, take);
    while (untold.size > 0 && performance.now() < deadline) {
      await delay(PAUSE_MS);
      untold = await this.#read([...untold.keys()], take);
    }
    for (const [vm, why] of untold) {
      for (const path of paths) {
        if (!users.has(path)) users.set(path, `${this.#named(vm)}, or may be: ${why}`);
      }
    }
    return users;
  }

  /** Takes what libvirt tells of these VMs; answers of which of them it does not, and why. */
  async #read(
    vms: readonly string[],
    take: (xml: string, vm: string) => void,
  ): Promise<ReadonlyMap<string, string>> {
    const { hypervisor, monitor } = this.#o;
    const untold = new Map<string, string>();
    const { held } = await hypervisor.definitions(vms, take);
    for (const vm of held) untold.set(vm, "libvirt does not tell its definition");
    const running = vms.filter((vm) => !held.has(vm) && monitor.domain(vm)?.runstate !== Runstate.poweroff);
    await Promise.all(running.map(async (vm) => {
      try {
        take(await hypervisor.liveXml(vm), vm);
      } catch (error) {
        if (!(error instanceof VirtxError)) throw error;
        if (error.kind !== "not_found") untold.set(vm, errorMessage(error));
      }
    }));
    for (const vm of untold.keys()) if (monitor.domain(vm)?.arriving) untold.delete(vm);
    return untold;
  }

  #named(vm: string): string {
    return `VM "${this.#o.inventory.vm(vm)?.name ?? vm}" (${vm})`;
  }
}
