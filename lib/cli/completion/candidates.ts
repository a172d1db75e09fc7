import type { Argument, Command, Flag, Kind } from "../command.ts";
import { COMMON_FLAGS } from "../commands/common.ts";
import { GENERAL, NOUNS } from "../commands/table.ts";

/** Something that could stand where the cursor is. */
export interface Candidate {
  readonly word: string;
  /** Shown beside it by shells that do. */
  readonly about: string;
  /** Another word for it, for who has begun to write that: virt1/web1. */
  readonly path?: string;
}

/** What could stand where the cursor is: words that are known here, or names that the cluster knows. */
export interface Completion {
  readonly candidates: readonly Candidate[];
  /** Names of this kind as well; file: the shell's own completion. */
  readonly kind?: Kind;
  /** What stands before the word in the same argument: "--host=". */
  readonly before: string;
  /** What the candidates must begin with. */
  readonly beginning: string;
}

/**
 * What could come next on a command line.
 * @param words behind the program's name; the last one is what has been written of the next word, maybe nothing
 */
export function complete(words: readonly string[]): Completion {
  const beginning = words.at(-1) ?? "";
  const given = words.slice(0, -1);
  const { path, rest } = split(given);
  const command = commandOf(path);
  const flags = [...command?.flags ?? [], ...COMMON_FLAGS];
  const pending = pendingFlag(rest.at(-1), flags);
  if (pending !== undefined) return valuesOf(pending, "", beginning);
  if (beginning.startsWith("--") && beginning.includes("=")) {
    const [name = "", value = ""] = cutAt(beginning, "=");
    const flag = flags.find((each) => `--${each.name}` === name);
    return flag === undefined ? nothing(beginning) : valuesOf(flag, `${name}=`, value);
  }
  if (beginning.startsWith("-")) return { candidates: flags.map(flagCandidate), before: "", beginning };
  if (command !== undefined) return argumentOf(command, rest, flags, beginning);
  const [noun] = path;
  const candidates = noun === undefined
    ? [
      ...NOUNS.map(({ name, summary }) => ({ word: name, about: summary })),
      ...GENERAL.map(({ path, summary }) => ({ word: path[0] ?? "", about: summary })),
    ]
    : NOUNS.find(({ name }) => name === noun)?.commands
      .map(({ path, summary }) => ({ word: path[1] ?? "", about: summary })) ?? [];
  return { candidates, before: "", beginning };
}

/** The words that name a command, and what stands behind or between them. */
function split(given: readonly string[]): { path: readonly string[]; rest: readonly string[] } {
  const path: string[] = [];
  const rest: string[] = [];
  for (let i = 0; i < given.length; i++) {
    const word = given[i] ?? "";
    const isNamed = commandOf(path) !== undefined;
    if (!isNamed && !word.startsWith("-")) path.push(word);
    else {
      rest.push(word);
      if (!isNamed && pendingFlag(word, COMMON_FLAGS) !== undefined && i + 1 < given.length) {
        rest.push(given[++i] ?? "");
      }
    }
  }
  return { path, rest };
}

function commandOf(path: readonly string[]): Command | undefined {
  return [...GENERAL, ...NOUNS.flatMap(({ commands }) => commands)]
    .find((command) =>
      command.path.length === path.length && command.path.every((word, i) => word === path[i])
    );
}

/** The flag whose value is still to come. */
function pendingFlag(word: string | undefined, flags: readonly Flag[]): Flag | undefined {
  return flags.find(({ name, short, value }) =>
    value !== undefined && (word === `--${name}` || (short !== undefined && word === `-${short}`))
  );
}

function argumentOf(
  { arguments: declared = [] }: Command,
  rest: readonly string[],
  flags: readonly Flag[],
  beginning: string,
): Completion {
  const words = rest.filter((word, i) =>
    !word.startsWith("-") && pendingFlag(rest[i - 1], flags) === undefined
  );
  const last = declared.at(-1);
  const argument = declared[words.length] ?? (last?.many ? last : undefined);
  return argument === undefined ? nothing(beginning) : valuesOf(argument, "", beginning);
}

function valuesOf(
  { kind, choices = [] }: Pick<Argument | Flag, "kind" | "choices">,
  before: string,
  beginning: string,
): Completion {
  return {
    candidates: choices.map((word) => ({ word, about: "" })),
    ...(kind !== undefined && { kind }),
    before,
    beginning,
  };
}

function flagCandidate({ name, summary }: Flag): Candidate {
  return { word: `--${name}`, about: summary };
}

function nothing(beginning: string): Completion {
  return { candidates: [], before: "", beginning };
}

function cutAt(text: string, mark: string): readonly string[] {
  const at = text.indexOf(mark);
  return [text.slice(0, at), text.slice(at + 1)];
}
