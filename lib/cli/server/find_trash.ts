import { resolve } from "../resolve.ts";
import { instant } from "../output/human.ts";
import type { TrashItem } from "./trash.ts";

/** What in the trash words name, by its id, the name of its VM, or a beginning of either: each once. */
export function findTrash(
  words: readonly string[],
  items: readonly TrashItem[],
): readonly (TrashItem & { readonly uuid: string })[] {
  const named = items.map((item) => ({ ...item, uuid: item.id }));
  const about = ({ deleted }: TrashItem) => `deleted ${instant(deleted)}`;
  return [...new Set(words.map((word) => resolve(word, named, "entry of the trash", { about })))];
}
