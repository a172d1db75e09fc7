import { parse, TomlError } from "smol-toml";
import { placeOf, SyntaxMistake } from "./syntax.ts";

/** TOML 1.0; refuses, as that does, keys that are given twice. */
export function parseToml(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Behind its first line the message shows the text around the mistake.
    const [what = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    throw new SyntaxMistake(placeOf(error.line, error.column), what);
  }
}
