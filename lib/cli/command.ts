import type { Context } from "./context.ts";
import type { ExitCode } from "./exit_code.ts";
import type { Input } from "./input.ts";

/** What a word of the command line stands for; completion offers what there is of it. */
export type Kind = "vm" | "host" | "operation" | "trash" | "file" | "word";

/** A word of a command line that is no flag. */
export interface Argument {
  /** As help shows it: "vm". */
  readonly name: string;
  readonly summary: string;
  readonly kind: Kind;
  /** The only words that it may be. */
  readonly choices?: readonly string[];
  /** It may be given several times; only the last argument may. */
  readonly many?: boolean;
  /** It may be left out; only the last argument may. */
  readonly optional?: boolean;
}

export interface Flag {
  /** Without its dashes: "memory". */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** What its value is, as help shows it: "<size>". Left out: it takes none. */
  readonly value?: string;
  readonly kind?: Kind;
  /** The only values that it may have. */
  readonly choices?: readonly string[];
  /** Other words for values, which are understood but not shown: `none` for unknown. */
  readonly synonyms?: ReadonlyMap<string, string>;
  /** Other names of it, which are understood but not shown. */
  readonly formerly?: readonly string[];
  /** A number may stand for a choice, as in the prototype's client. */
  readonly numbers?: boolean;
  /** It may be given several times. */
  readonly repeat?: boolean;
  readonly summary: string;
}

export interface Example {
  /** A whole command line that works as it stands in the cluster of the tests: "virtx vm list". */
  readonly command: string;
  readonly summary: string;
}

/** What a command does; loaded when it is asked for. */
export interface Runner {
  /** @throws VirtxError what could not be done */
  run(context: Context, input: Input): Promise<ExitCode>;
}

/** A command of the client, as parser, help, completion, man page and reference need it. */
export interface Command {
  /** The words that name it: ["vm", "list"]. */
  readonly path: readonly string[];
  /** One line, beginning with a verb, without a full stop. */
  readonly summary: string;
  /** Paragraphs. */
  readonly description?: string;
  readonly arguments?: readonly Argument[];
  readonly flags?: readonly Flag[];
  readonly examples: readonly Example[];
  readonly load: () => Promise<Runner>;
}

/** What several commands are about: the first word of their path. */
export interface Noun {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

/** A spelling of the prototype's client, verb first: `list vm` is `vm list`. */
export interface Alias {
  /** The words in front. */
  readonly from: readonly string[];
  /** What they stand for. */
  readonly to: readonly string[];
  /** Its flags, with their dashes, and what each is here; an empty text: it has no meaning any more and is left out. */
  readonly flags: Readonly<Record<string, string>>;
}

/** What shows the client's help, by the name under which the program was called: `virtxd --help` is that of the daemon. */
export function clientHelp(program: string): string {
  return program === "virtxd" ? "virtxd help" : `${program} --help`;
}
