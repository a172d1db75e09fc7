import { plain } from "../output/plain.ts";
import { complete } from "./candidates.ts";
import { type NameOptions, namesOf } from "./names.ts";

/** The last line of an answer tells the shell to complete file names. */
export const FILES = ":files";

/**
 * The answer to a shell that asks what could come next: a line for each word, with a tab and what it is about. Never fails,
 * and says nothing but that.
 * @param words behind the program's name, the last one as far as it has been written
 */
export async function answer(
  words: readonly string[],
  o: Omit<NameOptions, "servers" | "profile">,
): Promise<string> {
  const { candidates, kind, before, beginning } = complete(words);
  const names = kind === undefined || kind === "word" || kind === "file" ? [] : await namesOf(kind, {
    ...o,
    servers: valueOf(words, "--server"),
    profile: valueOf(words, "--profile"),
  });
  const lines = [...candidates, ...names]
    .flatMap(({ word, about, path = "" }) => {
      if (word.startsWith(beginning)) return [{ word, about }];
      return beginning.includes("/") && path.startsWith(beginning) ? [{ word: path, about }] : [];
    })
    .map(({ word, about }) => `${before}${plain(word)}\t${plain(about)}`);
  if (kind === "file") lines.push(FILES);
  return lines.map((line) => `${line}\n`).join("");
}

/** The value of a flag that is written in full somewhere before the cursor. */
function valueOf(words: readonly string[], flag: string): string | undefined {
  const given = words.slice(0, -1);
  const inline = given.findLast((word) => word.startsWith(`${flag}=`));
  if (inline !== undefined) return inline.slice(flag.length + 1);
  const at = given.lastIndexOf(flag);
  return at === -1 ? undefined : given[at + 1];
}
