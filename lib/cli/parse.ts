import { suggest } from "../model/suggest.ts";
import type { Alias, Argument, Command, Flag, Noun } from "./command.ts";
import { ALIASES } from "./commands/aliases.ts";
import { COMMON_FLAGS } from "./commands/common.ts";
import { commandElsewhere, flagElsewhere } from "./commands/foreign.ts";
import { GENERAL, NOUNS } from "./commands/table.ts";
import { Input } from "./input.ts";

/** What a command line asks the client for. */
export type Request =
  | { readonly kind: "run"; readonly input: Input }
  /** Help for everything, a noun, or a command. */
  | { readonly kind: "help"; readonly about: Noun | Command | undefined }
  | { readonly kind: "version" }
  | Mistake;

/** It cannot be understood. */
export interface Mistake {
  readonly kind: "mistake";
  readonly messages: readonly string[];
  /** Whose help has what is right. */
  readonly about: readonly string[];
}

/** So many words name a command: two of ours, three of the prototype's. */
const WORDS_MAX = 3;

/** Reads the arguments of the client. */
export function parse(args: readonly string[]): Request {
  const spelled = modern(args);
  const { words, at } = pathOf(spelled);
  const [first] = words;
  if (first === undefined) return withoutCommand(spelled);
  const general = GENERAL.find(({ path }) => path[0] === first);
  if (general !== undefined) return new CommandLine(general).read(without(spelled, at, 1));
  const noun = NOUNS.find(({ name }) => name === first);
  if (noun === undefined) {
    const nouns = [...NOUNS.map(({ name }) => name), ...GENERAL.map(({ path }) => path[0] ?? "")];
    return unknown(first, nouns, [], "command", withoutNoun(first));
  }
  const command = commandOf(noun, words);
  if (command !== undefined) return new CommandLine(command).read(without(spelled, at, command.path.length));
  const second = words[1];
  if (second === undefined) return { kind: "help", about: noun };
  const verbs = noun.commands.map(({ path }) => path[1] ?? "");
  return unknown(second, verbs, [noun.name], `${noun.name} command`);
}

/** What a verb means that stands where its noun should: "start" is "vm start". */
function withoutNoun(word: string): string | undefined {
  const ours = (commands: readonly Command[]) =>
    commands.find(({ path }) => path[1] === word)?.path.join(" ");
  const [vm, ...others] = NOUNS;
  return ours(vm?.commands ?? []) ?? commandElsewhere(word, "") ??
    ours(others.flatMap(({ commands }) => commands));
}

function commandOf({ commands }: Noun, words: readonly string[]): Command | undefined {
  return commands.find(({ path }) => path.every((word, i) => word === words[i]));
}

/** The words at the beginning that could name a command, and where they are; common flags may stand between them. */
function pathOf(args: readonly string[]): { words: readonly string[]; at: readonly number[] } {
  const words: string[] = [];
  const at: number[] = [];
  for (let i = 0; i < args.length && words.length < WORDS_MAX; i++) {
    const arg = args[i] ?? "";
    if (arg === "--") break;
    if (!arg.startsWith("-") || arg === "-") {
      words.push(arg);
      at.push(i);
    } else if (takesNext(arg)) i++;
  }
  return { words, at };
}

/** The prototype's flags for the server, which may stand in front as well. */
const OLD_SERVER_FLAGS: readonly string[] = ["-A", "--api-server"];

/** Whether the argument is a common flag whose value is the next argument. */
function takesNext(arg: string): boolean {
  return OLD_SERVER_FLAGS.includes(arg) ||
    COMMON_FLAGS.some(({ name, short, value }) =>
      value !== undefined && (arg === `--${name}` || arg === `-${short}`)
    );
}

function without(args: readonly string[], at: readonly number[], count: number): readonly string[] {
  const gone = new Set(at.slice(0, count));
  return args.filter((_, i) => !gone.has(i));
}

function withoutCommand(args: readonly string[]): Request {
  const stray = args.find((arg, i) => !takesNext(args[i - 1] ?? "") && !isCommon(arg));
  if (stray === "--version" || stray === "-V") return { kind: "version" };
  if (stray === undefined) return { kind: "help", about: undefined };
  return { kind: "mistake", messages: [`there is no flag ${stray}`], about: [] };
}

function isCommon(arg: string): boolean {
  const [flag] = arg.split("=");
  return COMMON_FLAGS.some(({ name, short }) => flag === `--${name}` || flag === `-${short}`);
}

function unknown(
  word: string,
  candidates: readonly string[],
  about: readonly string[],
  what: string,
  instead?: string,
): Mistake {
  const near = () => {
    const meant = suggest(word, candidates);
    return meant === undefined ? undefined : [...about, meant].join(" ");
  };
  const meant = instead ?? commandElsewhere(word, about[0] ?? "") ?? near();
  const hint = meant === undefined ? "" : ` (did you mean "${meant}"?)`;
  return { kind: "mistake", messages: [`there is no ${what} ${JSON.stringify(word)}${hint}`], about };
}

/** The arguments with a spelling of the prototype made into ours. */
function modern(args: readonly string[]): readonly string[] {
  const { words, at } = pathOf(args);
  const [alias] = ALIASES.filter(({ from }) => from.every((word, i) => word === words[i]))
    .sort((a, b) => b.from.length - a.from.length);
  if (alias === undefined) return args;
  const places = at.slice(0, alias.from.length);
  const rest = args.filter((_, i) => !places.includes(i)).flatMap((arg) => translated(arg, alias));
  return [...alias.to, ...rest];
}

function translated(arg: string, { flags }: Alias): readonly string[] {
  if (arg === "-?") return ["--help"];
  const equals = arg.indexOf("=");
  const bare = equals === -1 ? arg : arg.slice(0, equals);
  const here = flags[bare];
  if (here === undefined) return [arg];
  return here === "" ? [] : [here + arg.slice(bare.length)];
}

/** Reads what stands behind the words that name a command. */
class CommandLine {
  readonly #command: Command;
  readonly #flags: readonly Flag[];
  readonly #words: string[] = [];
  readonly #values = new Map<string, string[]>();
  readonly #messages: string[] = [];

  constructor(command: Command) {
    this.#command = command;
    this.#flags = [...command.flags ?? [], ...COMMON_FLAGS];
  }

  read(args: readonly string[]): Request {
    const rest = [...args];
    for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
      if (arg === "--") this.#words.push(...rest.splice(0));
      else if (arg.startsWith("--")) this.#long(arg, rest);
      else if (arg.startsWith("-") && arg !== "-") this.#short(arg, rest);
      else this.#words.push(arg);
    }
    if (this.#values.has("help")) return { kind: "help", about: this.#command };
    const given = this.#arguments();
    if (this.#messages.length > 0) {
      return { kind: "mistake", messages: this.#messages, about: this.#command.path };
    }
    return { kind: "run", input: new Input(this.#command, given, this.#values) };
  }

  #long(arg: string, rest: string[]): void {
    const equals = arg.indexOf("=");
    const name = equals === -1 ? arg.slice(2) : arg.slice(2, equals);
    const flag = this.#flags.find((each) => each.name === name || each.formerly?.includes(name));
    if (flag === undefined) return this.#unknown(`--${name}`);
    this.#take(flag, `--${name}`, equals === -1 ? undefined : arg.slice(equals + 1), rest);
  }

  /** One letter or several together, the last of which may have its value behind it: -ff, -oyaml, -o=yaml. */
  #short(arg: string, rest: string[]): void {
    for (let i = 1; i < arg.length; i++) {
      const letter = arg[i];
      const flag = this.#flags.find(({ short }) => short === letter);
      if (flag === undefined) return this.#unknown(`-${letter}`);
      const behind = arg.slice(i + 1).replace(/^=/, "");
      const isLast = flag.value !== undefined || arg[i + 1] === "=";
      this.#take(flag, `-${letter}`, isLast && i + 1 < arg.length ? behind : undefined, rest);
      if (isLast) return;
    }
  }

  #take(flag: Flag, spelling: string, inline: string | undefined, rest: string[]): void {
    if (flag.value === undefined) {
      if (inline !== undefined) this.#messages.push(`${spelling} takes no value`);
      else this.#add(flag, "");
      return;
    }
    const value = inline ?? rest.shift();
    if (value === undefined) this.#messages.push(`${spelling} needs a value: ${flag.value}`);
    else {
      const meant = flag.synonyms?.get(value) ?? value;
      const isNumber = flag.numbers && /^\d+$/.test(meant);
      if (isNumber || this.#isChoice(flag.choices, meant, spelling)) this.#add(flag, meant);
    }
  }

  #add({ name, value, repeat }: Flag, given: string): void {
    const before = this.#values.get(name) ?? [];
    // Of a value that may be given once the last one counts.
    this.#values.set(name, value !== undefined && !repeat ? [given] : [...before, given]);
  }

  #unknown(spelling: string): void {
    const spellings = this.#flags.flatMap(({ name, short }) => [`--${name}`, ...short ? [`-${short}`] : []]);
    const meant = spelling.startsWith("--")
      ? flagElsewhere(spelling, spellings) ?? suggest(spelling, spellings)
      : undefined;
    const hint = meant === undefined ? "" : ` (did you mean ${meant}?)`;
    this.#messages.push(`${this.#command.path.join(" ")} has no flag ${spelling}${hint}`);
  }

  #isChoice(choices: readonly string[] | undefined, value: string, what: string): boolean {
    if (choices === undefined || choices.includes(value)) return true;
    const meant = suggest(value, choices);
    const hint = meant === undefined ? "" : ` (did you mean ${meant}?)`;
    this.#messages.push(`${what} must be one of ${choices.join(", ")}; not ${JSON.stringify(value)}${hint}`);
    return false;
  }

  #arguments(): ReadonlyMap<string, readonly string[]> {
    const given = new Map<string, readonly string[]>();
    const words = [...this.#words];
    for (const argument of this.#command.arguments ?? []) {
      const taken = argument.many ? words.splice(0) : words.splice(0, 1);
      if (taken.length === 0 && !argument.optional) this.#messages.push(missing(argument));
      for (const word of taken) this.#isChoice(argument.choices, word, `<${argument.name}>`);
      given.set(argument.name, taken);
    }
    if (words.length > 0) {
      this.#messages.push(
        `${this.#command.path.join(" ")} takes no further argument ${JSON.stringify(words[0])}`,
      );
    }
    return given;
  }
}

function missing({ name, summary }: Argument): string {
  return `<${name}> is missing: ${summary.charAt(0).toLowerCase()}${summary.slice(1)}`;
}
