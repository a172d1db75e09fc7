/**
 * Breaks a text into lines of at most so many columns: at spaces, or within words that are longer. Its line breaks and
 * indentations stay.
 * @param measure how many columns of a terminal a text takes
 */
export function wrapTo(text: string, columns: number, measure: (text: string) => number): readonly string[] {
  return text.split("\n").flatMap((line) => {
    const [indent = ""] = /^ */.exec(line) ?? [];
    const room = Math.max(1, columns - indent.length);
    return wrapLine(line.slice(indent.length), room, measure).map((part) => indent + part);
  });
}

function wrapLine(text: string, columns: number, measure: (text: string) => number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const together = line === "" ? word : `${line} ${word}`;
    if (measure(together) <= columns) {
      line = together;
      continue;
    }
    if (line !== "") lines.push(line);
    const parts = pieces(word, columns, measure);
    lines.push(...parts.slice(0, -1));
    line = parts.at(-1) ?? "";
  }
  return [...lines, line];
}

/** A word in parts that fit; no character is torn apart. */
function pieces(word: string, columns: number, measure: (text: string) => number): readonly string[] {
  if (measure(word) <= columns) return [word];
  const parts: string[] = [];
  let part = "";
  for (const { segment } of new Intl.Segmenter().segment(word)) {
    if (part !== "" && measure(part + segment) > columns) {
      parts.push(part);
      part = "";
    }
    part += segment;
  }
  return [...parts, part];
}
