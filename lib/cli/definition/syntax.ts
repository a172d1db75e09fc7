/** Longer texts are no definitions. UTF-16 units. */
export const MAX_LENGTH = 1024 * 1024;

/** Nothing in a definition is nested half as deep. */
export const MAX_DEPTH = 16;

/** Makes values of a text: tables, lists, text, numbers, booleans, null. Throws {@link SyntaxMistake}. */
export type ParseText = (text: string) => unknown;

/** A text is not of its language. */
export class SyntaxMistake extends Error {
  override readonly name = "SyntaxMistake";
  /** `line 3, column 7`, or what is known of it. */
  readonly place: string;

  constructor(place: string, message: string) {
    super(message);
    this.place = place;
  }
}

/** Of what concerns a text as a whole. */
export const WHOLE = "definition";

/** Line and column, from 1, as a place. */
export function placeOf(line: number, column: number): string {
  return `line ${line}, column ${column}`;
}

/** The place of an offset in a text. */
export function placeAt(text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return placeOf(before.length, (before.at(-1)?.length ?? 0) + 1);
}
