import type { Clock } from "../model/clock.ts";
import { Runstate } from "../model/enums.ts";
import type { Logger } from "../model/log.ts";
import type { VmInfo } from "../model/vm.ts";
import { saidOf } from "./claims.ts";
import { SetDigest } from "./digest.ts";
import type { OriginState, VectorEntry, Want } from "./exchange.ts";
import { hostOf } from "./host_record.ts";
import type { Inventory } from "./inventory.ts";
import { Progress } from "./progress.ts";
import type { GossipRecord, HostInfo, VmEvent } from "./records.ts";
import { compareStamps, type Stamp } from "./stamp.ts";
import { stateFor } from "./state.ts";
import type { Timers } from "./timers.ts";

/** Records that overtake each other arrive within this time; after it, one that is missing is lost. */
const REORDERING_MS = 200;

/** Records that are kept until an earlier one arrives, of each origin. */
const HELD_MAX = 64;

/** The epoch of an origin of which nothing is known but that it has said something. */
const UNKNOWN = 0;

/** The digest of no VMs. */
const NOTHING = new SetDigest().toString();

/** A record that is ordered. */
type StampedRecord = GossipRecord & { readonly origin: Stamp };

interface Origin {
  readonly progress: Progress;
  /** Records of the latest life for which earlier ones are missing, by sequence. */
  readonly held: Map<number, StampedRecord>;
  /** The newest point of the origin's story that was heard of. */
  latest: Stamp;
  /** What is known does not add up: all must be told anew. */
  broken: boolean;
}

/** What {@link Knowledge} is made from. */
export interface KnowledgeOptions {
  readonly inventory: Inventory;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** Something is missing of an origin: see {@link Knowledge.lack}. */
  readonly onLack: (uuid: string) => void;
}

/**
 * What this host knows of the other origins, in the order that each of them gave it: by epoch and sequence. News is
 * applied if it is the next; older news is dropped; a gap, another digest or a new epoch means that something is missing.
 */
export class Knowledge {
  readonly #o: KnowledgeOptions;
  readonly #origins = new Map<string, Origin>();

  constructor(options: KnowledgeOptions) {
    this.#o = options;
  }

  /**
   * How far the knowledge of each origin goes. Of a life that was heard of, but of which nothing that adds up is known, only
   * the beginning is told: it must not be forgotten, lest the origin itself begin a life that is older.
   */
  *entries(): Iterable<VectorEntry> {
    const { inventory } = this.#o;
    for (const [uuid, { progress, latest, broken }] of this.#origins) {
      const entry = broken || latest.epoch > progress.epoch
        ? { uuid, epoch: latest.epoch, seq: 0, digest: NOTHING, count: 0 }
        : { uuid, ...progress.stamp, count: inventory.claimsOf(uuid).size };
      yield inventory.doubts(uuid) ? { ...entry, doubted: true } : entry;
    }
  }

  /** What is known of an origin, for somebody who asks; undefined: nothing, or nothing that adds up. */
  state(want: Want): OriginState | undefined {
    const { uuid } = want;
    const origin = this.#origins.get(uuid);
    if (!origin || origin.broken || origin.progress.epoch === UNKNOWN) return undefined;
    const { inventory } = this.#o;
    const claims = inventory.claimsOf(uuid);
    return stateFor(want, {
      uuid,
      progress: origin.progress,
      host: inventory.host(uuid),
      vm: (vm) => {
        const claim = claims.get(vm);
        return claim && saidOf(claim);
      },
      vms: () => claims.values().map(saidOf),
    });
  }

  /** What is to be asked for, to make good what is missing of an origin; undefined: nothing is missing. */
  lack(uuid: string): Want | undefined {
    const origin = this.#origins.get(uuid);
    if (!origin) return undefined;
    const { epoch, seq } = origin.progress;
    const { latest, broken } = origin;
    if (broken || latest.epoch > epoch) return { uuid, since: undefined };
    return latest.epoch === epoch && latest.seq > seq ? { uuid, since: { epoch, seq } } : undefined;
  }

  /** Takes over what an origin has said. */
  hear(uuid: string, record: StampedRecord): void {
    const { origin: stamp } = record;
    const origin = this.#originOf(uuid);
    const order = compareStamps(stamp, origin.progress.stamp);
    if (order < 0) return;
    if (!this.learn(uuid, stamp)) { // said before, or the first of a new life with the same VMs
      if (order > 0 && record.kind === "host") this.#applyHost(record.host);
      return this.#confirm(uuid);
    }
    if (stamp.epoch === origin.latest.epoch && origin.held.size < HELD_MAX) {
      origin.held.set(stamp.seq, record);
      this.#takeHeld(uuid, origin);
    }
    if (!this.lack(uuid)) return;
    const isGap = stamp.epoch === origin.progress.epoch && !origin.broken;
    const tell = () => this.lack(uuid) && this.#o.onLack(uuid);
    if (isGap) this.#o.timers.after(REORDERING_MS, tell);
    else tell();
  }

  /** Learns how far an origin is. Whether something is missing now. */
  learn(uuid: string, stamp: Stamp): boolean {
    const origin = this.#originOf(uuid);
    const { progress } = origin;
    const known = progress.stamp;
    const order = compareStamps(stamp, known);
    if (order < 0) return false;
    const isSame = stamp.digest === known.digest && !origin.broken;
    if (order === 0) {
      if (!isSame) origin.broken = true;
      return !isSame;
    }
    if (isSame && stamp.epoch > known.epoch && known.epoch !== UNKNOWN) { // nothing is new but its life
      progress.renew(stamp.epoch, stamp.seq);
      origin.latest = stamp;
      return false;
    }
    if (compareStamps(stamp, origin.latest) > 0) {
      if (stamp.epoch > origin.latest.epoch) origin.held.clear();
      origin.latest = stamp;
    }
    return true;
  }

  /** Takes over what somebody knows of an origin; what is older than what is known already is not used. */
  adopt(state: OriginState): void {
    const { uuid, epoch, seq, base, host } = state;
    const origin = this.#origins.get(uuid);
    const order = origin ? compareStamps(state, origin.progress.stamp) : 1;
    if (order < 0 || (order === 0 && !origin?.broken)) return;
    if (base === undefined) this.#adoptAll(state, origin);
    else if (origin?.progress.epoch !== epoch || origin.progress.seq < base) return;
    else this.#adoptChanges(state, origin);
    if (host) this.#o.inventory.putHost(host);
    const now = this.#origins.get(uuid);
    if (now) this.#takeHeld(uuid, now);
    this.#o.log.debug("learnt an origin's state", { host: uuid, epoch, seq, vms: state.vms.length });
  }

  /** Forgets an origin. */
  forget(uuid: string): void {
    this.#origins.delete(uuid);
  }

  #originOf(uuid: string): Origin {
    const known = this.#origins.get(uuid);
    if (known) return known;
    const progress = new Progress(UNKNOWN, 0, []);
    const origin: Origin = { progress, held: new Map(), latest: progress.stamp, broken: false };
    this.#origins.set(uuid, origin);
    return origin;
  }

  #adoptAll(state: OriginState, before: Origin | undefined): void {
    const { uuid, epoch, seq, vms } = state;
    const progress = new Progress(epoch, seq, vms);
    const latest = before && compareStamps(before.latest, state) > 0 ? before.latest : progress.stamp;
    const held = before?.latest.epoch === epoch ? before.held : new Map<number, StampedRecord>();
    this.#origins.set(uuid, { progress, latest, held, broken: false });
    this.#o.inventory.replaceVmsOf(uuid, vms.map((vm) => ({ ...vm, host: uuid }))); // one string, not one for each
    if (progress.stamp.digest === state.digest) return;
    this.#o.log.error("a host's VMs are not what its digest says; is it of another version?", { host: uuid });
  }

  #adoptChanges({ uuid, seq, digest, vms, gone }: OriginState, origin: Origin): void {
    for (const vm of vms) this.#put(uuid, vm, origin.progress, seq);
    for (const vm of gone) this.#put(uuid, vm, origin.progress, seq);
    origin.progress.reach(seq);
    this.#verify(uuid, origin, digest);
  }

  /** Applies what is next, as far as it is there. */
  #takeHeld(uuid: string, origin: Origin): void {
    const { progress, held } = origin;
    if (origin.latest.epoch !== progress.epoch) return; // what is held is of a life that is to be pulled
    for (const seq of held.keys()) if (seq <= progress.seq) held.delete(seq);
    for (;;) {
      const next = held.get(progress.seq + 1);
      if (!next) return;
      held.delete(next.origin.seq);
      this.#apply(uuid, next, progress);
      progress.reach(next.origin.seq);
      this.#verify(uuid, origin, next.origin.digest);
      if (!origin.broken) this.#confirm(uuid);
    }
  }

  #apply(uuid: string, record: StampedRecord, progress: Progress): void {
    if (record.kind === "host") return this.#applyHost(record.host);
    const { seq } = record.origin;
    const vm = record.kind === "vm" ? record.vm : this.#after(uuid, record.event);
    if (vm?.runstate === Runstate.deleted) this.#put(uuid, vm.uuid, progress, seq);
    else if (vm) this.#put(uuid, vm, progress, seq);
  }

  /** What an event makes of a VM; undefined: it is not known, which the digest will show. */
  #after(uuid: string, event: VmEvent): VmInfo | undefined {
    const claim = this.#o.inventory.claimsOf(uuid).get(event.uuid);
    return claim && { ...saidOf(claim), runstate: event.runstate, ts: event.ts };
  }

  #applyHost(info: HostInfo): void {
    const { inventory } = this.#o;
    inventory.putHost(hostOf(info, inventory.host(info.uuid), info.cstate));
  }

  #confirm(uuid: string): void {
    this.#o.inventory.confirm(uuid, this.#o.clock());
  }

  /** Makes it what an origin says of a VM; of a mere UUID: that it has it no more. */
  #put(origin: string, vm: VmInfo | string, progress: Progress, seq: number): void {
    const { inventory } = this.#o;
    const uuid = typeof vm === "string" ? vm : vm.uuid;
    const claim = inventory.claimsOf(origin).get(uuid);
    const after = typeof vm === "string" ? undefined : { ...vm, host: origin };
    progress.change(claim && saidOf(claim), after, seq);
    if (after) inventory.putVm(after);
    else inventory.removeVm(uuid, Infinity, origin);
  }

  #verify(uuid: string, origin: Origin, digest: string): void {
    if (origin.progress.stamp.digest === digest) return;
    origin.broken = true;
    this.#o.log.warn("what is known of a host does not add up, asking for all", { host: uuid });
  }
}
