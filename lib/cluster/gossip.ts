import type { Clock } from "../model/clock.ts";
import { Runstate } from "../model/enums.ts";
import type { Host } from "../model/host.ts";
import type { Logger } from "../model/log.ts";
import type { Budget } from "./budget.ts";
import type { HostReport } from "./host_report.ts";
import type { Inventory } from "./inventory.ts";
import type { LocalOrigin, Publication } from "./local_origin.ts";
import {
  encodeHostInfo,
  encodeVmEvent,
  encodeVmInfo,
  EVENT_OVERHEAD,
  type HostInfo,
  hostInfoOf,
  RECORD_NAMES,
} from "./records.ts";
import { jittered, type Random, type Timers } from "./timers.ts";

/** Of usual events, encoded; to tell how long they will take. */
const USUAL_EVENT_BYTES = 160;
const USUAL_HOST_BYTES = 280;

/** What would take longer to say than this is not said one by one, but pulled by the others. */
const PATIENCE_MS = 2000;

/** A host's figures are said again when memory has moved by this share of the total. */
const NOTICEABLE = 0.05;
/** Between two HIs because of figures, and because of nothing; in large clusters more, for a host or two each second. */
const FIGURES_MS = 15_000;
const SILENCE_MS = 60_000;
const FIGURES_MS_PER_MEMBER = 500;
const SILENCE_MS_PER_MEMBER = 1000;

/** What {@link Gossip} is made from. */
export interface GossipOptions {
  readonly inventory: Inventory;
  readonly origin: LocalOrigin;
  readonly budget: Budget;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Logger;
  /** What this host reports beside its record; left out: nothing. */
  readonly report?: (() => HostReport) | undefined;
  /** How many members are alive, this one included. */
  readonly members: () => number;
  /** Tells all others. */
  readonly say: (name: string, payload: Uint8Array) => void;
  /** Not even that there is something to be asked for can be said. */
  readonly onUnsaid?: (reason: string) => void;
}

/**
 * Decides what this host tells the others, and when. A change of a VM is said at once while the budget lasts; then the last
 * state of each VM that waits, in the order that they came. If too much waits, it is all published at once, and one HI is
 * said whose stamp shows the others that they miss something, so that they pull it. If even that must wait, they find out
 * when they compare notes.
 */
export class Gossip implements Disposable {
  readonly #o: GossipOptions;
  readonly #watch: Disposable;
  #silent = true;
  /** A look at what has changed just now. */
  #look: Disposable | undefined;
  /** The next turn to speak, when the budget allows. */
  #turn: Disposable | undefined;
  /** The host's record is to be said when the budget allows. */
  #hostDue = false;
  #reminder: Disposable | undefined;
  #hostSaid: { readonly info: HostInfo; readonly total: number; readonly at: number } | undefined;

  constructor(options: GossipOptions) {
    this.#o = options;
    this.#watch = options.inventory.watch({
      host: (uuid, entry) => {
        if (uuid === options.origin.uuid && entry) this.#considerHost(entry);
      },
    });
  }

  /** Begins to speak, or again after {@link hush}: who and how far this host is, at once. */
  start(): void {
    this.#silent = false;
    this.announce();
    this.vmChanged();
  }

  /** Says who and how far this host is. */
  announce(): void {
    this.#sayHost();
  }

  /** This host reports something else: it is said as soon as the budget allows. */
  reportChanged(): void {
    this.#hostDue = true;
    this.vmChanged();
  }

  /** Nobody can be told; what changes is published for those who ask. */
  hush(): void {
    this.#silent = true;
    this.#reminder?.[Symbol.dispose]();
    this.vmChanged();
  }

  /** Something is pending at the origin. What changes together is looked at together. */
  vmChanged(): void {
    this.#look ??= this.#o.timers.after(0, () => this.#sayPending());
  }

  /** Publishes what has changed, for somebody who asks now; what cannot be said at once, the others pull. */
  flush(): void {
    const { origin } = this.#o;
    if (origin.pending.size === 0) return;
    this.#sayPending();
    if (origin.pending.size === 0) return;
    origin.publishAll();
    this.#hostDue = true;
  }

  [Symbol.dispose](): void {
    this.#silent = true;
    this.#watch[Symbol.dispose]();
    this.#look?.[Symbol.dispose]();
    this.#turn?.[Symbol.dispose]();
    this.#reminder?.[Symbol.dispose]();
  }

  #sayPending(): void {
    const { origin, budget } = this.#o;
    this.#turn?.[Symbol.dispose]();
    this.#turn = this.#look = undefined;
    if (this.#silent) return origin.publishAll();
    const { size } = origin.pending;
    if (size > 0 && budget.waitMs(size * USUAL_EVENT_BYTES) > PATIENCE_MS) {
      this.#o.log.info("too much has changed to be said, letting the others pull it", { vms: size });
      origin.publishAll();
      this.#hostDue = true;
    }
    for (const uuid of origin.pending) {
      if (this.#mustWait(USUAL_EVENT_BYTES)) return;
      const publication = origin.publish(uuid);
      if (publication && !this.#sayVm(publication)) this.#hostDue = true; // too long: to be pulled
    }
    if (this.#hostDue && !this.#mustWait(USUAL_HOST_BYTES)) this.#sayHost();
  }

  /** Whether the budget does not allow so much now; then the next turn is when it does. */
  #mustWait(bytes: number): boolean {
    const waitMs = this.#o.budget.waitMs(bytes);
    if (waitMs > 0) this.#turn = this.#o.timers.after(waitMs, () => this.#sayPending());
    return waitMs > 0;
  }

  /** Says what became of a VM. False: it does not fit into a record. */
  #sayVm({ before, after }: Publication): boolean {
    const { stamp } = this.#o.origin;
    if (!after) {
      if (!before) return true;
      // A host of the prototype takes the newer word (protocol.md §2): of a VM that another host has by now, that host's.
      const isElsewhere = this.#o.inventory.vm(before.uuid) !== undefined;
      const ts = isElsewhere ? before.ts : Math.max(before.ts, this.#o.clock());
      const event = { ...before, runstate: Runstate.deleted, ts };
      return this.#say(RECORD_NAMES.event, encodeVmEvent(event, stamp));
    }
    const onlyRunstate = before && before.name === after.name && before.vlanid === after.vlanid &&
      before.vcpus === after.vcpus && JSON.stringify(before.custom) === JSON.stringify(after.custom);
    return onlyRunstate
      ? this.#say(RECORD_NAMES.event, encodeVmEvent(after, stamp))
      : this.#say(RECORD_NAMES.vm, encodeVmInfo(after, stamp));
  }

  /** Says the host's record if it has changed noticeably, and was not said lately. */
  #considerHost(host: Host): void {
    if (this.#silent || !this.#hostSaid) return;
    const { info, total, at } = this.#hostSaid;
    const { memoryavailable, hpavailable, ...rest } = hostInfoOf(host);
    const moved = Math.max(
      Math.abs(memoryavailable - info.memoryavailable),
      Math.abs(hpavailable - info.hpavailable),
    );
    const isOther = Object.entries(rest).some(([field, value]) =>
      field !== "ts" && info[field as keyof HostInfo] !== value
    );
    const sinceMs = this.#o.timers.now() - at;
    const figuresMs = Math.max(FIGURES_MS, this.#o.members() * FIGURES_MS_PER_MEMBER);
    if (isOther || (moved >= NOTICEABLE * total && sinceMs >= figuresMs)) this.#sayHost();
  }

  #sayHost(): void {
    const { origin, inventory, timers, random, members } = this.#o;
    const host = inventory.host(origin.uuid);
    if (!host || this.#silent) return;
    this.#hostDue = false;
    origin.publishHost();
    const info = hostInfoOf(host);
    const { memory, hp } = host.resources;
    this.#hostSaid = { info, total: Math.max(1, memory.total + hp.total), at: timers.now() };
    try {
      const { stamp } = origin;
      const record = encodeHostInfo(info, stamp, this.#o.report?.()) ?? encodeHostInfo(info, stamp);
      if (!this.#say(RECORD_NAMES.host, record)) {
        this.#o.onUnsaid?.("this host's record is too long");
      }
    } finally { // a defect must not make this host mute
      const silenceMs = Math.max(SILENCE_MS, members() * SILENCE_MS_PER_MEMBER);
      this.#reminder?.[Symbol.dispose]();
      this.#reminder = timers.after(jittered(silenceMs, 0.5, random), () => this.#sayHost());
    }
  }

  #say(name: string, payload: Uint8Array | undefined): boolean {
    if (!payload) return false;
    this.#o.budget.spend(payload.length + EVENT_OVERHEAD);
    this.#o.say(name, payload);
    return true;
  }
}
