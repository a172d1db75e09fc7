/** A variable of the environment. */
type Environment = (name: string) => string | undefined;

/**
 * Whether texts may be more than ASCII: the first of LC_ALL, LC_CTYPE and LANG that is not empty decides (POSIX, XBD 8.2); it
 * has to name UTF-8. Without any the locale is C.
 */
export function isUtf8(env: Environment): boolean {
  const locale = env("LC_ALL") || env("LC_CTYPE") || env("LANG") || "C";
  return /^(?:.*\.)?utf-?8(?:@.*)?$/i.test(locale);
}

/** What stands for the signs of our own where there is only ASCII. */
const STAND_INS: Readonly<Record<string, string>> = {
  "━": "=",
  "─": "-",
  "…": "...",
  "→": "->",
  "×": "x",
  "✓": "ok",
  "✗": "x",
  "·": "-",
  "–": "-",
  "—": "-",
  "“": '"',
  "”": '"',
  "‘": "'",
  "’": "'",
  "≥": ">=",
  "≤": "<=",
  "−": "-",
};

/** The same text with ASCII in place of our own signs; what others have written is left as it is. */
export function asciiSigns(text: string): string {
  return text.replace(/[━─…→×✓✗·–—“”‘’≥≤−]/g, (sign) => STAND_INS[sign] ?? sign);
}

/** The same text in ASCII altogether: what has no stand-in is shown as its code point, "\u{65e5}". */
export function ascii(text: string): string {
  return asciiSigns(text).replace(
    /\P{ASCII}/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
