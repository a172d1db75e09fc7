import type { Cluster } from "../cluster/cluster.ts";
import type { Inventory } from "../cluster/inventory.ts";
import type { Timers } from "../cluster/timers.ts";
import { inBackground } from "../model/background.ts";
import { logFailure } from "../model/defect.ts";
import { HostState } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Host } from "../model/host.ts";
import type { Logger } from "../model/log.ts";
import { isUuid } from "../model/uuid.ts";
import type { Vm } from "../model/vm.ts";
import { type HostRecord, type HostRecords, RECORDED_TEXT_MAX } from "../registry/host_record.ts";
import type { Registry } from "../registry/registry.ts";
import { RegisteredVms } from "./registered_vms.ts";
import type { HostUseCases } from "./use_cases.ts";

/** Between two looks at the storage: longer where more hosts look. */
const LOOK_MS = 10_000;
const LOOK_MS_PER_HOST = 60;
const LOOK_MAX_MS = 60_000;
/** Until it is tried again while this host has not joined. */
const FIRST_MS = 500;
/** Between the first two looks: a host that is only starting has joined by the second. */
const SECOND_MS = 5_000;
/** Of the hosts that are away and known here already, so many are looked at in one go, in turn. */
const LOOKED_AT = 16;
/** Far more than a cluster has; directories beyond that are not looked at. */
const HOSTS_MAX = 5_000;
/** So many VMs are named in a refusal. */
const NAMED_MAX = 5;

/** What {@link KnownHosts} stands on. */
export interface KnownHostsOptions {
  readonly cluster: Pick<Cluster, "member" | "hosts" | "hasTold" | "dismiss" | "joined" | "staleSince">;
  readonly inventory: Inventory;
  readonly records: HostRecords;
  readonly registry: Registry;
  /** The UUID of this host. */
  readonly self: string;
  /** Why the storage cannot be used; undefined: it can. */
  readonly refusal: () => Promise<VirtxError | undefined>;
  readonly timers: Timers;
  readonly log: Logger;
}

/** What is remembered of the record of a host. */
interface Seen {
  readonly generation: number;
  /** Undefined: there is none. */
  readonly record: HostRecord | undefined;
  /** When an administrator removed the host, on the clock of the timers; undefined: nobody did. */
  readonly removedAt?: number | undefined;
}

/**
 * The hosts that the cluster has, beyond those that Serf knows: one that Serf has forgotten, or that was away when all others
 * started, stays in the inventory, as failed and with the VMs that it has registered on the shared storage, until an
 * administrator removes it. Then its record is free, and every host forgets it at its next look. One that is active is never
 * removed, whatever is recorded: it records itself again.
 */
export class KnownHosts implements HostUseCases, Disposable {
  readonly #o: KnownHostsOptions;
  readonly #vms: RegisteredVms;
  /** Of hosts that are away, and of this one. */
  readonly #seen = new Map<string, Seen>();
  /** When each host was last seen active, on the clock of the timers. */
  readonly #lastActive = new Map<string, number>();
  /** Hosts that are nowhere but on the storage: they are believed to be away when they still are at the next look. */
  readonly #met = new Set<string>();
  #turn = 0;
  #looks = 0;
  #timer: Disposable | undefined;
  #stopped = false;

  constructor(options: KnownHostsOptions) {
    this.#o = options;
    this.#vms = new RegisteredVms(options);
  }

  /** Begins to look, soon and then regularly. */
  start(): void {
    this.#plan(0);
  }

  /** Why VMs may be registered that this host does not know yet; undefined: it knows them all. */
  get unsure(): string | undefined {
    const pending = [...this.#met].filter((host) => !this.#seen.has(host) && this.#isAway(host)).length;
    if (pending === 0) return undefined;
    const whose = pending === 1 ? "a host has" : `${pending} hosts have`;
    return `what ${whose} registered that Serf does not know is still to be read`;
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
  }

  /** Whether the host of a VM is away, so that only the registry can tell of the VM. */
  hasAway(vm: string): boolean {
    const host = this.#o.inventory.vm(vm)?.host;
    return host !== undefined && this.#isAway(host);
  }

  async getAway(vm: string): Promise<Vm> {
    const host = this.#o.inventory.vm(vm)?.host;
    if (host === undefined) throw new VirtxError("not_found", `Cannot get VM ${vm}: there is no such VM`);
    return await this.#vms.get(host, vm, "host_away");
  }

  async remove(host: string, { force }: { readonly force: boolean }): Promise<void> {
    const { cluster, inventory, records, registry, refusal, log } = this.#o;
    const name = this.#nameOf(host);
    const what = `remove host "${name}"`;
    this.#requireAway(host, what);
    const away = await refusal();
    if (away !== undefined) throw VirtxError.wrap(away, `Cannot ${what}`);
    const [now, vms] = await Promise.all([records.read(host), registry.of(host).list()]);
    const isKnown = cluster.member(host) !== undefined || inventory.host(host) !== undefined;
    if (now === undefined && vms.length === 0 && !isKnown) {
      throw new VirtxError("not_found", `Cannot ${what}: there is no such host; GET /hosts has all`);
    }
    const left = vms.filter((vm) => !this.#isElsewhere(vm, host));
    const isRemoved = now !== undefined && now.value === undefined;
    if (left.length > 0 && !force && !isRemoved) throw this.#hasVms(host, what, left);
    this.#requireAway(host, what); // it may have come back meanwhile
    await records.update(host, (now) => {
      const isFree = now !== undefined && now.value === undefined;
      return Promise.resolve(isFree ? undefined : { value: undefined });
    });
    await this.#tidy(host);
    this.#seen.delete(host);
    cluster.dismiss(host);
    log.info("removed a host from the inventory", { host, name, vms: left.length });
  }

  /** Looks once. */
  async look(): Promise<void> {
    const { cluster, self, refusal, registry, records, timers } = this.#o;
    if (!this.#isCertain() || await refusal() !== undefined) return;
    this.#looks++;
    await this.#recordSelf();
    const listed = [...await records.keys(), ...await registry.hosts()].filter(isUuid);
    const stored = new Set(listed.slice(0, HOSTS_MAX));
    for (const { peer: { uuid }, cstate } of cluster.hosts()) {
      if (cstate === HostState.active) this.#lastActive.set(uuid, timers.now());
      else stored.add(uuid);
    }
    for (const { uuid } of this.#o.inventory.hosts()) stored.add(uuid);
    stored.delete(self);
    const away = [...stored].filter((host) => this.#isAway(host));
    for (const host of this.#seen.keys()) if (host !== self && !this.#isAway(host)) this.#seen.delete(host);
    const known = away.filter((host) => this.#seen.has(host));
    const turn = known.map((_, at) => known[(this.#turn + at) % known.length] ?? "").slice(0, LOOKED_AT);
    this.#turn = known.length === 0 ? 0 : (this.#turn + turn.length) % known.length;
    const met = away.filter((host) => !this.#seen.has(host));
    for (const host of [...turn, ...met]) {
      if (this.#stopped || !this.#isCertain()) return;
      if (this.#isNew(host)) continue;
      await this.#lookAt(host);
    }
    this.#met.clear();
    for (const host of met) this.#met.add(host);
  }

  /** One that Serf does not know and nobody has told of may be about to join, as when all hosts start together. */
  #isNew(host: string): boolean {
    return this.#o.cluster.member(host) === undefined && this.#o.inventory.host(host) === undefined &&
      !this.#seen.has(host) && !this.#met.has(host);
  }

  async #lookAt(host: string): Promise<void> {
    const { cluster, registry, inventory, records, log } = this.#o;
    try {
      if (this.#seen.get(host)?.generation !== await records.glance(host)) await this.#read(host);
      const seen = this.#seen.get(host);
      if (!this.#isAway(host)) return;
      const known = inventory.host(host);
      if (seen?.removedAt !== undefined) {
        const isBack = known !== undefined && (this.#lastActive.get(host) ?? -Infinity) > seen.removedAt;
        return isBack ? await this.#recordOther(known, seen.generation) : cluster.dismiss(host);
      }
      if (seen?.generation === 0 && known) await this.#recordOther(known, 0);
      if (cluster.hasTold(host)) return;
      const vms = await registry.of(host).list();
      if (!seen?.record && vms.length === 0 && !known) return;
      const isCalledFor = () => this.#isAway(host) && !cluster.hasTold(host) && !this.#stopped;
      if (!isCalledFor()) return;
      inventory.setHostState(host, cluster.member(host)?.cstate ?? HostState.failed);
      if (!inventory.host(host)) inventory.putHost(entryOf(host, seen?.record));
      await this.#vms.show(host, vms, isCalledFor);
    } catch (error) {
      const isAway = error instanceof VirtxError && error.kind === "unavailable"; // told once, elsewhere
      logFailure(log, isAway ? "debug" : "warn", "cannot read what is recorded of a host", error, { host });
    }
  }

  /** Reads a record. One that cannot be understood counts as if there were none, until it is another. */
  async #read(host: string): Promise<void> {
    const { records, timers, log } = this.#o;
    try {
      const now = await records.read(host);
      const removedAt = now && !now.value ? timers.now() - now.ageMs : undefined;
      const record = now?.value?.host === host ? now.value : undefined;
      this.#seen.set(host, { generation: now?.generation ?? 0, record, removedAt });
    } catch (error) {
      if (!(error instanceof VirtxError) || error.kind !== "conflict") throw error;
      log.warn("leaving the record of a host", { host, reason: error.message });
      const { def } = entryOf(host, undefined);
      this.#seen.set(host, { generation: await records.glance(host), record: { host, def } });
    }
  }

  /** That its directory stays is no reason for a host not to be removed. */
  async #tidy(host: string): Promise<void> {
    const { registry, log } = this.#o;
    try {
      await registry.of(host).removeIfEmpty();
    } catch (error) {
      logFailure(log, "warn", "cannot remove the directory of a removed host", error, { host });
    }
  }

  async #recordSelf(): Promise<void> {
    const { inventory, records, self, log } = this.#o;
    const entry = inventory.host(self);
    if (!entry) return;
    const record = recordOf(entry);
    try {
      const seen = this.#seen.get(self);
      const isSame = JSON.stringify(seen?.record) === JSON.stringify(record);
      if (isSame && seen?.generation === await records.glance(self)) return;
      await records.update(self, (now) =>
        Promise.resolve(
          JSON.stringify(now?.value) === JSON.stringify(record) ? undefined : { value: record },
        ));
      this.#seen.set(self, { generation: await records.glance(self), record });
    } catch (error) {
      const isAway = error instanceof VirtxError && error.kind === "unavailable";
      logFailure(log, isAway ? "debug" : "warn", "cannot record this host", error, { host: self });
    }
  }

  /** Records a host that does not do so itself, unless its record is another by now: it may have been removed meanwhile. */
  async #recordOther(entry: Host, generation: number): Promise<void> {
    const { records, log } = this.#o;
    const isRecorded = await records.replace(entry.uuid, generation, recordOf(entry));
    this.#seen.delete(entry.uuid);
    if (isRecorded) log.info("recorded a host that is away", { host: entry.uuid, name: entry.def.name });
  }

  #isAway(host: string): boolean {
    return host !== this.#o.self && this.#o.cluster.member(host)?.cstate !== HostState.active;
  }

  /** Whether it is known which hosts are there. */
  #isCertain(): boolean {
    return this.#o.cluster.joined && this.#o.cluster.staleSince === undefined;
  }

  /** Whether another host that is there says that it has the VM. */
  #isElsewhere(vm: string, host: string): boolean {
    return [...this.#o.inventory.claimsTo(vm)].some((claim) =>
      claim.host !== host && claim.cstate === HostState.active
    );
  }

  /** @throws VirtxError conflict, unavailable: the host is active, or that cannot be told */
  #requireAway(host: string, what: string): void {
    if (host === this.#o.self || !this.#isAway(host)) {
      throw new VirtxError(
        "conflict",
        `Cannot ${what}: it is active, and would be there again at once; stop virtxd there and have it leave Serf ` +
          `(serf leave) first`,
      );
    }
    if (!this.#isCertain()) {
      throw new VirtxError("unavailable", `Cannot ${what}: Serf has not told yet which hosts are active`, {
        retryAfterS: 5,
      });
    }
  }

  #hasVms(host: string, what: string, vms: readonly string[]): VirtxError {
    const names = vms.slice(0, NAMED_MAX).map((vm) => this.#o.inventory.vm(vm)?.name ?? vm);
    const more = vms.length > NAMED_MAX ? ` and ${vms.length - NAMED_MAX} more` : "";
    const many = vms.length === 1 ? "a VM is" : `${vms.length} VMs are`;
    const name = this.#nameOf(host);
    return new VirtxError(
      "conflict",
      `Cannot ${what}: ${many} registered there: ${
        names.join(", ")
      }${more}. Where it is sure that a VM does not run there ` +
        `any more, virtx vm register <vm> --host <another host> takes it over; virtx host remove ${name} --force drops the ` +
        `host with its VMs from all lists, while their files stay`,
    );
  }

  #nameOf(host: string): string {
    const { cluster, inventory } = this.#o;
    return inventory.host(host)?.def.name ?? cluster.member(host)?.peer.name ?? host;
  }

  #plan(ms: number): void {
    if (this.#stopped) return;
    this.#timer = this.#o.timers.after(ms, () => inBackground(this.#lookAndPlan()));
  }

  async #lookAndPlan(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      logFailure(this.#o.log, "debug", "cannot look for hosts on the storage", error);
    }
    const hosts = [...this.#o.cluster.hosts()].length;
    const every = Math.min(LOOK_MAX_MS, Math.max(LOOK_MS, LOOK_MS_PER_HOST * hosts));
    // Not in step with the other hosts.
    const next = this.#looks < 2 ? SECOND_MS : every;
    this.#plan(this.#looks > 0 ? next * (0.8 + 0.4 * Math.random()) : FIRST_MS);
  }
}

function recordOf({ uuid, def: { name, cpuarch, cpudef, osid, osv } }: Host): HostRecord {
  const { model, nodes, sockets, cores, threads } = cpudef;
  const { arch, vendor } = cpuarch;
  const cut = (text: string) => text.slice(0, RECORDED_TEXT_MAX);
  return {
    host: uuid,
    def: {
      name: cut(name),
      cpuarch: { arch: cut(arch), vendor: cut(vendor) },
      cpudef: { model: cut(model), nodes, sockets, cores, threads },
      osid: cut(osid),
      osv: cut(osv),
    },
  };
}

const NONE = { total: 0, used: 0, free: 0, usedos: 0, reservedvms: 0, usedvms: 0, availablevms: 0 };

/** A host of which no more is known than its record says. */
function entryOf(uuid: string, record: HostRecord | undefined): Host {
  const unknown = {
    name: uuid,
    cpuarch: { arch: "", vendor: "" },
    cpudef: { model: "", nodes: 0, sockets: 0, cores: 0, threads: 0 },
    osid: "",
    osv: "",
  };
  return {
    uuid,
    def: { tscfreq: 0, sysinfo: { version: "", date: "" }, ...record?.def ?? unknown },
    cstate: HostState.failed,
    lockid: 0,
    resources: { memory: NONE, hp: NONE, cpu: NONE },
    ts: 0,
  };
}
