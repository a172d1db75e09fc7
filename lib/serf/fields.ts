import { VirtxError } from "../model/error.ts";

/**
 * A struct that the agent sent, read field by field; each method throws VirtxError `invalid` if the field is not there
 * or is something else. A nil slice or map of Go's arrives as nil and is read as empty.
 */
export class Fields {
  readonly #fields: ReadonlyMap<unknown, unknown>;
  readonly #what: string;

  /** @param what what it should be, for the message */
  constructor(value: unknown, what: string) {
    if (!(value instanceof Map)) throw new VirtxError("invalid", `${what} that is no map`);
    this.#fields = value;
    this.#what = what;
  }

  /** Bytes are taken as UTF-8: agents read either as a string, so any may write either. */
  text(name: string): string {
    return textOf(this.#fields.get(name)) ?? this.#fail(name, "text");
  }

  bytes(name: string): Uint8Array {
    const value = this.#fields.get(name) ?? new Uint8Array();
    return value instanceof Uint8Array ? value : this.#fail(name, "bytes");
  }

  /** Not negative; approximate from 2^53. */
  integer(name: string): number {
    const value = this.#fields.get(name);
    return typeof value === "number" && Number.isInteger(value) && value >= 0
      ? value
      : this.#fail(name, "non-negative integer");
  }

  list(name: string): readonly unknown[] {
    const value = this.#fields.get(name) ?? [];
    return Array.isArray(value) ? value : this.#fail(name, "list");
  }

  /** A map from text to text. */
  texts(name: string): ReadonlyMap<string, string> {
    const value = this.#fields.get(name) ?? new Map();
    return value instanceof Map ? textMap(value, `${this.#what}: ${name}`) : this.#fail(name, "map");
  }

  #fail(name: string, kind: string): never {
    throw new VirtxError("invalid", `${this.#what} whose ${name} is no ${kind}`);
  }
}

function textMap(map: ReadonlyMap<unknown, unknown>, what: string): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const [key, value] of map) {
    const name = textOf(key), text = textOf(value);
    if (name === undefined || text === undefined) {
      throw new VirtxError("invalid", `${what} that is no map from text to text`);
    }
    texts.set(name, text);
  }
  return texts;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : undefined;
}
