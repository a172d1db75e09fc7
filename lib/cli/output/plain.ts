/**
 * What a terminal might take for a command, or show in another order than it is: C0 and C1 controls, DEL, the line and
 * paragraph separators, and Unicode's bidirectional and invisible formatting characters.
 */
const DANGEROUS = new RegExp(
  "[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u2064\\u2066-\\u206f\\ufeff\\ufff9-\\ufffb]" +
    "|\\p{Surrogate}",
  "gu",
);

/**
 * A text of anybody's making, fit for a line of a terminal: what could act on it is shown as "\x1b" or "\u{202e}". Names
 * of VMs, messages of guests and answers of servers pass through here, whoever wrote them.
 */
export function plain(text: string): string {
  return text.replace(DANGEROUS, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    const code = character.codePointAt(0) ?? 0;
    const hex = code.toString(16);
    return code < 0x100 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`;
  });
}

/** The same for a text of several lines: its line breaks and tabs stay. */
export function plainLines(text: string): string {
  return text.split(/([\n\t])/).map((part) => part === "\n" || part === "\t" ? part : plain(part)).join("");
}
