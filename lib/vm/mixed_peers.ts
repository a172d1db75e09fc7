import type { Inventory } from "../cluster/inventory.ts";
import type { VmEvent } from "../cluster/records.ts";
import { parseCapabilities } from "../domain_xml/mod.ts";
import type { RemoteLibvirt } from "../libvirt/remote.ts";
import { NetType, Runstate } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { MigrationVerdict } from "../model/vm.ts";
import { lookAtDomain } from "./domain_look.ts";
import { checkLibvirt } from "./libvirt_check.ts";
import type { DomainLook, TargetCheck } from "./migration_exchange.ts";
import { Obstacles, verdictOf } from "./migration_obstacles.ts";
import type { MigrationPeers } from "./migration_peers.ts";
import { DISCARDABLE } from "./migration_target.ts";
import { unlessGone } from "./unless_gone.ts";
import { localVariables } from "./variables.ts";

/** What {@link MixedPeers} stand on. */
export interface MixedPeersOptions {
  /** The hosts that run virtxd, and what hosts of the prototype have an API for. */
  readonly peers: MigrationPeers;
  readonly hypervisor: { remote<T>(address: string, task: (libvirt: AskedHost) => Promise<T>): Promise<T> };
  readonly inventory: Pick<Inventory, "host" | "vm">;
  /** Takes over what a host of the prototype would say of a VM, and has not yet. */
  readonly hear: (event: VmEvent) => void;
}

/** What is asked of another host's libvirt. */
export type AskedHost = Pick<RemoteLibvirt, keyof RemoteLibvirt>;

/**
 * The other hosts, some of which run the prototype. That answers no questions about migrations, but its libvirt, to which this host's
 * will send the VM, does: it is asked over a connection from here, as long as a question takes.
 */
export class MixedPeers implements MigrationPeers {
  readonly #o: MixedPeersOptions;

  constructor(options: MixedPeersOptions) {
    this.#o = options;
  }

  get areKnown(): boolean {
    return this.#o.peers.areKnown;
  }

  address(host: string): string | undefined {
    return this.#o.peers.address(host);
  }

  isPrototype(host: string): boolean {
    return this.#o.peers.isPrototype(host);
  }

  /** Of a host of the prototype: what its libvirt says; what that cannot tell is a soft obstacle, to be read by who asks. */
  async check(host: string, request: TargetCheck, signal: AbortSignal): Promise<MigrationVerdict> {
    const { peers, inventory } = this.#o;
    if (!peers.isPrototype(host)) return await peers.check(host, request, signal);
    const obstacles = new Obstacles();
    await this.#asking(host, async (libvirt) => {
      const { host: { uuid } } = parseCapabilities(await libvirt.capabilities());
      const same = uuid === undefined || uuid === host;
      if (obstacles.unless(same, "address", `the libvirt at its address is that of host ${uuid}`)) {
        await checkLibvirt(libvirt, request, obstacles);
      }
    });
    obstacles.warn("prototype", `it runs the prototype, ${untold(request)}`);
    return verdictOf(inventory.host(host), host, request, obstacles);
  }

  async look(host: string, vm: string, signal: AbortSignal): Promise<DomainLook> {
    const { peers } = this.#o;
    if (!peers.isPrototype(host)) return await peers.look(host, vm, signal);
    return await this.#asking(host, (libvirt) => lookAtDomain(libvirt, vm, false));
  }

  /** Of a host of the prototype nothing: this is asked of virtxd there. */
  async lookBeyondSerf(host: string, vm: string, signal: AbortSignal): Promise<DomainLook> {
    const { peers } = this.#o;
    if (!peers.isPrototype(host)) return await peers.lookBeyondSerf(host, vm, signal);
    throw new VirtxError("unreachable", `host ${host} runs the prototype, and is not active`);
  }

  /**
   * A host of the prototype tells of it in time, to others too; until then it is shown as libvirt there has it. Last of all it is
   * asked to take the VM into its registry, as its libvirt has it by now.
   */
  async seeArrival(host: string, vm: string, signal: AbortSignal): Promise<void> {
    const { peers, inventory, hear } = this.#o;
    if (peers.isPrototype(host)) {
      const { presence } = await this.look(host, vm, signal);
      const runstate = RUNSTATES[presence];
      const known = inventory.vm(vm);
      // Just newer than what this host has said, so that whatever the other says is newer still.
      if (runstate !== undefined && known) hear({ uuid: vm, host, runstate, ts: known.ts + 1 });
    }
    await peers.seeArrival(host, vm, signal);
  }

  async resume(host: string, vm: string, signal: AbortSignal): Promise<void> {
    const { peers } = this.#o;
    if (!peers.isPrototype(host)) return await peers.resume(host, vm, signal);
    await this.#asking(host, async (libvirt) => {
      const { presence } = await lookAtDomain(libvirt, vm, false);
      if (presence === "running") return;
      if (presence !== "paused") {
        throw new VirtxError(
          "conflict",
          `Cannot resume VM ${vm} after its migration: it is ${presence} there`,
        );
      }
      await libvirt.resume(vm);
    });
  }

  async discard(host: string, vm: string, signal: AbortSignal): Promise<void> {
    const { peers } = this.#o;
    if (!peers.isPrototype(host)) return await peers.discard(host, vm, signal);
    await this.#asking(host, async (libvirt) => {
      const { presence } = await lookAtDomain(libvirt, vm, false);
      if (presence === "absent") return;
      if (!DISCARDABLE.includes(presence)) {
        throw new VirtxError("conflict", `Cannot discard VM ${vm}: it is ${presence} there`);
      }
      // On shared storage the guest here has them.
      const keepVariables = localVariables(await libvirt.liveXml(vm)) === undefined;
      if (presence !== "off") await libvirt.destroy(vm, { graceful: false }).catch(unlessGone);
      await libvirt.undefine(vm, { keepVariables }).catch(unlessGone);
    });
  }

  #asking<T>(host: string, task: (libvirt: AskedHost) => Promise<T>): Promise<T> {
    const address = this.address(host);
    if (address !== undefined) return this.#o.hypervisor.remote(address, task);
    return Promise.reject(new VirtxError("unreachable", `host ${host} is not active`));
  }
}

/** What is said of a VM that has come, by what libvirt there has of it. */
const RUNSTATES: Partial<Record<DomainLook["presence"], Runstate>> = {
  off: Runstate.poweroff,
  running: Runstate.running,
  paused: Runstate.paused,
};

/** What libvirt does not tell of this VM's needs, in words. */
function untold({ disks, nets }: TargetCheck): string {
  const bridges = nets.filter(({ nettype }) => nettype === NetType.bridge).map(({ name }) => `"${name}"`);
  const questions = [
    ...disks.length > 0 ? ["whether it sees the disks", "whether another VM there has one of them"] : [],
    ...bridges.length > 0 ? [`whether it has the bridge ${[...new Set(bridges)].join(", ")}`] : [],
  ];
  return questions.length > 0 ? `which cannot be asked ${questions.join(", ")}` : "and others are preferred";
}
