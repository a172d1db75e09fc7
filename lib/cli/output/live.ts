import type { Terminal } from "../terminal.ts";
import { cut } from "./table.ts";

/** Sequences of ECMA-48: the rest of the line erased, and the cursor up by so many lines. */
const END_OF_LINE = "\x1b[K";

function up(lines: number): string {
  return lines === 0 ? "" : `\x1b[${lines}A\r`;
}

/** So many lines emptied; the cursor stays. */
function blank(lines: number): string {
  return `${END_OF_LINE}\n`.repeat(lines) + up(lines);
}

/**
 * Lines at the bottom of a terminal that are written anew in place. They are cut to the terminal, so that none ever takes
 * two rows: otherwise the way back up would be too short. Whoever prints something else meanwhile does it through
 * {@link above}. On what is no terminal nothing is shown.
 */
export class Live implements Disposable {
  readonly #terminal: Terminal;
  readonly #measure: (text: string) => number;
  #shown = 0;
  #lines: readonly string[] = [];
  #suspended = false;

  constructor(terminal: Terminal, measure: (text: string) => number = (text) => text.length) {
    this.#terminal = terminal;
    this.#measure = measure;
  }

  get enabled(): boolean {
    return this.#terminal.isTerminal;
  }

  /** Shows these lines, which hold no sequences, in place of those before. */
  show(lines: readonly string[]): void {
    const columns = this.#terminal.columns ?? 80;
    // The last column is left free: some terminals would begin a new row there.
    this.draw(lines.map((line) => cut(line, columns - 1, this.#measure)));
  }

  /** Shows lines that fit the terminal already, with colours maybe. Of too many, those in the middle are left out. */
  draw(lines: readonly string[]): void {
    if (!this.enabled) return;
    const rows = (this.#terminal.rows ?? 24) - 1;
    this.#lines = lines.length <= rows ? lines : [...lines.slice(0, rows - 2), "…", ...lines.slice(-1)];
    this.#paint();
  }

  /** Lets something else be printed where the lines are, which come again below it. */
  above(print: () => void): void {
    this.#erase();
    print();
    this.#paint();
  }

  /** Takes the lines away until {@link resume}. */
  suspend(): void {
    this.#erase();
    this.#suspended = true;
  }

  resume(): void {
    this.#suspended = false;
    this.#paint();
  }

  /** Leaves the lines as they are, and begins anew below them. */
  keep(): void {
    this.#shown = 0;
    this.#lines = [];
  }

  [Symbol.dispose](): void {
    this.#lines = [];
    this.#erase();
  }

  #paint(): void {
    if (this.#suspended) return;
    if (this.#shown === 0 && this.#lines.length === 0) return;
    // Line by line over what is there: nothing flickers, and no terminal takes an emptied screen for history.
    const text = this.#lines.map((line) => `${line}${END_OF_LINE}\n`).join("");
    const rest = blank(Math.max(0, this.#shown - this.#lines.length));
    this.#terminal.write(up(this.#shown) + text + rest);
    this.#shown = this.#lines.length;
  }

  #erase(): void {
    if (this.#shown > 0) this.#terminal.write(up(this.#shown) + blank(this.#shown));
    this.#shown = 0;
  }
}
