import type { VmInfo } from "../model/vm.ts";

/**
 * A digest of a set of VMs that does not depend on their order, so that it follows every change at the cost of that
 * change: the 64-bit hashes of the VMs, combined by exclusive or. Two hosts whose digests of an origin's VMs are equal know
 * the same of them. It protects against loss and defects, not against malice.
 *
 * The hash is part of what hosts tell each other: changing it makes them pull all from each other for ever.
 */
export class VmDigest {
  #high = 0;
  #low = 0;

  static of(vms: Iterable<VmInfo>): VmDigest {
    const digest = new VmDigest();
    for (const vm of vms) digest.toggle(vm);
    return digest;
  }

  /** Puts a VM in that is not part of the set, or takes one out that is. */
  toggle(vm: VmInfo): void {
    // Text is unambiguous when its length stands before it.
    const texts = [vm.uuid, vm.name, ...vm.custom.flatMap(({ name, value }) => [name, value])];
    const lengths = texts.map((text) => text.length).join();
    this.#combine(`${vm.runstate},${vm.vlanid},${vm.vcpus},${vm.ts};${lengths};${texts.join("")}`);
  }

  /** 16 hexadecimal digits; zeros for the empty set. */
  toString(): string {
    return hex(this.#high) + hex(this.#low);
  }

  /** Two multiplicative hashes of the UTF-16 code units with different constants, each mixed until every bit counts. */
  #combine(text: string): void {
    let high = 0x9e3779b9;
    let low = 0x85ebca6b;
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      high = Math.imul(high ^ unit, 0x01000193);
      low = Math.imul(low ^ unit, 0x5bd1e995);
      low ^= low >>> 15;
    }
    this.#high ^= mix(high ^ (low >>> 7));
    this.#low ^= mix(low ^ (high << 9));
  }
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
