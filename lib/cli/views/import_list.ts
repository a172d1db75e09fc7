import type { View } from "../output/printer.ts";
import type { ImportAnswer } from "../server/imports.ts";

/** One thing that an import keeps, changes, or is refused for. */
export interface ImportLine {
  readonly what: "keeps" | "changes" | "warns" | "refused";
  readonly text: string;
}

/** All that is said of an import, what is in its way last. */
export function importLines({ keeps, changes, warnings, obstacles }: ImportAnswer): readonly ImportLine[] {
  const lines = (what: ImportLine["what"], texts: readonly string[]) => texts.map((text) => ({ what, text }));
  return [
    ...lines("keeps", keeps),
    ...lines("changes", changes),
    ...lines("warns", warnings),
    ...lines("refused", obstacles),
  ];
}

const STYLES = { keeps: undefined, changes: "green", warns: "yellow", refused: "red" } as const;

/** As `vm import` prints it. */
export const IMPORT_VIEW: View<ImportLine> = {
  name: ({ text }) => text,
  columns: [
    { heading: "IMPORT", text: ({ what }) => what, style: ({ what }) => STYLES[what] },
    { heading: "WHAT", text: ({ text }) => text, least: 20, wraps: true },
  ],
  record: ({ what, text }) => ({ what, text }),
};
