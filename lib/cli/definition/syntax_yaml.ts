import { LineCounter, parseDocument, type YAMLError } from "yaml";
import { placeOf, SyntaxMistake, WHOLE } from "./syntax.ts";

/** How many nodes aliases may stand for, all in all: enough for any definition, too few for a bomb. */
const MAX_ALIASED = 100;

/**
 * YAML 1.2 with its core schema, in which `no` is text: one document, keys that are text and given once, no tags of
 * anybody's own, no merge keys.
 */
export function parseYaml(text: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: "1.2",
    schema: "core",
    merge: false,
    uniqueKeys: true,
    stringKeys: true,
    prettyErrors: false,
    logLevel: "error",
    lineCounter: lines,
  });
  // A tag that the schema does not know is but a warning.
  const [mistake] = [...document.errors, ...document.warnings];
  if (mistake !== undefined) {
    const { line, col } = lines.linePos(mistake.pos[0]);
    throw new SyntaxMistake(placeOf(Math.max(1, line), Math.max(1, col)), inWords(mistake));
  }
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASED });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw new SyntaxMistake(WHOLE, inWords({ code: "BAD_ALIAS", message: error.message }));
  }
}

/** What the library says, except where it speaks to programmers. */
function inWords({ code, message }: Pick<YAMLError, "code" | "message">): string {
  switch (code) {
    case "DUPLICATE_KEY":
      return "the key is given twice";
    case "NON_STRING_KEY":
      return "a key must be text";
    case "MULTIPLE_DOCS":
      return 'must be the end, as only one definition can be read: there is another document after "---"';
    case "RESOURCE_EXHAUSTION":
      return "is nested too deeply";
    case "TAG_RESOLVE_FAILED":
      return "must not have a tag of this kind (!)";
    default:
      return message.startsWith("Excessive alias count") ? "has too many aliases (*)" : message;
  }
}
