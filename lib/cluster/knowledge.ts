import type { Clock } from "../model/clock.ts";
import { Runstate } from "../model/enums.ts";
import type { Host } from "../model/host.ts";
import { HOST_VMS_MAX } from "../model/limits.ts";
import type { Logger } from "../model/log.ts";
import type { VmInfo } from "../model/vm.ts";
import { saidOf } from "./claims.ts";
import { SetDigest } from "./digest.ts";
import type { OriginState, VectorEntry, Want } from "./exchange.ts";
import { hostOf } from "./host_record.ts";
import type { HostReport } from "./host_report.ts";
import type { Inventory } from "./inventory.ts";
import { Progress } from "./progress.ts";
import type { GossipRecord, HostRecord, VmEvent } from "./records.ts";
import { compareStamps, isBelievable, type Stamp } from "./stamp.ts";
import { stateFor } from "./state.ts";
import type { Timers } from "./timers.ts";

/** Records that overtake each other arrive within this time; after it, one that is missing is lost. */
const REORDERING_MS = 200;

/** Records that are kept until an earlier one arrives, of each origin. */
const HELD_MAX = 64;

/** A record that is older than what is known, and comes so long after it, was not merely overtaken. */
const CONTRADICTION_MS = 10_000;

/**
 * After the origin itself has told all, and if it has not gone on since it told last, nobody is asked for so long; twice as
 * long after each further time that it has not.
 */
const REST_MS = 500;
const REST_MAX_MS = 10_000;

/** The epoch of an origin of which nothing is known but that it has said something. */
const UNKNOWN = 0;

/** The digest of no VMs. */
const NOTHING = new SetDigest().toString();

/** A record that is ordered. */
type StampedRecord = GossipRecord & { readonly origin: Stamp };

/** When something was, on the clock of the timers. */
type Time = number;

interface Held {
  readonly record: StampedRecord;
  readonly heardAt: Time;
}

interface Origin {
  progress: Progress;
  /** When the progress last became another. */
  movedAt: Time;
  /** Records of the latest life for which earlier ones are missing, by sequence. */
  readonly held: Map<number, Held>;
  /** The newest point of the origin's story that was heard of. */
  latest: Stamp;
  /** What is known does not add up: all must be told anew. */
  broken: boolean;
  /** Something was heard that cannot be true if what is known is, or that is not to be believed: only the origin itself can tell. */
  disputed: boolean;
  /** What the origin itself told last. */
  attested: Stamp | undefined;
  /** How many times in a row it was asked and had nothing to add to that. */
  vain: number;
  /** Nobody is to be asked before. */
  restsUntil: Time;
}

/** Who gave an answer: the origin itself, and when it was asked; undefined: somebody else. */
export type Witness = { readonly askedAt: Time } | undefined;

/** What {@link Knowledge} is made from. */
export interface KnowledgeOptions {
  readonly inventory: Inventory;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** What an origin reports beside its record, as it was told last. */
  readonly reportOf?: (uuid: string) => HostReport | undefined;
  /** An origin reports this; undefined: nothing, as one of an earlier version. */
  readonly onReport?: (uuid: string, report: HostReport | undefined) => void;
  /** Something is missing of an origin: see {@link Knowledge.lack}. */
  readonly onLack: (uuid: string) => void;
  /** What an origin tells does not add up with what is known of it: all will be asked for. */
  readonly onContradiction?: (uuid: string) => void;
  /** What is told of an origin cannot be understood. */
  readonly onOdd?: (uuid: string, reason: string) => void;
}

/**
 * What this host knows of the other origins, in the order that each of them gave it: by epoch and sequence. News is
 * applied if it is the next; older news is dropped; a gap, another digest or a new epoch means that something is missing.
 *
 * Anybody can gossip in an origin's name, so gossip is a hint, and what the origin itself answers over HTTP is the truth, even
 * if it is of an earlier life than what was heard of. Nothing that is heard makes the true records be refused for good, nor
 * has the origin asked more often than {@link restMs} allows.
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
      if (Math.max(progress.epoch, latest.epoch) === UNKNOWN) continue;
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
      report: this.#o.reportOf?.(uuid),
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
    const { latest, broken, disputed } = origin;
    const isOther = broken || latest.epoch > epoch;
    const isLacking = isOther || disputed || (latest.epoch === epoch && latest.seq > seq);
    return isLacking ? this.want(uuid) : undefined;
  }

  /** Whether the VMs of an origin are known, of the life that it was last heard of in; a change of a moment ago may be missing. */
  hasTold(uuid: string): boolean {
    const origin = this.#origins.get(uuid);
    if (!origin || origin.progress.epoch === UNKNOWN) return false;
    return !origin.broken && origin.latest.epoch <= origin.progress.epoch;
  }

  /** What is to be asked for, to know all that an origin has said by now, whether or not something is known to be missing. */
  want(uuid: string): Want {
    const origin = this.#origins.get(uuid);
    const { epoch = UNKNOWN, seq = 0 } = origin?.progress ?? {};
    const isOther = !origin || origin.broken || origin.latest.epoch > epoch;
    return { uuid, since: isOther || epoch === UNKNOWN ? undefined : { epoch, seq } };
  }

  /** Milliseconds until somebody is to be asked for what is missing of an origin, as asking has brought nothing; 0: now. */
  restMs(uuid: string): number {
    return Math.max(0, (this.#origins.get(uuid)?.restsUntil ?? -Infinity) - this.#o.timers.now());
  }

  /** Takes over what an origin has said. */
  hear(uuid: string, record: StampedRecord): void {
    const { origin: stamp } = record;
    const origin = this.#originOf(uuid);
    const order = compareStamps(stamp, origin.progress.stamp);
    if (order < 0 ? this.#contradicts(stamp, origin) : !this.#mayBe(stamp, origin)) origin.disputed = true;
    if (origin.disputed) this.#o.onLack(uuid);
    if (order < 0 || !this.#mayBe(stamp, origin)) return;
    if (!this.learn(uuid, stamp)) { // said before, or the first of a new life with the same VMs
      if (order > 0 && record.kind === "host") this.#applyHost(record);
      return this.#confirm(uuid);
    }
    if (stamp.epoch === origin.latest.epoch && this.#makeRoom(stamp, origin)) {
      origin.held.set(stamp.seq, { record, heardAt: this.#o.timers.now() });
      this.#takeHeld(uuid, origin);
    }
    if (!this.lack(uuid)) return;
    const isGap = stamp.epoch === origin.progress.epoch && !origin.broken;
    const tell = () => this.lack(uuid) && this.#o.onLack(uuid);
    if (isGap) this.#o.timers.after(REORDERING_MS, tell);
    else tell();
  }

  /**
   * Learns how far an origin is, as far as that is to be believed. Whether something is missing now.
   * @param witness of the stamp
   */
  learn(uuid: string, stamp: Stamp, witness?: Witness): boolean {
    const origin = this.#originOf(uuid);
    const { progress } = origin;
    const known = progress.stamp;
    const order = compareStamps(stamp, known);
    if (order < 0 || !this.#mayBe(stamp, origin)) {
      if (witness && origin.movedAt < witness.askedAt) origin.disputed = true;
      return origin.disputed;
    }
    const isSame = stamp.digest === known.digest && !origin.broken;
    if (order === 0) {
      if (!isSame) origin.broken = true;
      return !isSame;
    }
    if (isSame && stamp.epoch > known.epoch && known.epoch !== UNKNOWN) { // nothing is new but its life
      progress.renew(stamp.epoch, stamp.seq);
      origin.movedAt = this.#o.timers.now();
      origin.latest = stamp;
      return false;
    }
    if (compareStamps(stamp, origin.latest) > 0) {
      if (stamp.epoch > origin.latest.epoch) origin.held.clear();
      origin.latest = stamp;
    }
    return true;
  }

  /**
   * Takes over an answer. What somebody else says is used if it is newer than what is known; what the origin itself says, if it
   * is other, unless more was learnt after it was asked.
   */
  adopt(state: OriginState, witness?: Witness): void {
    const { uuid, host } = state;
    const origin = this.#originOf(uuid);
    const order = compareStamps(state, origin.progress.stamp);
    const isOutdated = order < 0 && !(witness && origin.movedAt < witness.askedAt);
    if (isOutdated || (!witness && !this.#mayBe(state, origin))) return;
    const wasLacking = this.lack(uuid) !== undefined;
    const fits = (order !== 0 || origin.broken) && this.#adoptStory(state, origin);
    if (witness) {
      this.#settle(state, origin, witness);
      if (wasLacking) this.#rest(state, origin);
    }
    if (!fits) return;
    if (host) this.#putHost(host);
    if (state.report || witness) this.#o.onReport?.(uuid, state.report);
    this.#takeHeld(uuid, origin);
    this.#o.log.debug("learnt an origin's state", { host: uuid, epoch: state.epoch, vms: state.vms.length });
  }

  /** Forgets an origin. */
  forget(uuid: string): void {
    this.#origins.delete(uuid);
  }

  #originOf(uuid: string): Origin {
    const known = this.#origins.get(uuid);
    if (known) return known;
    const progress = new Progress(UNKNOWN, 0, []);
    const origin: Origin = {
      progress,
      movedAt: -Infinity,
      held: new Map(),
      latest: progress.stamp,
      broken: false,
      disputed: false,
      attested: undefined,
      vain: 0,
      restsUntil: -Infinity,
    };
    this.#origins.set(uuid, origin);
    return origin;
  }

  /** Whether it is to be believed, without the origin itself having said so, that the origin is in that life. */
  #mayBe({ epoch }: Stamp, { progress }: Origin): boolean {
    return epoch <= progress.epoch || isBelievable(epoch, this.#o.clock());
  }

  /** Whether a record that is older than what is known can be none that was overtaken. */
  #contradicts({ epoch }: Stamp, { progress, movedAt }: Origin): boolean {
    return epoch !== progress.epoch || movedAt < this.#o.timers.now() - CONTRADICTION_MS;
  }

  /** Whether a record can be held: those that are next count more than those that are far ahead. */
  #makeRoom({ seq }: Stamp, { held }: Origin): boolean {
    if (held.size < HELD_MAX || held.has(seq)) return true;
    const farthest = held.keys().reduce((a, b) => Math.max(a, b));
    return seq < farthest && held.delete(farthest);
  }

  /** Takes over a state or the changes in it. False: it cannot be, or does not add up. */
  #adoptStory(state: OriginState, origin: Origin): boolean {
    const { uuid, epoch, seq, base } = state;
    if (base === undefined) return this.#adoptAll(state, origin);
    const { progress } = origin;
    if (progress.epoch !== epoch || progress.seq < base) return false;
    if (seq < progress.seq) { // as much as was believed was never said
      origin.broken = true;
      this.#o.onLack(uuid);
      return true;
    }
    this.#adoptChanges(state, origin);
    return !origin.broken;
  }

  #adoptAll(state: OriginState, origin: Origin): boolean {
    const { uuid, epoch, seq, vms } = state;
    const progress = origin.progress = new Progress(epoch, seq, vms);
    origin.movedAt = this.#o.timers.now();
    if (origin.latest.epoch !== epoch) origin.held.clear();
    if (compareStamps(origin.latest, state) < 0) origin.latest = progress.stamp;
    origin.broken = false;
    this.#o.inventory.replaceVmsOf(uuid, vms.map((vm) => ({ ...vm, host: uuid }))); // one string, not one for each
    if (progress.stamp.digest === state.digest) return true;
    this.#o.onOdd?.(uuid, "its VMs are not what its digest says");
    return false;
  }

  #adoptChanges({ uuid, seq, digest, vms, gone }: OriginState, origin: Origin): void {
    for (const vm of vms) this.#put(uuid, vm, origin.progress, seq);
    for (const vm of gone) this.#put(uuid, vm, origin.progress, seq);
    this.#reach(origin, seq);
    this.#verify(uuid, origin, digest);
  }

  /** The origin itself has said how far it is: what was heard before it was asked, and is beyond that, was never said. */
  #settle(state: OriginState, origin: Origin, { askedAt }: { readonly askedAt: Time }): void {
    origin.disputed = false;
    origin.latest = { epoch: state.epoch, seq: state.seq, digest: state.digest };
    for (const [seq, { record, heardAt }] of origin.held) {
      if (record.origin.epoch !== state.epoch || heardAt < askedAt) origin.held.delete(seq);
      else if (compareStamps(record.origin, origin.latest) > 0) origin.latest = record.origin;
    }
  }

  /** Lets the origin rest after its answer. */
  #rest(state: OriginState, origin: Origin): void {
    const { attested } = origin;
    const isNews = !attested || compareStamps(attested, state) !== 0;
    origin.attested = { epoch: state.epoch, seq: state.seq, digest: state.digest };
    origin.vain = isNews ? 0 : origin.vain + 1;
    if (isNews && state.base !== undefined) return;
    origin.restsUntil = this.#o.timers.now() +
      Math.min(REST_MAX_MS, REST_MS * 2 ** Math.min(origin.vain, 16));
  }

  #reach(origin: Origin, seq: number): void {
    origin.progress.reach(seq);
    origin.movedAt = this.#o.timers.now();
  }

  /** Applies what is next, as far as it is there. */
  #takeHeld(uuid: string, origin: Origin): void {
    const { progress, held } = origin;
    if (origin.latest.epoch !== progress.epoch) return; // what is held is of a life that is to be pulled
    for (const seq of held.keys()) if (seq <= progress.seq) held.delete(seq);
    for (;;) {
      const next = held.get(progress.seq + 1);
      if (!next) return;
      const { record } = next;
      held.delete(record.origin.seq);
      this.#apply(uuid, record, progress);
      this.#reach(origin, record.origin.seq);
      this.#verify(uuid, origin, record.origin.digest);
      if (!origin.broken) this.#confirm(uuid);
    }
  }

  #apply(uuid: string, record: StampedRecord, progress: Progress): void {
    if (record.kind === "host") return this.#applyHost(record);
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

  #applyHost({ host: info, report }: HostRecord): void {
    this.#o.onReport?.(info.uuid, report);
    this.#putHost(hostOf(info, this.#o.inventory.host(info.uuid), info.cstate));
  }

  /** A time in the future counts as now. */
  #putHost(host: Host): void {
    const { inventory, clock } = this.#o;
    inventory.putHost({ ...host, ts: Math.min(host.ts, clock()) });
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
    if (after && (claim || inventory.claimsOf(origin).size < HOST_VMS_MAX)) inventory.putVm(after);
    else inventory.removeVm(uuid, Infinity, origin);
  }

  #verify(uuid: string, origin: Origin, digest: string): void {
    if (origin.progress.stamp.digest === digest) return;
    origin.broken = true;
    this.#o.onContradiction?.(uuid);
  }
}
