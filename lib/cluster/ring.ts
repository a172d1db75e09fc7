import { SetDigest } from "./digest.ts";

/** A host as a place in the ring. */
export interface RingPlace {
  readonly uuid: string;
  /** Whether it watches others: hosts of earlier versions and of the prototype do not, nor does one that does not answer. */
  readonly watches: boolean;
}

/** How many hosts watch each one. */
export const WATCHERS = 3;

/** The most hosts that one watches, where few do. */
const WATCHED_MAX = 24;

/**
 * Which hosts a host watches: all hosts are in a ring, in an order that is the same to all and has nothing to do with their
 * names or places, and each is watched by the nearest three before it that do. So each host is watched by some at any time,
 * however many there are, and nobody has to be told by whom. (Choosing at random whom to ask next would leave a host
 * unasked for a time now and then; going through all in turn takes too long where there are a thousand.)
 *
 * @returns their UUIDs, the nearest first
 */
export function watchedBy(self: string, hosts: Iterable<RingPlace>): readonly string[] {
  const ring = [...hosts].filter(({ uuid }) => uuid !== self).map((host) => ({
    ...host,
    at: placeOf(host.uuid),
  }));
  const own = placeOf(self);
  const isAfter = ({ at }: { readonly at: string }) => at > own;
  ring.sort((a, b) => Number(isAfter(b)) - Number(isAfter(a)) || (a.at < b.at ? -1 : 1));
  const watched: string[] = [];
  let between = 0;
  for (const { uuid, watches } of ring) {
    if (between >= WATCHERS || watched.length >= WATCHED_MAX) break;
    watched.push(uuid);
    if (watches) between++;
  }
  return watched;
}

function placeOf(uuid: string): string {
  const digest = new SetDigest();
  digest.toggle(uuid);
  return digest.toString() + uuid;
}
