import type { Command } from "./command.ts";

/** What was given to a command: checked against its declaration, so asking for what is not declared is a defect. */
export class Input {
  constructor(
    readonly command: Command,
    private readonly arguments_: ReadonlyMap<string, readonly string[]>,
    private readonly flags: ReadonlyMap<string, readonly string[]>,
  ) {}

  /** The word given for an argument; undefined: it was left out. */
  argument(name: string): string | undefined {
    return this.words(name)[0];
  }

  /** The word given for an argument that cannot be left out. */
  required(name: string): string {
    const word = this.argument(name);
    if (word === undefined) throw new TypeError(`${this.command.path.join(" ")} has no argument ${name}`);
    return word;
  }

  /** All words given for an argument. */
  words(name: string): readonly string[] {
    return this.arguments_.get(name) ?? [];
  }

  /** The value of a flag, the last one if there are several; undefined: it was not given. */
  string(name: string): string | undefined {
    return this.strings(name).at(-1);
  }

  /** All values of a flag, in order. */
  strings(name: string): readonly string[] {
    return this.flags.get(name) ?? [];
  }

  /** Whether a flag was given. */
  flag(name: string): boolean {
    return this.flags.has(name);
  }

  /** How many times a flag was given. */
  count(name: string): number {
    return this.strings(name).length;
  }
}
