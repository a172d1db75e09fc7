import type { Clock } from "../model/clock.ts";
import type { VmInfo } from "../model/vm.ts";
import { clusterBytesPerSecond } from "./budget.ts";
import { isSettled, saidOf, type VmEntry } from "./claims.ts";
import type { Inventory } from "./inventory.ts";
import { encodeHostInfo, encodeVmInfo, hostInfoOf, RECORD_NAMES } from "./records.ts";
import type { Timers } from "./timers.ts";

/** The prototype expects to be told of everything again after this time (protocol.md §2). */
const CYCLE_MS = 15_000;
/** Of a VI, encoded; to tell how long a cycle must take. */
const USUAL_VI_BYTES = 200;
/** How much of what Serf can carry is used for it, beside what hosts say of changes. */
const SHARE = 0.3;

/** What {@link Repetition} is made from. */
export interface RepetitionOptions {
  readonly inventory: Inventory;
  /** The UUID of this host. */
  readonly self: string;
  readonly timers: Timers;
  readonly clock: Clock;
  /** How many members are alive, this one included. */
  readonly members: () => number;
  readonly say: (name: string, payload: Uint8Array) => void;
}

/**
 * Says everything again and again, for the sake of hosts of the prototype, which know no other repair. Without stamps, so that
 * virtxd hosts take no notice. It is spread evenly over a cycle, which is longer if Serf could not carry it otherwise.
 */
export class Repetition implements Disposable {
  readonly #o: RepetitionOptions;
  #timer: Disposable | undefined;

  constructor(options: RepetitionOptions) {
    this.#o = options;
  }

  /** Repeats from now on, or no more. */
  set active(active: boolean) {
    if (active === (this.#timer !== undefined)) return;
    this[Symbol.dispose]();
    if (active) this.#timer = this.#o.timers.after(CYCLE_MS, () => this.#beginCycle());
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #beginCycle(): void {
    const { inventory, self, members } = this.#o;
    const host = inventory.host(self);
    if (host) this.#say(RECORD_NAMES.host, encodeHostInfo(hostInfoOf(host)));
    const vms = Array.from(inventory.claimsOf(self).values(), saidOf);
    const bytesPerSecond = SHARE * clusterBytesPerSecond(members()) / members();
    const shareMs = vms.length * USUAL_VI_BYTES / bytesPerSecond * 1000;
    this.#step(vms, Math.max(CYCLE_MS, shareMs) / (vms.length + 1));
  }

  #step(rest: VmInfo[], ms: number): void {
    this.#timer = this.#o.timers.after(ms, () => {
      const vm = rest.pop();
      if (!vm) return this.#beginCycle();
      const now = this.#o.inventory.claimsOf(this.#o.self).get(vm.uuid);
      try {
        if (now) this.#say(RECORD_NAMES.vm, encodeVmInfo(this.#confirmed(now)));
      } finally { // one that cannot be said must not end the cycle
        this.#step(rest, ms);
      }
    });
  }

  /**
   * As of now, since the prototype lets the newest word count: what a host said last that a VM has left since would stand for ever. Of a
   * VM that is on its way another host may have a newer one.
   */
  #confirmed(entry: VmEntry): VmInfo {
    const vm = saidOf(entry);
    return isSettled(entry) ? { ...vm, ts: Math.max(vm.ts, this.#o.clock()) } : vm;
  }

  #say(name: string, payload: Uint8Array | undefined): void {
    if (payload) this.#o.say(name, payload);
  }
}
