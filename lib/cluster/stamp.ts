/**
 * Which state of an origin something is. Every host is the origin of its own host record and of its own VMs; what it says
 * is ordered by its own counting and by no clock.
 */
export interface Stamp {
  /** Which life of the origin: grows with every start of its daemon. UTC milliseconds, or more if a clock went back. */
  readonly epoch: number;
  /** How many things it had said in that life. */
  readonly seq: number;
  /** Of its VMs at that point: see VmDigest. 16 hexadecimal digits. */
  readonly digest: string;
}

/**
 * How far ahead of the clock an epoch may be that is only heard of. Clocks differ, and an epoch may date from a time when
 * one was wrong; what is beyond this is a defect or malice.
 */
const EPOCH_AHEAD_MS = 366 * 24 * 60 * 60 * 1000;

/** Negative: a is older than b, positive: newer, 0: the same point in the same life. */
export function compareStamps(a: Stamp, b: Stamp): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}

/**
 * Whether an epoch is to be believed that is only heard of. The host itself may answer with any: see Knowledge.
 * @param now UTC milliseconds on this host's clock
 */
export function isBelievable(epoch: number, now: number): boolean {
  return Number.isSafeInteger(epoch + 1) && epoch <= now + EPOCH_AHEAD_MS;
}
