/** These characters take a column each: ASCII, Latin letters (not the soft hyphen), the ellipsis, lines. */
const PLAIN = /^[\x20-\x7e\u00a1-\u00ac\u00ae-\u024f\u2026\u2500-\u257f]*$/;

/** How many columns of a terminal a text takes. */
export type Measure = (text: string) => number;

/**
 * How many columns of a terminal texts take: the function for these texts. string-width, which knows all of Unicode, is
 * loaded only where something else occurs, as loading it takes longer than most commands.
 */
export async function measureFor(texts: Iterable<string>): Promise<Measure> {
  for (const text of texts) if (!PLAIN.test(text)) return await measureAll();
  return (text) => text.length;
}

/** The function for any text: for what goes on, and does not know yet what it will show. */
export async function measureAll(): Promise<Measure> {
  const { default: width } = await import("string-width");
  return (text) => PLAIN.test(text) ? text.length : width(text);
}
