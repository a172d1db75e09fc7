import { isUuid } from "../../model/uuid.ts";
import { resolve } from "../resolve.ts";
import type { Cluster } from "./cluster.ts";

/** The most that can be listed; a beginning of an older one's id does not find it. */
const LISTED = "1000";

/**
 * The ids of the operations that words name: whole ids, or beginnings that only one has.
 * @throws VirtxError not_found; conflict
 */
export async function findOperations(cluster: Cluster, words: readonly string[]): Promise<readonly string[]> {
  if (words.every(isUuid)) return words;
  const { items } = await cluster.operations({ limit: LISTED });
  const named = items.map(({ id, op }) => ({ uuid: id, name: id, op }));
  return words.map((word) => resolve(word, named, "operation", ({ op }) => op).uuid);
}
