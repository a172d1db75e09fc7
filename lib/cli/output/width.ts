/**
 * How many columns of a terminal texts take: the function for these texts. string-width, which knows all of Unicode, is
 * loaded only where something else than ASCII occurs, as loading it takes longer than most commands.
 */
export async function measureFor(texts: Iterable<string>): Promise<(text: string) => number> {
  for (const text of texts) {
    // deno-lint-ignore no-control-regex -- ASCII is what it asks for
    if (!/^[\x00-\x7f]*$/.test(text)) return (await import("string-width")).default;
  }
  return asciiWidth;
}

function asciiWidth(text: string): number {
  // The ellipsis of a cut text may be the only other character.
  return text.length;
}
