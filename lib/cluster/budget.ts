import type { Timers } from "./timers.ts";

/**
 * How Serf spreads an event (memberlist's defaults for a LAN): each agent sends a packet of at most so many bytes to each of
 * three others, five times a second, and an event in 4 × ⌈log10(n + 1)⌉ packets before it lets go of it.
 */
export const PACKET_BYTES = 1400;
export const PACKETS_PER_SECOND = 15;
const RETRANSMIT_FACTOR = 4;

/** How much of that is used, so that queues drain. */
const SHARE = 0.8;

/** How long a host counts as one that has something to say. */
const SPEAKING_MS = 10_000;

/** How often each agent sends an event on, in a cluster of so many. */
export function retransmits(members: number): number {
  return RETRANSMIT_FACTOR * Math.ceil(Math.log10(members + 1));
}

/** Bytes of events, as encoded, that Serf can spread in a second in a cluster of so many members: all together. */
export function clusterBytesPerSecond(members: number): number {
  return SHARE * PACKETS_PER_SECOND * PACKET_BYTES / Math.max(1, retransmits(members));
}

/**
 * This host's part of what Serf can spread. Nobody hands out parts: each host hears who else speaks, and takes an equal
 * part among those. Whoever has been silent may say a packet full at once, so single changes never wait.
 */
export class Budget {
  readonly #timers: Timers;
  readonly #members: () => number;
  /** When each other host was last heard. */
  readonly #speakers = new Map<string, number>();
  #bytes = PACKET_BYTES;
  #filledAt: number;

  /** @param members how many are alive, this one included */
  constructor(o: { timers: Timers; members: () => number }) {
    this.#timers = o.timers;
    this.#members = o.members;
    this.#filledAt = o.timers.now();
  }

  /** Another host has said something. */
  heard(host: string): void {
    this.#speakers.delete(host);
    this.#speakers.set(host, this.#timers.now()); // thus those heard last are last
  }

  /** Bytes that this host may say in a second. */
  get bytesPerSecond(): number {
    const silentSince = this.#timers.now() - SPEAKING_MS;
    for (const [host, at] of this.#speakers) {
      if (at >= silentSince) break;
      this.#speakers.delete(host);
    }
    return clusterBytesPerSecond(this.#members()) / (this.#speakers.size + 1);
  }

  /** Milliseconds until so many bytes may be said; 0: now. */
  waitMs(bytes: number): number {
    this.#fill();
    return Math.max(0, Math.ceil((bytes - this.#bytes) / this.bytesPerSecond * 1000));
  }

  /** So many bytes are said; what is said beyond the budget is saved later. */
  spend(bytes: number): void {
    this.#fill();
    this.#bytes -= bytes;
  }

  #fill(): void {
    const now = this.#timers.now();
    const bytes = this.#bytes + (now - this.#filledAt) / 1000 * this.bytesPerSecond;
    this.#bytes = Math.min(PACKET_BYTES, bytes);
    this.#filledAt = now;
  }
}
