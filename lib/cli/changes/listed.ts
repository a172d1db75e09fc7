import { plain } from "../output/plain.ts";
import type { Named } from "../resolve.ts";

/** So many are named. */
const NAMED = 5;

/** "web1", "web1 and web2", or "web1, web2, web3, web4, web5 and 12 more". */
export function listed(all: readonly Named[]): string {
  const names = all.slice(0, NAMED).map(({ name }) => plain(name));
  if (all.length > NAMED) return `${names.join(", ")} and ${all.length - NAMED} more`;
  const last = names.pop() ?? "nothing";
  return names.length === 0 ? last : `${names.join(", ")} and ${last}`;
}
