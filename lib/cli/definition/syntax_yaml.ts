import { LineCounter, parseDocument } from "yaml";
import { placeAt, placeOf, SyntaxMistake } from "./syntax.ts";

/** How many times what an anchor names may be repeated, all in all: enough for any definition, too few for a bomb. */
const MAX_ALIASES = 100;

/**
 * YAML 1.2 with its core schema, in which `no` is text: one document, keys that are text and given once, no tags of
 * anybody's own, no merge keys.
 */
export function parseYaml(text: string): unknown {
  const lines = new LineCounter();
  let document;
  try {
    document = parseDocument(text, {
      version: "1.2",
      schema: "core",
      merge: false,
      uniqueKeys: true,
      stringKeys: true,
      prettyErrors: false,
      lineCounter: lines,
    });
  } catch (error) {
    if (error instanceof RangeError) throw new SyntaxMistake("", "is nested too deeply");
    throw error;
  }
  // A tag that the schema does not know is but a warning.
  const [mistake] = [...document.errors, ...document.warnings];
  if (mistake !== undefined) {
    const { line, col } = lines.linePos(mistake.pos[0]);
    throw new SyntaxMistake(line > 0 ? placeOf(line, col) : placeAt(text, mistake.pos[0]), mistake.message);
  }
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    if (error instanceof ReferenceError) throw new SyntaxMistake("", error.message);
    throw error;
  }
}
