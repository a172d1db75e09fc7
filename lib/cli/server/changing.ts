import type { Cluster } from "./cluster.ts";
import { Fields } from "./fields.ts";
import { follow } from "./follow.ts";
import { hostNames } from "./host_names.ts";
import { type HostItem, readHostItem } from "./hosts.ts";
import { readVmItem, type VmItem } from "./vms.ts";

/** The hosts and VMs of the cluster as they are at any moment: read once, and kept up to date by events. */
export class Changing {
  readonly #cluster: Cluster;
  readonly #signal: AbortSignal;
  #vms = new Map<string, VmItem>();
  #hosts = new Map<string, HostItem>();
  #names: ((uuid: string) => string) | undefined;
  /** Why the server is away; undefined: it is not. */
  lost: string | undefined;

  constructor(cluster: Cluster, signal: AbortSignal) {
    this.#cluster = cluster;
    this.#signal = signal;
  }

  /** All VMs, by name. */
  vms(): readonly VmItem[] {
    return [...this.#vms.values()].sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  }

  vm(uuid: string): VmItem | undefined {
    return this.#vms.get(uuid);
  }

  /** What a host is called. */
  readonly hostName = (uuid: string): string => {
    this.#names ??= hostNames([...this.#hosts.values()]);
    return this.#names(uuid);
  };

  /**
   * Follows until the signal is aborted, whose reason it throws.
   * @param onChange is told which VMs may have changed: all, when the lists were read
   */
  async follow(onChange: (uuids: readonly string[]) => void): Promise<void> {
    await follow(this.#cluster.server, {
      query: { types: "host,vm" },
      signal: this.#signal,
      onOpen: async () => {
        this.lost = undefined;
        onChange(await this.#read());
      },
      onLost: (reason) => {
        this.lost = reason;
        onChange([]);
      },
      onEvent: async ({ type, data }) => {
        if (type === "resync") onChange(await this.#read());
        else onChange(this.#take(type, new Fields(JSON.parse(data), `an event of type ${type}`)));
      },
    });
  }

  /** Reads the lists; all VMs that are there, or were. */
  async #read(): Promise<readonly string[]> {
    const before = [...this.#vms.keys()];
    const [vms, hosts] = await Promise.all([this.#cluster.vms(), this.#cluster.hosts()]);
    this.#vms = new Map(vms.map((vm) => [vm.uuid, vm]));
    this.#hosts = new Map(hosts.map((host) => [host.uuid, host]));
    this.#names = undefined;
    return [...new Set([...before, ...this.#vms.keys()])];
  }

  /** The VMs that an event is about. */
  #take(type: string, item: Fields): readonly string[] {
    const uuid = item.text("uuid");
    const removed = item.raw("removed") === true;
    if (type === "vm") {
      if (removed) this.#vms.delete(uuid);
      else this.#vms.set(uuid, readVmItem(item));
      return [uuid];
    }
    if (type === "host") {
      if (removed) this.#hosts.delete(uuid);
      else this.#hosts.set(uuid, readHostItem(item));
      this.#names = undefined;
    }
    return [];
  }
}
