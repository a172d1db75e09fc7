import type { Colours, Style } from "./colours.ts";
import { plain } from "./plain.ts";

/** A line of a sheet: what it is about, what is to be said of it, and how. */
export type SheetLine = readonly [label: string, text: string, style?: Style | undefined];

/** A part of a sheet: lines, or a table that is laid out already. */
export interface SheetPart {
  readonly heading?: string;
  readonly lines?: readonly SheetLine[];
  readonly table?: string;
}

/** All about one thing, part by part: labels at the left, aligned over all parts. */
export function renderSheet(parts: readonly SheetPart[], colours: Colours): string {
  const column = Math.max(...parts.flatMap(({ lines = [] }) => lines.map(([label]) => label.length))) + 2;
  return parts.map(({ heading, lines = [], table }) => {
    const title = heading === undefined ? [] : [colours.paint(heading, "bold")];
    const indent = heading === undefined ? "" : "  ";
    const said = lines.map(([label, text, style]) =>
      `${indent}${colours.paint(label, "dim")}${" ".repeat(column - label.length)}${
        colours.paint(plain(text) || "-", style)
      }`
    );
    const laidOut = table === undefined ? [] : table.trimEnd().split("\n").map((line) => indent + line);
    return [...title, ...said, ...laidOut].map((line) => `${line}\n`).join("");
  }).filter((text) => text !== "").join("\n");
}
