import type { Colours, Style } from "./colours.ts";
import { plain } from "./plain.ts";

/** A column of a table of T. */
export interface Column<T> {
  /** In capitals; it stays the same from version to version, since scripts look for it. */
  readonly heading: string;
  /** What a cell says. It may be of anybody's making: the table makes it harmless. */
  readonly text: (row: T) => string;
  readonly style?: (row: T) => Style | undefined;
  /** Numbers and what is compared digit by digit. */
  readonly right?: boolean;
  /** Shown with -o wide only. */
  readonly wide?: boolean;
  /** Where the terminal is too narrow, columns are left out, the highest number first; without one it stays. */
  readonly spare?: number;
  /** Where that is not enough, cells may be cut to as few columns as this. */
  readonly least?: number;
}

export interface TableOptions {
  readonly headers: boolean;
  /** Columns of the terminal; undefined: lines may be as long as they like. */
  readonly width: number | undefined;
  readonly colours: Colours;
  /** How many columns of a terminal a text takes. */
  readonly measure: (text: string) => number;
}

const GAP = 2;
/** At the end of what was cut. */
const CUT = "…";

/** Lays a table out in aligned columns, without lines; each line ends with a line break. */
export function renderTable<T>(columns: readonly Column<T>[], rows: readonly T[], o: TableOptions): string {
  const cells = columns.map((column) => ({
    column,
    texts: rows.map((row) => plain(column.text(row)) || "-"),
  }));
  const fitted = fit(
    cells.map(({ column, texts }) => ({
      column,
      texts,
      width: Math.max(o.headers ? column.heading.length : 0, 1, ...texts.map(o.measure)),
    })),
    o.width,
  );
  const lines: string[] = [];
  if (o.headers) {
    const heading = fitted.map(({ column, width }) => cell(column.heading, width, column.right, o.measure));
    lines.push(o.colours.paint(joined(heading), "bold"));
  }
  rows.forEach((row, i) => {
    lines.push(joined(fitted.map(({ column, texts, width }) => {
      const text = cell(texts[i] ?? "", width, column.right, o.measure);
      const style = column.style?.(row);
      // Only the words are painted, so that what is trimmed at the end of a line is never inside a sequence.
      return style === undefined
        ? text
        : text.replace(/\S(?:.*\S)?/u, (words) => o.colours.paint(words, style));
    })));
  });
  return lines.map((line) => `${line}\n`).join("");
}

interface Fitted<T> {
  readonly column: Column<T>;
  readonly texts: readonly string[];
  readonly width: number;
}

/** Leaves out and narrows columns until the table is no wider than the terminal, as far as they permit. */
function fit<T>(all: readonly Fitted<T>[], limit: number | undefined): readonly Fitted<T>[] {
  if (limit === undefined) return all;
  let columns = [...all];
  while (totalOf(columns, leastOf) > limit) {
    const spare = columns.filter(({ column }) => column.spare !== undefined)
      .sort((a, b) => (b.column.spare ?? 0) - (a.column.spare ?? 0))[0];
    if (spare === undefined) break;
    columns = columns.filter((column) => column !== spare);
  }
  let excess = totalOf(columns, ({ width }) => width) - limit;
  // The widest gives way first, one column at a time: so what is cut is cut evenly.
  while (excess > 0) {
    const widest = columns.filter((each) => each.width > leastOf(each)).sort((a, b) => b.width - a.width)[0];
    if (widest === undefined) break;
    columns = columns.map((each) => each === widest ? { ...each, width: each.width - 1 } : each);
    excess--;
  }
  return columns;
}

function leastOf<T>({ column, width }: Fitted<T>): number {
  return column.least === undefined ? width : Math.min(width, column.least);
}

function totalOf<T>(columns: readonly Fitted<T>[], of: (column: Fitted<T>) => number): number {
  return columns.reduce((sum, column) => sum + of(column), 0) + GAP * Math.max(0, columns.length - 1);
}

function joined(cells: readonly string[]): string {
  return cells.join(" ".repeat(GAP)).trimEnd();
}

function cell(
  text: string,
  width: number,
  right: boolean | undefined,
  measure: TableOptions["measure"],
): string {
  const fitting = cut(text, width, measure);
  const blank = " ".repeat(Math.max(0, width - measure(fitting)));
  return right ? blank + fitting : fitting + blank;
}

/** As much of a text as the columns hold, with an ellipsis where it was cut; no character is torn apart. */
export function cut(text: string, width: number, measure: (text: string) => number): string {
  if (measure(text) <= width) return text;
  let kept = "";
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (measure(kept + segment) + 1 > width) break;
    kept += segment;
  }
  return kept + CUT;
}
