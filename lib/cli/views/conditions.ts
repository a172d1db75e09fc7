import { instantOrNull } from "../output/human.ts";
import type { HostCondition } from "../server/hosts.ts";

/** What hosts are without, for people; "-": nothing. */
export function reasonsOf(conditions: readonly HostCondition[]): string {
  return conditions.length === 0 ? "-" : conditions.map(({ reason }) => reason).join("; ");
}

/** The same for programs. */
export function conditionRecords(
  conditions: readonly HostCondition[],
): readonly Readonly<Record<string, unknown>>[] {
  return conditions.map(({ part, reason, since }) => ({ part, reason, since: instantOrNull(since) }));
}
