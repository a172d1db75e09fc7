import type { Terminal } from "../terminal.ts";
import { cut } from "./table.ts";

/** Sequences of ECMA-48: the rest of the line erased, and the cursor up by so many lines. */
const END_OF_LINE = "\x1b[K";
/** What Colours puts between characters: it takes no room. */
// deno-lint-ignore no-control-regex -- sequences begin with one
const SEQUENCE = /(\x1b\[\d+m)/g;
/** Ends every style. */
const PLAIN = "\x1b[m";

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
 * {@link above}. Where a terminal becomes narrower it breaks the lines that are there, as most do: the way back up is as
 * much longer. On what is no terminal, or cannot move its cursor, nothing is shown.
 */
export class Live implements Disposable {
  readonly #terminal: Terminal;
  readonly #measure: (text: string) => number;
  /** How many columns each line takes that is on the screen. */
  #shown: readonly number[] = [];
  #lines: readonly string[] = [];
  #suspended = false;

  constructor(terminal: Terminal, measure: (text: string) => number = (text) => text.length) {
    this.#terminal = terminal;
    this.#measure = measure;
  }

  get enabled(): boolean {
    return this.#terminal.isAddressable;
  }

  /** How many columns and rows there are for lines. The last column is left free: some terminals would begin a new row there. */
  get room(): { readonly columns: number; readonly rows: number } {
    const { columns = 80, rows = 24 } = this.#terminal;
    return { columns: Math.max(1, columns - 1), rows: Math.max(1, rows - 1) };
  }

  /**
   * Shows these lines in place of those before; they may have colours, and no other sequences. Of too many, those in the
   * middle are left out.
   */
  show(lines: readonly string[]): void {
    if (!this.enabled) return;
    const { rows } = this.room;
    this.#lines = lines.length <= rows
      ? lines
      : rows < 3
      ? lines.slice(-rows)
      : [...lines.slice(0, rows - 2), "…", ...lines.slice(-1)];
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
    this.#shown = [];
    this.#lines = [];
  }

  [Symbol.dispose](): void {
    this.#lines = [];
    this.#erase();
  }

  #paint(): void {
    if (this.#suspended) return;
    if (this.#shown.length === 0 && this.#lines.length === 0) return;
    const lines = this.#lines.map((line) => this.#fitted(line));
    const rows = this.#rows();
    // Line by line over what is there: nothing flickers, and no terminal takes an emptied screen for history.
    const text = lines.map((line) => `${line}${END_OF_LINE}\n`).join("");
    this.#terminal.write(up(rows) + text + blank(Math.max(0, rows - lines.length)));
    this.#shown = lines.map((line) => this.#columns(line));
  }

  #erase(): void {
    const rows = this.#rows();
    // The row of the cursor, too: a terminal shows ^C there.
    if (rows > 0) this.#terminal.write(`\r${END_OF_LINE}${up(rows)}${blank(rows)}`);
    this.#shown = [];
  }

  /** How many rows of the terminal, as it is now, what was shown takes. */
  #rows(): number {
    const { columns = 80 } = this.#terminal;
    return this.#shown.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
  }

  /** How many columns a text takes as it will be written. */
  columns(text: string): number {
    return this.#measure(this.#terminal.shown(text));
  }

  #columns(line: string): number {
    return this.#measure(line.replace(SEQUENCE, ""));
  }

  /** As much of a line as there are columns for. */
  #fitted(line: string): string {
    const shown = this.#terminal.shown(line);
    const { columns } = this.room;
    if (this.#columns(shown) <= columns) return shown;
    const parts = shown.split(SEQUENCE);
    if (parts.length === 1) return cut(shown, columns, this.#measure, this.#terminal.shown("…"));
    let left = columns;
    let kept = "";
    for (const part of parts) {
      const isSequence = part.startsWith("\x1b");
      const fitting = isSequence ? part : cut(part, left, this.#measure, "");
      kept += fitting;
      if (!isSequence) left -= this.#measure(fitting);
    }
    return kept + PLAIN;
  }
}
