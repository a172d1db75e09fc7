import { errorMessage } from "../../model/error.ts";
import { placeAt, SyntaxMistake } from "./syntax.ts";

/** JSON (RFC 8259); refuses keys that are given twice, of which the last would silently win. */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const message = errorMessage(error);
    const offset = /at position (\d+)/.exec(message)?.[1] ?? text.length;
    throw new SyntaxMistake(
      placeAt(text, Number(offset)),
      message.replace(/ in JSON at position.*| at position.*/s, ""),
    );
  }
  refuseDuplicates(text);
  return value;
}

/** What separates keys from values, in a text that is known to be JSON. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

function refuseDuplicates(text: string): void {
  /** The keys of the objects that are open; of an array none. */
  const open: (Set<string> | undefined)[] = [];
  let last: RegExpExecArray | undefined;
  for (const token of text.matchAll(TOKEN)) {
    if (token[0] === "{") open.push(new Set());
    else if (token[0] === "[") open.push(undefined);
    else if (token[0] === "}" || token[0] === "]") open.pop();
    else if (token[0] === ":" && last !== undefined) {
      const keys = open.at(-1);
      const key = String(JSON.parse(last[0]));
      if (keys?.has(key)) {
        throw new SyntaxMistake(placeAt(text, last.index), `the key ${last[0]} is given twice`);
      }
      keys?.add(key);
    }
    last = token;
  }
}
