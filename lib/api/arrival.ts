import { VirtxError } from "../model/error.ts";

/**
 * On a request between hosts: until when it may arrive, on the clock of the host that it is for; `?` if that is not known. What the
 * network holds back arrives when nobody waits for it any more: TCP sends it again for minutes, even after its sender has
 * closed the connection. A change must not be carried out then.
 */
export const ARRIVE_BY_HEADER = "x-virtx-arrive-by";
/** On the answer: the moment at which it was made, on that clock. */
export const MOMENT_HEADER = "x-virtx-moment";

/** How long a change may be on its way, in milliseconds. */
export const ARRIVAL_MS = 10_000;
/** How long an estimate of another host's clock is good: clocks drift apart. */
const ESTIMATE_MS = 600_000;
/** Soon enough, as nothing was done. */
const RETRY_S = 1;

/** A moment as it travels: which clock, and its milliseconds. */
const MOMENT = /^([0-9a-f]{8}):([0-9]{1,15})$/;

/** A clock that only goes forward, and which begins anew with each process; so it has a name. */
const OWN = crypto.randomUUID().slice(0, 8);

/** This moment, for other hosts. */
export function moment(now = performance.now()): string {
  return `${OWN}:${Math.trunc(now)}`;
}

/**
 * Refuses what has been on its way for too long. What tells no moment of this process's clock is let through: it comes from a host
 * that does not know it yet, or of an earlier version, or from no host.
 * @throws VirtxError unavailable
 */
export function requireInTime(headers: Headers, now = performance.now()): void {
  const [, clock, ms] = MOMENT.exec(headers.get(ARRIVE_BY_HEADER) ?? "") ?? [];
  if (clock !== OWN || now <= Number(ms)) return;
  throw new VirtxError(
    "unavailable",
    `The request was on its way for more than ${ARRIVAL_MS / 1000} s, and nothing was done; ask again`,
    { retryAfterS: RETRY_S },
  );
}

interface Estimate {
  /** Undefined: the host tells none. */
  readonly clock: string | undefined;
  /** How far it is ahead of ours. An answer takes its time, so the largest of several is the closest. */
  readonly aheadMs: number;
  readonly madeAt: number;
}

/** The clocks of other hosts, by the origins of their URLs, as far as their answers tell them. */
export class PeerClocks {
  readonly #estimates = new Map<string, Estimate>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether it is known well enough what the host's clock says, or that it tells none. */
  knows(origin: string): boolean {
    const estimate = this.#estimates.get(origin);
    return estimate !== undefined && !this.#isOld(estimate);
  }

  /** Takes over what an answer tells. */
  learn(origin: string, headers: Headers): void {
    const [, clock, ms] = MOMENT.exec(headers.get(MOMENT_HEADER) ?? "") ?? [];
    const madeAt = this.#now();
    const estimate = { clock, aheadMs: Number(ms ?? 0) - madeAt, madeAt };
    const before = this.#estimates.get(origin);
    const isBetter = !before || before.clock !== clock || estimate.aheadMs > before.aheadMs ||
      this.#isOld(before);
    if (isBetter) this.#estimates.set(origin, estimate);
  }

  /** Until when a request to this host may arrive that is sent now. */
  arriveBy(origin: string): string {
    const { clock, aheadMs } = this.#estimates.get(origin) ?? {};
    if (clock === undefined || aheadMs === undefined) return "?";
    return `${clock}:${Math.trunc(this.#now() + aheadMs + ARRIVAL_MS)}`;
  }

  #isOld({ madeAt }: Estimate): boolean {
    return this.#now() - madeAt > ESTIMATE_MS;
  }
}
