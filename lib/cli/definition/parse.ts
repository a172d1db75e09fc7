import type { Vmdef } from "../../model/vm.ts";
import type { Format } from "./format.ts";
import { invalidDefinition, readDefinition, type ReadOptions } from "./read.ts";
import { MAX_LENGTH, type ParseText, SyntaxMistake, WHOLE } from "./syntax.ts";

/**
 * The definition that a text states, in the words of people or those of the API. The code for its format is loaded when
 * it is needed.
 *
 * @param where the text is from, for messages: a file's name
 * @throws VirtxError invalid, with an issue for all that is wrong: the line of a mistake in syntax, else the field
 */
export async function parseDefinition(
  text: string,
  format: Format,
  where: string,
  options: ReadOptions = {},
): Promise<Vmdef> {
  const parse = await parserOf(format);
  try {
    if (text.length > MAX_LENGTH) {
      throw new SyntaxMistake(WHOLE, `must have at most ${MAX_LENGTH} characters`);
    }
    return readDefinition(parse(text.replace(/^\uFEFF/, "")), where, options);
  } catch (error) {
    if (!(error instanceof SyntaxMistake)) throw error;
    throw invalidDefinition(where, [{ field: error.place, message: error.message }]);
  }
}

async function parserOf(format: Format): Promise<ParseText> {
  switch (format) {
    case "json":
      return (await import("./syntax_json.ts")).parseJson;
    case "yaml":
      return (await import("./syntax_yaml.ts")).parseYaml;
    case "toml":
      return (await import("./syntax_toml.ts")).parseToml;
  }
}
