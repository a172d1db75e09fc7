import type { Health } from "../model/health.ts";
import type { HostCondition } from "../model/host_condition.ts";
import type { Logger } from "../model/log.ts";

/** The faults that other hosts are not in order, that they do not reach this one, and that Serf is away here. */
const OTHERS = "other hosts";
const ACCUSED = "not answering";
const SERF = "Serf";

/** So many hosts are named. */
const NAMED_MAX = 10;

/** What a {@link Notices} is made from. */
export interface NoticesOptions {
  readonly health: Health;
  readonly log: Logger;
  readonly nameOf: (uuid: string) => string;
}

/** Tells people, by the log and by /readyz, which hosts are not in order. */
export class Notices {
  readonly #o: NoticesOptions;

  constructor(options: NoticesOptions) {
    this.#o = options;
  }

  /** What a host is without has changed. */
  changed(uuid: string, before: readonly HostCondition[], after: readonly HostCondition[]): void {
    const { log, nameOf } = this.#o;
    const name = nameOf(uuid);
    for (const { part, reason } of lackingIn(before, after)) {
      log.warn("a host is not in order", { host: uuid, name, part, reason });
    }
    for (const { part } of lackingIn(after, before)) {
      log.info("a host is in order again", { host: uuid, name, part });
    }
  }

  /** What all other hosts are without: one fault for all, as many may be away at once. */
  others(conditions: Iterable<readonly [string, readonly HostCondition[]]>): void {
    const { health, nameOf } = this.#o;
    const told: string[] = [];
    for (const [uuid, all] of conditions) {
      told.push(`host ${nameOf(uuid)} is not in order: ${all.map(({ reason }) => reason).join("; ")}`);
    }
    if (told.length === 0) return void health.clear(OTHERS);
    const more = told.length > NAMED_MAX ? `; so are ${told.length - NAMED_MAX} more` : "";
    health.report(OTHERS, { reason: told.sort().slice(0, NAMED_MAX).join(". ") + more, blocking: false });
  }

  /** These hosts say that this one does not answer them. */
  accused(hosts: readonly string[]): void {
    const { health, nameOf } = this.#o;
    if (hosts.length === 0) return void health.clear(ACCUSED);
    const names = hosts.map(nameOf).sort().slice(0, NAMED_MAX).join(", ");
    const reason = `virtxd on this host does not answer ${names}: can they reach its port?`;
    health.report(ACCUSED, { reason, blocking: false });
  }

  /** Whether Serf's agent on this host is away. */
  serf(isAway: boolean): void {
    const { health } = this.#o;
    if (!isAway) return void health.clear(SERF);
    const reason = "Serf's agent on this host is away: other hosts are shown as they were";
    health.report(SERF, { reason, blocking: false });
  }
}

/** Those of the second that the first has not got. */
function lackingIn(
  first: readonly HostCondition[],
  second: readonly HostCondition[],
): readonly HostCondition[] {
  return second.filter(({ part }) => first.every((other) => other.part !== part));
}
