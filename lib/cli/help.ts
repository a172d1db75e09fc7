import { type Argument, clientHelp, type Command, type Flag, type Noun } from "./command.ts";
import { COMMON_FLAGS } from "./commands/common.ts";
import { GENERAL, NOUNS } from "./commands/table.ts";
import { CLIENT_EXIT_CODES } from "./exit_code.ts";
import { wrap } from "./layout.ts";
import type { Terminal } from "./terminal.ts";

/** The widest and the narrowest that help is laid out. */
const WIDEST = 100;
const NARROWEST = 30;

/** Help about everything, a noun, or a command, fitted to the terminal. */
export function help(about: Noun | Command | undefined, program: string, out: Terminal): string {
  const page = new Page(out, program);
  if (about === undefined) return page.overview();
  return "path" in about ? page.command(about) : page.noun(about);
}

type Entry = readonly [term: string, text: string];

class Page {
  readonly #out: Terminal;
  readonly #program: string;
  readonly #width: number;

  constructor(out: Terminal, program: string) {
    this.#out = out;
    this.#program = program;
    this.#width = Math.max(NARROWEST, Math.min(WIDEST, out.columns ?? WIDEST));
  }

  overview(): string {
    return joined([
      this.#paragraph("virtx runs the virtual machines of a cluster of hosts: ask any host about any VM."),
      this.#usage(`${this.#program} <what> <command> [arguments] [flags]`),
      this.#examples("FIRST STEPS", FIRST_STEPS),
      ...NOUNS.map(({ name, commands }) =>
        this.#entries(`${name.toUpperCase()} COMMANDS`, commands.map((command) => this.#entry(command)))
      ),
      this.#entries("OTHER COMMANDS", GENERAL.map((command) => this.#entry(command))),
      this.#flags("FLAGS OF EVERY COMMAND", COMMON_FLAGS),
      this.#entries("ENVIRONMENT", ENVIRONMENT),
      this.#entries("FILES", FILES),
      this.#entries("EXIT CODES", CLIENT_EXIT_CODES),
      this.#paragraph(
        `${this.#program} <what> <command> --help tells more, with examples. The verb may come first, with the flags that ` +
          "the prototype had: list vm, boot vm, migrate vm -l -h virt2 web1.",
      ),
    ]);
  }

  noun(noun: Noun): string {
    return joined([
      this.#paragraph(`${noun.summary}.`),
      this.#usage(`${this.#program} ${noun.name} <command> [arguments] [flags]`),
      this.#entries("COMMANDS", noun.commands.map((command) => this.#entry(command))),
      this.#paragraph(`${this.#program} ${noun.name} <command> --help tells more, with examples.`),
    ]);
  }

  command(command: Command): string {
    const { arguments: args = [], flags = [], examples } = command;
    return joined([
      this.#paragraph(`${command.summary}.`),
      this.#usage([this.#program, usageOf(command)].join(" ")),
      ...(command.description ?? "").split("\n\n").filter((text) => text !== "").map((text) =>
        this.#paragraph(text)
      ),
      this.#examples("EXAMPLES", examples.map(({ command, summary }) => [command, summary])),
      this.#entries(
        "ARGUMENTS",
        args.map((argument) => [argumentUsage(argument), argument.summary]),
      ),
      this.#flags("FLAGS", flags),
      this.#paragraph(
        `The flags of every command (${
          COMMON_FLAGS.map(({ name }) => `--${name}`).join(", ")
        }) are told by ` +
          `${clientHelp(this.#program)}.`,
      ),
    ]);
  }

  #entry(command: Command): Entry {
    return [usageOf(command, false), command.summary];
  }

  #named(command: string): string {
    return command.replaceAll(/\bvirtx (?=[a-z])/g, `${this.#program} `);
  }

  #usage(line: string): string {
    return `${this.#heading("USAGE")}\n  ${line}\n`;
  }

  #heading(text: string): string {
    return this.#out.colours.paint(text, "bold");
  }

  #paragraph(text: string): string {
    return `${wrap(text, this.#width).join("\n")}\n`;
  }

  #flags(heading: string, flags: readonly Flag[]): string {
    return this.#entries(heading, flags.map((flag) => [flagUsage(flag), flagSummary(flag)]));
  }

  /** Terms and what is said of each, side by side; of a long term below it. */
  #entries(heading: string, given: readonly Entry[]): string {
    if (given.length === 0) return "";
    // As they will be written: in ASCII they are longer.
    const entries = given.map(([term, text]) => [this.#out.shown(term), this.#out.shown(text)] as const);
    const longest = Math.max(...entries.map(([term]) => term.length));
    const column = Math.min(longest, Math.floor(this.#width * 0.4)) + 4;
    const lines = entries.flatMap(([term, text]) => {
      const said = wrap(text, this.#width - column);
      const beside = term.length + 4 <= column;
      const first = beside ? said.slice(0, 1) : [];
      return [
        `  ${term.padEnd(column - 2)}${first.join("")}`.trimEnd(),
        ...said.slice(first.length).map((line) => " ".repeat(column) + line),
      ];
    });
    return `${this.#heading(heading)}\n${lines.join("\n")}\n`;
  }

  /** Command lines, each with what it is for. */
  #examples(heading: string, entries: readonly Entry[]): string {
    const { colours } = this.#out;
    const lines = entries.map(([command, summary]) =>
      `  ${colours.paint(`# ${summary}`, "dim")}\n  ${this.#named(command)}`
    );
    return `${this.#heading(heading)}\n${lines.join("\n")}\n`;
  }
}

/** How a command is written: "vm get <vm> [flags]". */
export function usageOf({ path, arguments: args = [], flags = [] }: Command, withFlags = true): string {
  const parts = [...path, ...args.map(argumentUsage)];
  return [...parts, ...(withFlags && flags.length > 0 ? ["[flags]"] : [])].join(" ");
}

/** How an argument is written: "<vm>", "[<file>]", "<vm>…". */
export function argumentUsage({ name, many, optional }: Argument): string {
  const word = `<${name}>${many ? "…" : ""}`;
  return optional ? `[${word}]` : word;
}

/** How a flag is written: "-m, --memory <size>". */
export function flagUsage({ name, short, value }: Flag): string {
  const long = value === undefined ? `--${name}` : `--${name} ${value}`;
  return short === undefined ? `    ${long}` : `-${short}, ${long}`;
}

/** What is said of a flag, with all that its declaration adds. */
export function flagSummary({ summary, repeat, choices, value }: Flag): string {
  const words = choices !== undefined && !choices.some((choice) => summary.includes(choice))
    ? `: ${choices.join(", ")}`
    : "";
  return `${summary}${words}${repeat && value !== undefined ? "; may be given several times" : ""}`;
}

function joined(sections: readonly string[]): string {
  return sections.filter((section) => section !== "").join("\n");
}

/** From nothing to a VM that moves. */
export const FIRST_STEPS: readonly Entry[] = [
  ["virtx host list", "What there is to run VMs on"],
  ["virtx vm create --name web2 --memory 256MiB --disk size=64MiB --net bridge=br0", "Make a VM"],
  ["virtx vm start web2", "Start it"],
  ["virtx vm watch", "See how all are doing; Ctrl-C ends"],
  ["virtx vm migrate web2", "Move it to another host while it runs"],
  ["virtx vm stop web2 --force", "Stop it"],
  ["virtx vm delete web2 --storage", "Delete it with its disk"],
];

/** What the environment decides. */
export const ENVIRONMENT: readonly Entry[] = [
  ["VIRTX_API_SERVER", "The server to ask, or several separated by commas, as --server has them"],
  ["VIRTX_PROFILE", "The profile to use, as --profile has it"],
  ["VIRTX_CONFIG", "Another configuration file"],
  ["NO_COLOR", "If it is not empty: no colours"],
  ["VISUAL, EDITOR", "The editor for vm edit; else vi"],
];

/** What is read and written. */
export const FILES: readonly Entry[] = [
  ["~/.config/virtx/config.toml", "Profiles; see config set"],
  ["~/.cache/virtx/", "Names that were completed just now"],
  ["/run/virtxd/virtxd.sock", "This host's own server"],
];
