import { isUuid } from "../../model/uuid.ts";
import { resolve } from "../resolve.ts";
import { vmNames } from "../views/operation_list.ts";
import { operationWord } from "../views/words.ts";
import type { Cluster } from "./cluster.ts";
import type { OperationItem } from "./operations.ts";

/** The most that can be listed; a beginning of an older one's id does not find it. */
const LISTED = "1000";

/**
 * The ids of the operations that words name: whole ids, or beginnings that only one has.
 * @throws VirtxError not_found; conflict
 */
export async function findOperations(cluster: Cluster, words: readonly string[]): Promise<readonly string[]> {
  if (words.every(isUuid)) return words;
  const [{ items }, vms] = await Promise.all([cluster.operations({ limit: LISTED }), cluster.vms()]);
  const vmName = vmNames({ vms });
  const named = items.map((item) => ({ ...item, uuid: item.id, name: item.id }));
  const about = ({ op, vm, state }: OperationItem) => `${operationWord(op)} of ${vmName(vm)}, ${state}`;
  return words.map((word) => resolve(word, named, "operation", { about }).uuid);
}
