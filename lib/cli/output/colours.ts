/** What a text can be shown as; the sequences are those of ECMA-48 (SGR). */
const SEQUENCES = {
  bold: ["1", "22"],
  dim: ["2", "22"],
  red: ["31", "39"],
  green: ["32", "39"],
  yellow: ["33", "39"],
  blue: ["34", "39"],
  cyan: ["36", "39"],
} as const;

export type Style = keyof typeof SEQUENCES;

/** Colours where they are welcome, and the bare text elsewhere. */
export class Colours {
  constructor(readonly enabled: boolean) {}

  /** The text in a style; without a style, or without colours, as it is. */
  paint(text: string, style: Style | undefined): string {
    if (!this.enabled || style === undefined || text === "") return text;
    const [on, off] = SEQUENCES[style];
    return `\x1b[${on}m${text}\x1b[${off}m`;
  }
}
