import type { VmInfo } from "../model/vm.ts";
import type { VectorEntry } from "./exchange.ts";

/**
 * A digest of a set that does not depend on order, so that it follows every change at the cost of that change: the 64-bit
 * hashes of the elements, combined by exclusive or. It protects against loss and defects, not against malice.
 *
 * The hash is part of what hosts tell each other: changing it makes them pull all from each other for ever.
 */
export class SetDigest {
  #high = 0;
  #low = 0;

  /** The digest of an origin's VMs: hosts for which it is equal know the same of them. */
  static ofVms(vms: Iterable<VmInfo>): SetDigest {
    const digest = new SetDigest();
    for (const vm of vms) digest.toggle(vmText(vm));
    return digest;
  }

  static ofVector(entries: Iterable<VectorEntry>): SetDigest {
    const result = new SetDigest();
    for (const { uuid, epoch, seq, digest, doubted } of entries) {
      result.toggle([uuid, epoch, seq, digest, ...doubted ? ["doubted"] : []].join());
    }
    return result;
  }

  /**
   * Puts an element in that is not part of the set, or takes one out that is. Two multiplicative hashes of its UTF-16 code
   * units, with different constants, are mixed until every bit counts.
   */
  toggle(element: string): void {
    let high = 0x9e3779b9;
    let low = 0x85ebca6b;
    for (let at = 0; at < element.length; at++) {
      const unit = element.charCodeAt(at);
      high = Math.imul(high ^ unit, 0x01000193);
      low = Math.imul(low ^ unit, 0x5bd1e995);
      low ^= low >>> 15;
    }
    this.#high ^= mix(high ^ (low >>> 7));
    this.#low ^= mix(low ^ (high << 9));
  }

  /** 16 hexadecimal digits; zeros for the empty set. */
  toString(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

/** All that is known of a VM, as an element; unambiguous, as the lengths of its texts stand before them. */
export function vmText({ uuid, name, runstate, vlanid, custom, vcpus, ts }: VmInfo): string {
  let lengths = `${name.length}`;
  let texts = uuid + name;
  for (const field of custom) {
    lengths += `,${field.name.length},${field.value.length}`;
    texts += field.name + field.value;
  }
  return `${runstate},${vlanid},${vcpus},${ts};${lengths};${texts}`;
}

/** Spreads every bit of 32 over all (Murmur3's finaliser). */
function mix(bits: number): number {
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

function hex(bits: number): string {
  return (bits >>> 0).toString(16).padStart(8, "0");
}
