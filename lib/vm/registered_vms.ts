import type { Inventory } from "../cluster/inventory.ts";
import { operationsOf } from "../domain_xml/parse.ts";
import { showDomain } from "../domain_xml/show.ts";
import { readDefinition } from "../host/definition.ts";
import { NO_FIGURES } from "../host/vm_figures.ts";
import { Runstate } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { HOST_VMS_MAX } from "../model/limits.ts";
import type { RunstateReason, Vm, VmInfo } from "../model/vm.ts";
import { errnoCode } from "../posix/errno.ts";
import type { Registry } from "../registry/registry.ts";

/** How many definitions are read at a time. */
const READS = 8;

/** What can be told of a VM by its file in the registry alone, where no libvirt can be asked. */
export class RegisteredVms {
  readonly #inventory: Pick<Inventory, "claimsOf" | "putVm" | "removeVm">;
  readonly #registry: Pick<Registry, "of">;

  constructor(o: {
    readonly inventory: Pick<Inventory, "claimsOf" | "putVm" | "removeVm">;
    readonly registry: Pick<Registry, "of">;
  }) {
    this.#inventory = o.inventory;
    this.#registry = o.registry;
  }

  /**
   * Makes these the VMs of a host that the inventory has; the definitions of those that it did not have are read.
   * @param isCalledFor asked before each change: whether the host is still one whose VMs only the registry has
   */
  async show(host: string, vms: readonly string[], isCalledFor: () => boolean): Promise<void> {
    const known = this.#inventory.claimsOf(host);
    const registered = new Set(vms.slice(0, HOST_VMS_MAX));
    for (const vm of [...known.keys()]) {
      if (!registered.has(vm) && isCalledFor()) this.#inventory.removeVm(vm, Infinity, host);
    }
    const unknown = [...registered].filter((vm) => !known.has(vm));
    for (let at = 0; at < unknown.length && isCalledFor(); at += READS) {
      const read = unknown.slice(at, at + READS).map(async (vm) => await this.info(host, vm));
      for (const info of await Promise.all(read)) {
        if (info !== undefined && isCalledFor()) this.#inventory.putVm(info);
      }
    }
  }

  /** A VM for lists, its state not known; undefined: it has no file. One whose file cannot be read has its UUID for a name. */
  async info(host: string, vm: string): Promise<VmInfo | undefined> {
    const unread = {
      uuid: vm,
      name: vm,
      host,
      runstate: Runstate.none,
      vlanid: 0,
      custom: [],
      vcpus: 0,
      ts: 0,
    };
    let xml: string | undefined;
    try {
      xml = await this.#registry.of(host).read(vm);
    } catch (error) {
      const code = error instanceof VirtxError ? errnoCode(error.cause) : undefined;
      const isOdd = code === "EFBIG" || (error instanceof Error && error.cause instanceof TypeError); // or no UTF-8
      if (!isOdd) throw error;
      return unread;
    }
    if (xml === undefined) return undefined;
    const { summary: { uuid, name, vlanid, custom, vcpus } } = readDefinition(xml, vm);
    return uuid === vm ? { ...unread, name, vlanid, custom, vcpus } : unread;
  }

  /**
   * All that is known of a VM.
   * @throws VirtxError not_found, storage
   */
  async get(host: string, vm: string, reason: RunstateReason): Promise<Vm> {
    const xml = await this.#registry.of(host).read(vm);
    if (xml === undefined) {
      throw new VirtxError("not_found", `Cannot get VM ${vm}: the registry does not have it`);
    }
    const { flaw } = readDefinition(xml, vm);
    return {
      uuid: vm,
      def: showDomain(vm, xml).def,
      ...(flaw !== undefined && { flaw }),
      runinfo: { runstate: Runstate.none, host, reason },
      stats: { ...NO_FIGURES, oplog: { items: flaw === undefined ? operationsOf(xml) : [] } },
      ts: 0,
    };
  }
}
