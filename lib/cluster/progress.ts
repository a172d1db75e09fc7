import type { VmInfo } from "../model/vm.ts";
import { SetDigest, vmText } from "./digest.ts";
import type { Stamp } from "./stamp.ts";

/** Changes that are remembered, so that those who missed some need not be told everything. */
const REMEMBERED = 256;

/** How far an origin's story is known: its stamp, kept up with each change, and which VMs changed lately. */
export class Progress {
  #epoch: number;
  #seq: number;
  #digest: SetDigest;
  /** What has changed after `#start`, oldest first. */
  #changes: { readonly seq: number; readonly uuid: string }[] = [];
  #start: number;

  /** At a point where these are the origin's VMs. */
  constructor(epoch: number, seq: number, vms: Iterable<VmInfo>) {
    this.#epoch = epoch;
    this.#seq = this.#start = seq;
    this.#digest = SetDigest.ofVms(vms);
  }

  get stamp(): Stamp {
    return { epoch: this.#epoch, seq: this.#seq, digest: this.#digest.toString() };
  }

  get epoch(): number {
    return this.#epoch;
  }

  get seq(): number {
    return this.#seq;
  }

  /** A VM became another, came or went. To be followed by {@link reach}. */
  change(before: VmInfo | undefined, after: VmInfo | undefined, seq: number): void {
    const uuid = (after ?? before)?.uuid;
    if (uuid === undefined) return;
    if (before) this.#digest.toggle(vmText(before));
    if (after) this.#digest.toggle(vmText(after));
    this.#changes.push({ seq, uuid });
    if (this.#changes.length < 2 * REMEMBERED) return;
    this.#start = this.#changes.splice(0, REMEMBERED).at(-1)?.seq ?? this.#start;
  }

  /** The story is known up to here. */
  reach(seq: number): void {
    this.#seq = seq;
  }

  /** A new life of the origin, with the same VMs. */
  renew(epoch: number, seq: number): void {
    this.#epoch = epoch;
    this.#seq = this.#start = seq;
    this.#changes = [];
  }

  /** The VMs that have changed after that point of this life, or more; undefined: it is too long ago to tell. */
  changedSince(seq: number): Set<string> | undefined {
    if (seq < this.#start) return undefined;
    const changed = new Set<string>();
    for (let at = this.#changes.length - 1; at >= 0; at--) {
      const change = this.#changes[at];
      if (!change || change.seq <= seq) break;
      changed.add(change.uuid);
    }
    return changed;
  }
}
