/** The widest line of a help text. */
const WIDTH = 100;

/** Breaks a text into lines of at most the width, at its spaces. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}

/** A heading, and below it terms and what is to be said of each, aligned. A line break in a text is kept. */
export function section(
  heading: string,
  entries: readonly (readonly [term: string, text: string])[],
): string {
  const column = Math.max(...entries.map(([term]) => term.length)) + 4;
  const lines = entries.flatMap(([term, text]) =>
    text.split("\n").flatMap((part) => wrap(part, WIDTH - column))
      .map((line, i) => `  ${(i === 0 ? term : "").padEnd(column - 2)}${line}`.trimEnd())
  );
  return `${heading}:\n${lines.join("\n")}\n`;
}

/** A paragraph at the left edge. */
export function paragraph(text: string): string {
  return `${wrap(text, WIDTH).join("\n")}\n`;
}
