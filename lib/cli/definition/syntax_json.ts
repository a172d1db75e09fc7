import { MAX_DEPTH, placeAt, SyntaxMistake } from "./syntax.ts";

/**
 * JSON (RFC 8259). By hand, since JSON.parse lets the last of two values with the same key win silently, and does not say
 * where most mistakes are.
 */
export function parseJson(text: string): unknown {
  return new JsonReader(text).read();
}

class JsonReader {
  readonly #text: string;
  /** Behind white space; a string is judged as a whole, once its end is known. */
  readonly #token =
    /[ \t\n\r]*([{}[\],:]|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true\b|false\b|null\b|$)/y;
  #end = 0;
  /** Of the last token. */
  #start = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): unknown {
    const value = this.#value(this.#next(), 0);
    if (this.#next() !== "") throw this.#mistake("must end here");
    return value;
  }

  #value(token: string, depth: number): unknown {
    if (depth > MAX_DEPTH) throw this.#mistake("is nested too deeply");
    if (token === "{") return this.#object(depth);
    if (token === "[") return this.#array(depth);
    if (token === "") throw this.#mistake("a value is missing at the end");
    if ("]},:".includes(token)) throw this.#mistake(`a value must stand before ${token}`);
    try {
      return JSON.parse(token);
    } catch {
      throw this.#mistake("must be text without control characters and with sound escapes");
    }
  }

  #object(depth: number): unknown {
    const entries = new Map<string, unknown>();
    for (let token = this.#next(); token !== "}" || entries.size > 0; token = this.#next()) {
      if (!token.startsWith('"')) throw this.#mistake("must be a key in double quotes");
      const key = String(this.#value(token, depth));
      if (entries.has(key)) throw this.#mistake(`the key ${token} is given twice`);
      if (this.#next() !== ":") throw this.#mistake('a ":" must stand here, after the key');
      entries.set(key, this.#value(this.#next(), depth + 1));
      if (!this.#goesOn("}")) break;
    }
    return Object.fromEntries(entries);
  }

  #array(depth: number): unknown {
    const items: unknown[] = [];
    for (let token = this.#next(); token !== "]" || items.length > 0; token = this.#next()) {
      items.push(this.#value(token, depth + 1));
      if (!this.#goesOn("]")) break;
    }
    return items;
  }

  /** Whether another item follows. */
  #goesOn(end: string): boolean {
    const token = this.#next();
    if (token !== "," && token !== end) throw this.#mistake(`"," or "${end}" must stand here`);
    return token === ",";
  }

  /** The next token; empty at the end. */
  #next(): string {
    this.#token.lastIndex = this.#end;
    const token = this.#token.exec(this.#text)?.[1];
    if (token === undefined) {
      this.#start = this.#end + (/[^ \t\n\r]/.exec(this.#text.slice(this.#end))?.index ?? 0);
      throw this.#mistake("cannot be understood; text must be in double quotes");
    }
    this.#end = this.#token.lastIndex;
    this.#start = this.#end - token.length;
    return token;
  }

  #mistake(message: string): SyntaxMistake {
    return new SyntaxMistake(placeAt(this.#text, this.#start), message);
  }
}
