import type { Terminal } from "../terminal.ts";
import type { Format } from "./format.ts";
import { plain, plainLines } from "./plain.ts";
import { type Column, renderTable } from "./table.ts";
import { type Measure, measureFor } from "./width.ts";

/** How things of one kind are printed. */
export interface View<T> {
  readonly columns: readonly Column<T>[];
  /** What -o name prints. */
  readonly name: (item: T) => string;
  /** What -o json, yaml and template have: plain data with words for codes. Its fields stay from version to version. */
  readonly record: (item: T) => Readonly<Record<string, unknown>>;
}

/** Prints what a command found, in the form that was asked for. */
export class Printer {
  constructor(readonly terminal: Terminal, readonly format: Format, readonly headers: boolean) {}

  /** Prints a list. */
  async list<T>(view: View<T>, items: readonly T[]): Promise<void> {
    if (this.format.kind === "table" || this.format.kind === "wide") {
      this.terminal.write(await this.table(view, items));
    } else await this.#data(view, items, items.map(view.record));
  }

  /** Prints one thing: as a table is made by the caller, who knows what matters of it. */
  async one<T>(
    view: Omit<View<T>, "columns">,
    item: T,
    asText: (item: T) => string | Promise<string>,
  ): Promise<void> {
    if (this.format.kind === "table" || this.format.kind === "wide") this.terminal.write(await asText(item));
    else await this.#data(view, [item], view.record(item));
  }

  /**
   * A table as text.
   * @param indent columns that will stand before it
   */
  async table<T>({ columns }: Pick<View<T>, "columns">, items: readonly T[], indent = 0): Promise<string> {
    const shown = columns.filter(({ wide }) => !wide || this.format.kind === "wide");
    return this.#render(shown, items, await measureFor(this.#texts(shown, items)), indent);
  }

  /**
   * The lines of a table, at once.
   * @param measure for any text, see measureAll
   */
  lines<T>({ columns }: Pick<View<T>, "columns">, items: readonly T[], measure: Measure): readonly string[] {
    const shown = columns.filter(({ wide }) => !wide || this.format.kind === "wide");
    return this.#render(shown, items, measure, 1).split("\n").slice(0, -1);
  }

  #render<T>(shown: readonly Column<T>[], items: readonly T[], measure: Measure, indent: number): string {
    return renderTable(shown, items, {
      headers: this.headers,
      // Wide is for those who scroll.
      width: this.format.kind === "wide" ? undefined : this.#width(indent),
      colours: this.terminal.colours,
      measure,
      shown: (text) => this.terminal.shown(text),
    });
  }

  #width(indent: number): number | undefined {
    const { columns } = this.terminal;
    return columns === undefined ? undefined : columns - indent;
  }

  *#texts<T>(columns: readonly Column<T>[], items: readonly T[]): Generator<string> {
    for (const item of items) for (const { text } of columns) yield text(item);
  }

  async #data<T>(view: Pick<View<T>, "name" | "record">, items: readonly T[], data: unknown): Promise<void> {
    const { format } = this;
    if (format.kind === "json") this.terminal.data(`${jsonText(data)}\n`);
    else if (format.kind === "yaml") {
      const { yamlText } = await import("./yaml.ts");
      this.terminal.data(this.#harmless(yamlText(data)));
    } else if (format.kind === "template") {
      const { fillTemplate } = await import("./template.ts");
      for (const item of items) {
        const text = fillTemplate(format.template, view.record(item));
        this.terminal.data(this.#harmless(/\n$/.test(text) ? text : `${text}\n`));
      }
    } else for (const item of items) this.terminal.data(`${plain(view.name(item))}\n`);
  }

  /** For a program the text as it is; for a terminal, line by line, what cannot act on it. */
  #harmless(text: string): string {
    return this.terminal.isTerminal ? plainLines(text) : text;
  }
}

/** JSON in which even what JSON permits unescaped (C1 controls, bidirectional marks) is escaped: it means the same. */
export function jsonText(data: unknown): string {
  return escaped(JSON.stringify(data, undefined, 2));
}

/** The same on one line. */
export function jsonLine(data: unknown): string {
  return escaped(JSON.stringify(data));
}

function escaped(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
