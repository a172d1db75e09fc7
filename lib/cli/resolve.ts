import { VirtxError } from "../model/error.ts";

/** What has a name and a UUID. */
export interface Named {
  readonly uuid: string;
  readonly name: string;
}

/** The shortest beginning of a UUID that is taken for one: fewer digits are likelier a slip. */
const PREFIX_MIN = 4;
/** So many candidates are listed. */
const LISTED = 10;

/**
 * The one that a word names: by its name, its UUID, or a beginning of either that only one has. A whole name or UUID goes
 * before beginnings, a name before a UUID.
 * @param what it is, for messages: "VM"
 * @param describe what tells candidates apart, beside name and UUID
 * @throws VirtxError not_found; conflict, if several are meant, with the candidates
 */
export function resolve<T extends Named>(
  word: string,
  all: readonly T[],
  what: string,
  describe: (candidate: T) => string = () => "",
): T {
  for (const matches of [byName, byUuid, byBeginning]) {
    const found = all.filter((candidate) => matches(candidate, word));
    const [only, ...others] = found;
    if (only !== undefined && others.length === 0) return only;
    if (only !== undefined) throw ambiguous(word, found, what, describe);
  }
  throw new VirtxError("not_found", `There is no ${what} ${JSON.stringify(word)}`);
}

function byName({ name }: Named, word: string): boolean {
  return name === word;
}

function byUuid({ uuid }: Named, word: string): boolean {
  return uuid === word.toLowerCase();
}

function byBeginning({ name, uuid }: Named, word: string): boolean {
  return name.startsWith(word) || (word.length >= PREFIX_MIN && uuid.startsWith(word.toLowerCase()));
}

function ambiguous<T extends Named>(
  word: string,
  found: readonly T[],
  what: string,
  describe: (candidate: T) => string,
): VirtxError {
  const lines = found.slice(0, LISTED).map((one) =>
    `  ${[one.uuid, ...(one.name === one.uuid ? [] : [one.name]), describe(one)].join("  ")}`.trimEnd()
  );
  const named = found.some(({ name, uuid }) => name !== uuid);
  if (found.length > LISTED) lines.push(`  … and ${found.length - LISTED} more`);
  return new VirtxError(
    "conflict",
    `${JSON.stringify(word)} could be any of ${found.length} ${what}s; use more of ${
      named ? "the name, or the UUID" : "it"
    }:\n` +
      lines.join("\n"),
  );
}
