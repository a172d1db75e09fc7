import type { Inventory } from "../cluster/inventory.ts";
import type { HostMonitor } from "../host/monitor.ts";
import { logFailure } from "../model/defect.ts";
import { Runstate } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { Generation } from "../registry/generations.ts";
import type { VmRecord, VmRecords } from "../registry/ownership.ts";
import type { Registry } from "../registry/registry.ts";
import { YOUNG_MS } from "./disk_owners.ts";
import type { DomainLook } from "./migration_exchange.ts";
import type { MigrationPeers } from "./migration_peers.ts";

/** How long another host may take to answer. */
const PEER_TIMEOUT_MS = 5_000;
/** The same of one that Serf does not reach, and that mostly is down. */
const BEYOND_SERF_TIMEOUT_MS = 2_000;

/** What {@link VmHolders} stands on. */
export interface VmHoldersOptions {
  readonly records: VmRecords;
  readonly registry: Pick<Registry, "everywhere">;
  readonly inventory: Pick<Inventory, "hosts" | "claimsOf">;
  readonly monitor: Pick<HostMonitor, "uuid">;
  readonly peers: Pick<MigrationPeers, "areKnown" | "address" | "isPrototype" | "look" | "lookBeyondSerf">;
  /** What a VM and a host are called, for messages. */
  readonly vmName: (uuid: string) => string;
  readonly hostName: (uuid: string) => string;
  readonly log: Logger;
}

/** A VM that this host has begun to hold. */
export interface Held {
  /** Makes it what it was before, as it has not come to be here after all. */
  giveBack(): Promise<void>;
}

/**
 * Which host each VM is defined on. What counts is what the libvirts of the hosts have; a record on shared storage decides
 * between two that want a VM at the same instant, and tells a host that was away that another has taken the VM over.
 *
 * A record that names another host bars this one, which has the VM in its libvirt, only as long as that host has it as well,
 * or is away and has its definition in the registry. Else the record is out of date (a migration that nobody recorded, a host
 * that is gone for good), and is put right. So no VM is stuck because of a record.
 */
export class VmHolders {
  readonly #o: VmHoldersOptions;

  constructor(options: VmHoldersOptions) {
    this.#o = options;
  }

  /**
   * Makes sure that a VM that this host's libvirt has is this host's.
   * @throws VirtxError `conflict`, naming the other host that has it, and what settles it; `unavailable`: it cannot be told now
   */
  async require(vm: string, verb: string): Promise<void> {
    const what = `${verb} VM "${this.#o.vmName(vm)}"`;
    await this.#become(vm, async ({ value }) => {
      if (value !== undefined) await this.#requireOutOfDate(vm, value.host, what);
    });
  }

  /**
   * The same, of a VM that is off here: nor may another host have its guest, whatever is recorded. One that writes no records
   * may have taken the VM over, or have had it before there were any.
   */
  async requireIdle(vm: string, verb: string): Promise<void> {
    const what = `${verb} VM "${this.#o.vmName(vm)}"`;
    for (const host of this.#mayHave(vm, [])) await this.#requireNoGuest(vm, host, what);
    await this.require(vm, verb);
  }

  /**
   * Begins to hold a VM that this host's libvirt does not have. That makes a new generation, also of a record that names this
   * host already: another one may have looked before, and seen that the VM is not here.
   * @param others hosts that may have it, beside those that the record and the inventory name
   * @throws VirtxError `conflict`: another host has it, or is just getting it; `unavailable`: it cannot be told now
   */
  async take(vm: string, verb: string, others: readonly string[] = []): Promise<Held> {
    const what = `${verb} VM "${this.#o.vmName(vm)}"`;
    const before = await this.#become(vm, async ({ value, ageMs }) => {
      for (const host of this.#mayHave(vm, [...others, ...value === undefined ? [] : [value.host]])) {
        const found = await this.#look(vm, host, what);
        if (found !== undefined && found !== "absent") throw this.#taken(vm, host, found, what);
        // It may be about to define it.
        if (found !== undefined && host === value?.host && ageMs < YOUNG_MS) {
          throw this.#early(host, ageMs, what);
        }
      }
    }, { anew: true });
    return { giveBack: () => this.#set(vm, (host) => host === this.#o.monitor.uuid, before?.value) };
  }

  /** Records that a VM of this host's libvirt is this host's, because an administrator says so; unless it runs elsewhere. */
  async insist(vm: string, verb: string): Promise<void> {
    const what = `${verb} VM "${this.#o.vmName(vm)}"`;
    await this.#become(vm, async ({ value }) => {
      if (value !== undefined) await this.#requireNoGuest(vm, value.host, what);
    });
  }

  /** Whether this host holds the VM still. */
  async holds(vm: string): Promise<boolean> {
    return (await this.#o.records.read(vm))?.value?.host === this.#o.monitor.uuid;
  }

  /** Records how a migration ended, which may have been recorded before: by this host or by the other. */
  async migrated(vm: string, { from, to }: { readonly from: string; readonly to: string }): Promise<void> {
    await this.#logged(vm, () => this.#set(vm, (host) => host === from, { vm, host: to }));
  }

  /** Records that nobody holds a VM that was this host's. */
  async release(vm: string): Promise<void> {
    await this.#logged(vm, () => this.#set(vm, (host) => host === this.#o.monitor.uuid, undefined));
  }

  /**
   * The other host that holds a VM of which an old change is open here, which therefore is not to be finished nor undone: by the
   * record, or because its definition was moved to that host's registry by one that writes no records.
   */
  async elsewhere(vm: string): Promise<string | undefined> {
    const { records, registry, monitor } = this.#o;
    const recorded = (await records.read(vm))?.value?.host;
    if (recorded !== undefined && recorded !== monitor.uuid) return recorded;
    const hosts = (await registry.everywhere(vm)).map(({ host }) => host);
    return hosts.includes(monitor.uuid) ? undefined : hosts[0];
  }

  /**
   * Makes this host the holder.
   * @param check throws if what is recorded now is in force
   * @param options anew: also if it is the holder already, which then is checked as well
   * @returns what was recorded before; undefined: nothing
   */
  async #become(
    vm: string,
    check: (now: Pick<Generation<VmRecord>, "value" | "ageMs">) => Promise<void>,
    { anew = false } = {},
  ): Promise<Generation<VmRecord> | undefined> {
    const { records, monitor, log, hostName } = this.#o;
    const before = await records.update(vm, async (now) => {
      if (now?.value?.host === monitor.uuid && !anew) return undefined;
      await check(now ?? { value: undefined, ageMs: Infinity });
      return { value: { vm, host: monitor.uuid } };
    });
    if (before?.value && before.value.host !== monitor.uuid) {
      log.info("took over the record of a VM", { vm, from: hostName(before.value.host) });
    }
    return before;
  }

  /** Makes this the value, or none, while the host that holds the VM is one that may be replaced. */
  async #set(vm: string, replaceable: (host: string) => boolean, value: VmRecord | undefined): Promise<void> {
    await this.#o.records.update(vm, (now) => {
      // Of a VM that has no record yet, there is nothing to be put right but by who has it.
      const isReplaceable = now?.value !== undefined && replaceable(now.value.host);
      return Promise.resolve(isReplaceable ? { value } : undefined);
    });
  }

  /** @throws unless this host, which has the VM, may put right that another is recorded */
  async #requireOutOfDate(vm: string, host: string, what: string): Promise<void> {
    const { registry, monitor, hostName } = this.#o;
    const found = await this.#look(vm, host, what);
    if (found === "absent") return;
    if (found !== undefined) throw this.#taken(vm, host, found, what);
    const theirs = (await registry.everywhere(vm)).find((recorded) => recorded.host === host);
    if (theirs === undefined) return;
    throw new VirtxError(
      "conflict",
      `Cannot ${what}: host ${hostName(host)}, which is not active, took it over from host ` +
        `${hostName(monitor.uuid)} and has its definition in ${theirs.file}; if it is to stay on ` +
        `${hostName(monitor.uuid)}, virtx vm register ${vm} --host ${hostName(monitor.uuid)}; ` +
        `if not, virsh undefine --keep-nvram ${vm} there`,
    );
  }

  /** @throws if another host has the VM with a guest, rather than defined only */
  async #requireNoGuest(vm: string, host: string, what: string): Promise<void> {
    const found = await this.#look(vm, host, what);
    if (found !== undefined && found !== "absent" && found !== "off") {
      throw this.#taken(vm, host, found, what);
    }
  }

  /** The other hosts that may have a VM: these, and those that say so. */
  #mayHave(vm: string, told: readonly string[]): ReadonlySet<string> {
    const { inventory, monitor } = this.#o;
    const hosts = new Set(told);
    for (const { uuid } of inventory.hosts()) if (inventory.claimsOf(uuid).has(vm)) hosts.add(uuid);
    hosts.delete(monitor.uuid);
    return hosts;
  }

  /** What the libvirt of another host has of a VM; undefined: the host is not active, and does not say that it has it. */
  async #look(vm: string, host: string, what: string): Promise<DomainLook["presence"] | undefined> {
    const { peers, inventory, hostName } = this.#o;
    if (!peers.areKnown) {
      const message = `Cannot ${what}: host ${
        hostName(host)
      } may have it, and Serf has not told yet who is there`;
      throw new VirtxError("unavailable", message, { retryAfterS: 5 });
    }
    if (peers.address(host) === undefined) return await this.#lookBeyondSerf(vm, host);
    try {
      return (await peers.look(host, vm, AbortSignal.timeout(PEER_TIMEOUT_MS))).presence;
    } catch (error) {
      if (peers.isPrototype(host)) { // only its libvirt could be asked; what it has said must do
        const claim = inventory.claimsOf(host).get(vm);
        if (claim !== undefined) return claim.lastrunstate === Runstate.poweroff ? "off" : "running";
        await this.#requireUnregistered(vm, host, what, error);
        return "absent";
      }
      throw new VirtxError(
        "unavailable",
        `Cannot ${what}: host ${hostName(host)} may have it, is active and does not tell; try again`,
        { cause: error, retryAfterS: 5 },
      );
    }
  }

  /**
   * What a host has of a VM that Serf does not reach, as where its agent alone is down. That it has none is not believed: by now
   * somebody else may have its address.
   */
  async #lookBeyondSerf(vm: string, host: string): Promise<DomainLook["presence"] | undefined> {
    const { peers, log } = this.#o;
    try {
      const { presence } = await peers.lookBeyondSerf(host, vm, AbortSignal.timeout(BEYOND_SERF_TIMEOUT_MS));
      return presence === "absent" ? undefined : presence;
    } catch (error) {
      logFailure(log, "debug", "a host that Serf does not reach does not tell of a VM", error, { vm, host });
      return undefined;
    }
  }

  /**
   * A host of the prototype may not have told of its VMs yet, or not any more; what it has registered it may have.
   * @throws unless it has not registered the VM
   */
  async #requireUnregistered(vm: string, host: string, what: string, cause: unknown): Promise<void> {
    const { registry, hostName } = this.#o;
    const theirs = (await registry.everywhere(vm)).find((recorded) => recorded.host === host);
    if (theirs === undefined) return;
    throw new VirtxError(
      "unavailable",
      `Cannot ${what}: host ${
        hostName(host)
      }, which runs the prototype, has its definition in ${theirs.file}, and neither ` +
        `says nor lets its libvirt tell whether it has it; see to libvirt there, or to virtxd`,
      { cause, retryAfterS: 5 },
    );
  }

  #taken(vm: string, host: string, found: DomainLook["presence"], what: string): VirtxError {
    const { monitor, hostName } = this.#o;
    return new VirtxError(
      "conflict",
      `Cannot ${what} on host ${hostName(monitor.uuid)}: host ${hostName(host)} has it, ${found}; ` +
        `on the host that is not to have it, virsh undefine --keep-nvram ${vm}`,
    );
  }

  #early(host: string, ageMs: number, what: string): VirtxError {
    const retryAfterS = Math.ceil((YOUNG_MS - ageMs) / 1_000);
    const message = `Cannot ${what}: host ${this.#o.hostName(host)} is just taking it; if that fails, ` +
      `try again in ${retryAfterS} s`;
    return new VirtxError("conflict", message);
  }

  /** What is over must not fail because its record cannot be read. */
  async #logged(vm: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof VirtxError) || error.kind !== "conflict") throw error;
      this.#o.log.warn("leaving the record of a VM", { vm, reason: error.message });
    }
  }
}
