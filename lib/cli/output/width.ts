/** These characters take a column each: ASCII, Latin letters (not the soft hyphen), the ellipsis, lines. */
const PLAIN = /^[\x20-\x7e\u00a1-\u00ac\u00ae-\u024f\u2026\u2500-\u257f]*$/;

/**
 * How many columns of a terminal texts take: the function for these texts. string-width, which knows all of Unicode, is
 * loaded only where something else occurs, as loading it takes longer than most commands.
 */
export async function measureFor(texts: Iterable<string>): Promise<(text: string) => number> {
  for (const text of texts) if (!PLAIN.test(text)) return (await import("string-width")).default;
  return (text) => text.length;
}
