import type { HostFault } from "../model/host_condition.ts";

/** How often it is looked at what this host is without. */
const LOOK_MS = 1_000;
/** What is away for so many looks in a row is told to the others: a libvirtd that is started again is back before. */
const LOOKS = 3;

/** Something that this host stands on. */
export interface Footing {
  readonly part: HostFault;
  /** From memory. */
  readonly isAway: () => boolean;
}

/** Tells each time that this host comes to be without something, and each time that it is back, until disposed. */
export function followFaults(
  footings: readonly Footing[],
  tell: (faults: readonly HostFault[]) => void,
): Disposable {
  const away = new Map<HostFault, number>();
  const timer = setInterval(() => {
    for (const { part, isAway } of footings) away.set(part, isAway() ? (away.get(part) ?? 0) + 1 : 0);
    tell(footings.flatMap(({ part }) => (away.get(part) ?? 0) >= LOOKS ? [part] : []));
  }, LOOK_MS);
  Deno.unrefTimer(timer);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
