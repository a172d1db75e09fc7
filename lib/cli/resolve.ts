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

/** How candidates are told apart. */
export interface Distinction<T> {
  /** Another name, which only one has where several have the same name: "virt1/web1". */
  readonly path?: (candidate: T) => string;
  /** What is listed beside name and UUID. */
  readonly about?: (candidate: T) => string;
}

/**
 * The one that a word names: by its name, its UUID, its path, or a beginning of any that only one has. What is whole goes
 * before beginnings, a name before a UUID, that before a path.
 * @param what it is, for messages: "VM"
 * @throws VirtxError not_found; conflict, if several are meant, with the candidates
 */
export function resolve<T extends Named>(
  word: string,
  all: readonly T[],
  what: string,
  distinction: Distinction<T> = {},
): T {
  const path = (candidate: T) => distinction.path?.(candidate) ?? "";
  const rules: readonly ((candidate: T) => boolean)[] = [
    ({ name }) => name === word,
    ({ uuid }) => uuid === word.toLowerCase(),
    (candidate) => word !== "" && path(candidate) === word,
    (candidate) => begins(candidate, word) || (word.includes("/") && path(candidate).startsWith(word)),
  ];
  for (const rule of rules) {
    const found = all.filter(rule);
    const [only, ...others] = found;
    if (only !== undefined && others.length === 0) return only;
    if (only !== undefined) throw ambiguous(word, found, what, distinction);
  }
  throw new VirtxError("not_found", `There is no ${what} ${JSON.stringify(word)}`);
}

function begins({ name, uuid }: Named, word: string): boolean {
  return name.startsWith(word) || (word.length >= PREFIX_MIN && uuid.startsWith(word.toLowerCase()));
}

function ambiguous<T extends Named>(
  word: string,
  found: readonly T[],
  what: string,
  { path, about }: Distinction<T>,
): VirtxError {
  const lines = found.slice(0, LISTED).map((one) => {
    const names = one.name === one.uuid ? [] : [path?.(one) ?? one.name];
    return `  ${[one.uuid, ...names, about?.(one) ?? ""].join("  ")}`.trimEnd();
  });
  const named = found.some(({ name, uuid }) => name !== uuid);
  const more = named ? `the name, or ${path ? "one of these" : "the UUID"}` : "it";
  if (found.length > LISTED) lines.push(`  … and ${found.length - LISTED} more`);
  return new VirtxError(
    "conflict",
    `${JSON.stringify(word)} could be any of ${found.length} ${what}s; use more of ${more}:\n` +
      lines.join("\n"),
  );
}
