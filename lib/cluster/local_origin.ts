import type { VmInfo } from "../model/vm.ts";
import { saidOf } from "./claims.ts";
import type { OriginState, Want } from "./exchange.ts";
import type { HostReport } from "./host_report.ts";
import type { Inventory } from "./inventory.ts";
import { Progress } from "./progress.ts";
import { stateFor } from "./state.ts";
import type { Stamp } from "./stamp.ts";

/** What became of a VM of this host, as far as others are told. */
export interface Publication {
  readonly before: VmInfo | undefined;
  readonly after: VmInfo | undefined;
}

/**
 * This host as the origin of its own host record and VMs. The inventory changes first; what is told to others follows, when
 * it is published. Only then it gets a number, so that what was never said leaves no gap.
 */
export class LocalOrigin implements Disposable {
  readonly uuid: string;
  readonly #inventory: Inventory;
  readonly #report: (() => HostReport) | undefined;
  readonly #published = new Map<string, VmInfo>();
  readonly #progress: Progress;
  readonly #pending = new Set<string>();
  readonly #watch: Disposable;

  /**
   * Everything that the inventory has of this host by now is published.
   * @param report what this host reports beside its record; left out: nothing
   * @param onPending is called when a VM has changed
   */
  constructor(
    o: {
      readonly inventory: Inventory;
      readonly self: string;
      readonly epoch: number;
      readonly report?: (() => HostReport) | undefined;
      readonly onPending: () => void;
    },
  ) {
    this.#report = o.report;
    this.uuid = o.self;
    this.#inventory = o.inventory;
    for (const claim of o.inventory.claimsOf(o.self).values()) this.#published.set(claim.uuid, saidOf(claim));
    this.#progress = new Progress(o.epoch, 0, this.#published.values());
    this.#watch = o.inventory.watch({
      claim: (host, uuid) => {
        if (host !== o.self) return;
        this.#pending.add(uuid);
        o.onPending();
      },
    });
  }

  get stamp(): Stamp {
    return this.#progress.stamp;
  }

  /** How many VMs it has published. */
  get count(): number {
    return this.#published.size;
  }

  /** The VMs that have changed and were not published, those that have waited longest first. */
  get pending(): ReadonlySet<string> {
    return this.#pending;
  }

  /** Publishes a VM as it is now. Undefined: it is as it was when last published. */
  publish(uuid: string): Publication | undefined {
    this.#pending.delete(uuid);
    const claim = this.#inventory.claimsOf(this.uuid).get(uuid);
    const before = this.#published.get(uuid);
    const after = claim && saidOf(claim);
    if (!before && !after) return undefined;
    if (after) this.#published.set(uuid, after);
    else this.#published.delete(uuid);
    const seq = this.#progress.seq + 1;
    this.#progress.change(before, after, seq);
    this.#progress.reach(seq);
    return { before, after };
  }

  /** Publishes all that is pending. */
  publishAll(): void {
    for (const uuid of this.#pending) this.publish(uuid);
  }

  /** Publishes the host's record, which is never pending: it changes all the time. */
  publishHost(): void {
    this.#progress.reach(this.#progress.seq + 1);
  }

  /** Begins another life. */
  renew(epoch: number): void {
    this.#progress.renew(epoch, 0);
  }

  /** What is published, for somebody who asks. */
  state(want: Want): OriginState {
    return stateFor(want, {
      uuid: this.uuid,
      progress: this.#progress,
      host: this.#inventory.host(this.uuid),
      report: this.#report?.(),
      vm: (uuid) => this.#published.get(uuid),
      vms: () => this.#published.values(),
    });
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}
