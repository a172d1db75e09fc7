import type { Colours, Style } from "./colours.ts";
import { plain } from "./plain.ts";
import { wrapTo } from "./wrap.ts";

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
  /** Sentences, which go on in the lines below rather than being cut. Only the last column can be such. */
  readonly wraps?: boolean;
}

export interface TableOptions {
  readonly headers: boolean;
  /** Columns of the terminal; undefined: lines may be as long as they like. */
  readonly width: number | undefined;
  readonly colours: Colours;
  /** How many columns of a terminal a text takes. */
  readonly measure: (text: string) => number;
  /** A text as it will be written, see Terminal; left out: as it is. */
  readonly shown?: (text: string) => string;
}

const GAP = 2;
/** At the end of what was cut. */
const CUT = "…";
/** Where nothing else helps, columns are cut to this, although they have to be wider to make sense. */
const NARROWEST = 3;

/** Lays a table out in aligned columns, without lines; each line ends with a line break. */
export function renderTable<T>(columns: readonly Column<T>[], rows: readonly T[], o: TableOptions): string {
  const { measure, shown = (text) => text } = o;
  const mark = shown(CUT);
  const cells = columns.map((column) => ({
    column,
    texts: rows.map((row) => shown(plain(column.text(row)) || "-")),
  }));
  const fitted = fit(
    cells.map(({ column, texts }) => ({
      column,
      texts,
      width: Math.max(o.headers ? column.heading.length : 0, 1, ...texts.map(measure)),
    })),
    o.width,
  );
  const lines: string[] = [];
  if (o.headers) {
    const heading = fitted.map(({ column, width }) =>
      cell(column.heading, width, column.right, measure, mark)
    );
    lines.push(o.colours.paint(joined(heading), "bold"));
  }
  rows.forEach((row, i) => {
    const columns = fitted.map(({ column, texts, width }) => {
      const text = texts[i] ?? "";
      const parts = column.wraps ? wrapTo(text, width, measure) : [text];
      const style = column.style?.(row);
      return parts.map((part) => painted(cell(part, width, column.right, measure, mark), style, o.colours));
    });
    const height = Math.max(1, ...columns.map((parts) => parts.length));
    for (let n = 0; n < height; n++) {
      lines.push(joined(columns.map((parts, at) => parts[n] ?? " ".repeat(fitted[at]?.width ?? 0))));
    }
  });
  return lines.map((line) => `${line}\n`).join("");
}

/** Only the words are painted, so that what is trimmed at the end of a line is never inside a sequence. */
function painted(text: string, style: Style | undefined, colours: Colours): string {
  return style === undefined ? text : text.replace(/\S(?:.*\S)?/u, (words) => colours.paint(words, style));
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
  return narrowed(narrowed(columns, limit, leastOf), limit, () => NARROWEST);
}

/** The widest gives way first, one column at a time: so what is cut is cut evenly. */
function narrowed<T>(
  fitted: readonly Fitted<T>[],
  limit: number,
  least: (column: Fitted<T>) => number,
): readonly Fitted<T>[] {
  let columns = fitted;
  for (let excess = totalOf(columns, ({ width }) => width) - limit; excess > 0; excess--) {
    const widest = columns.filter((each) => each.width > least(each)).sort((a, b) => b.width - a.width)[0];
    if (widest === undefined) break;
    columns = columns.map((each) => each === widest ? { ...each, width: each.width - 1 } : each);
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
  mark: string,
): string {
  const fitting = cut(text, width, measure, mark);
  const blank = " ".repeat(Math.max(0, width - measure(fitting)));
  return right ? blank + fitting : fitting + blank;
}

/**
 * As much of a text as the columns hold; no character is torn apart.
 * @param mark what stands at the end of what was cut, if there is room for it beside a character
 */
export function cut(text: string, width: number, measure: (text: string) => number, mark = CUT): string {
  if (measure(text) <= width) return text;
  const end = mark.length < width || mark === CUT ? mark : "";
  let kept = "";
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (measure(kept + segment) + end.length > width) break;
    kept += segment;
  }
  return kept + end;
}
