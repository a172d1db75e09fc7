import assert from "node:assert/strict";
import { Live } from "../../../../lib/cli/output/live.ts";
import { Terminal } from "../../../../lib/cli/terminal.ts";

/** The cursor up, the rest of the line erased, a control character, or a character. */
// deno-lint-ignore no-control-regex -- they begin with one
const SEQUENCES = new RegExp("\\x1b\\[(\\d+)A|(\\x1b\\[K)|([\\r\\n])|([^])", "gu");

/** A terminal as far as Live uses it: lines, the cursor up, the rest of a line erased. */
class Screen {
  readonly #columns: number;
  readonly #lines: string[] = [""];
  #row = 0;
  #column = 0;

  constructor(columns: number) {
    this.#columns = columns;
  }

  /** What stands there, without what is empty at the end. */
  get lines(): readonly string[] {
    return this.#lines.map((line) => line.trimEnd()).slice(
      0,
      this.#lines.findLastIndex((line) => line.trim() !== "") + 1,
    );
  }

  terminal(rows = 24): Terminal {
    return new Terminal({
      stream: {
        isTerminal: () => true,
        writeSync: (bytes) => this.#write(new TextDecoder().decode(bytes), bytes.length),
      },
      colour: true,
      size: () => ({ columns: this.#columns, rows }),
    });
  }

  #write(text: string, length: number): number {
    for (
      const [, up, erase, control, character] of text.matchAll(SEQUENCES)
    ) {
      if (up !== undefined) this.#row -= Number(up);
      else if (erase !== undefined) this.#put((this.#lines[this.#row] ?? "").slice(0, this.#column));
      else if (control === "\r") this.#column = 0;
      else if (control === "\n") this.#goOn();
      else this.#type(character ?? "");
      assert.ok(this.#row >= 0, "above the first line");
    }
    return length;
  }

  #type(character: string): void {
    assert.ok(this.#column < this.#columns, "a line takes two rows");
    const line = (this.#lines[this.#row] ?? "").padEnd(this.#column);
    this.#put(line.slice(0, this.#column) + character + line.slice(this.#column + 1));
    this.#column++;
  }

  #put(line: string): void {
    this.#lines[this.#row] = line;
  }

  #goOn(): void {
    this.#row++;
    this.#column = 0;
    this.#lines[this.#row] ??= "";
  }
}

Deno.test("lines are drawn anew in place, and what is printed meanwhile stands above them", () => {
  const screen = new Screen(20);
  const terminal = screen.terminal();
  terminal.line("$ virtx");
  using live = new Live(terminal);
  live.show(["one 10 %", "two 20 %"]);
  live.show(["one 50 %", "two 60 %"]);
  assert.deepEqual(screen.lines, ["$ virtx", "one 50 %", "two 60 %"]);
  live.above(() => terminal.line("one: done"));
  live.show(["two 70 %"]);
  assert.deepEqual(screen.lines, ["$ virtx", "one: done", "two 70 %"]);
  live.suspend();
  assert.deepEqual(screen.lines, ["$ virtx", "one: done"]);
  terminal.line("a question? no");
  live.resume();
  assert.deepEqual(screen.lines, ["$ virtx", "one: done", "a question? no", "two 70 %"]);
  live[Symbol.dispose]();
  assert.deepEqual(screen.lines, ["$ virtx", "one: done", "a question? no"]);
});

Deno.test("lines never take two rows, nor more of them than the terminal has", () => {
  const screen = new Screen(10);
  using live = new Live(screen.terminal(4));
  live.show(["a line that is too long", "x"]);
  assert.deepEqual(screen.lines, ["a line t…", "x"]);
  live.show(["1", "2", "3", "4", "5"]);
  assert.deepEqual(screen.lines, ["1", "…", "5"]);
  live.keep();
});

Deno.test("on what is no terminal nothing is drawn", () => {
  const written: number[] = [];
  const terminal = new Terminal({
    stream: { isTerminal: () => false, writeSync: (bytes) => written.push(bytes.length) },
    colour: true,
    size: () => ({ columns: 80, rows: 24 }),
  });
  {
    using live = new Live(terminal);
    live.show(["x"]);
    assert.equal(live.enabled, false);
  }
  assert.deepEqual(written, []);
});
