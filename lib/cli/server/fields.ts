import { VirtxError } from "../../model/error.ts";

/**
 * An object of an answer, field by field. An answer is another program's word, of another version maybe: what has another
 * type than it should is told, rather than printed as "undefined". Fields that are not asked for do not matter.
 */
export class Fields {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #where: string;

  /** @param where it is, for messages: "GET /vms" */
  constructor(value: unknown, where: string) {
    if (typeof value !== "object" || value === null) throw unexpected(where, "an object");
    this.#object = { ...value };
    this.#where = where;
  }

  text(name: string): string {
    const value = this.#object[name];
    if (typeof value !== "string") throw unexpected(`${this.#where}, ${name}`, "a text");
    return value;
  }

  number(name: string): number {
    const value = this.#object[name];
    if (typeof value !== "number") throw unexpected(`${this.#where}, ${name}`, "a number");
    return value;
  }

  /** A number that older servers do not have. */
  numberOr<T>(name: string, absent: T): number | T {
    return this.#object[name] === undefined ? absent : this.number(name);
  }

  /** A text that may be missing. */
  textOr<T>(name: string, absent: T): string | T {
    return this.#object[name] === undefined ? absent : this.text(name);
  }

  flag(name: string): boolean {
    const value = this.#object[name];
    if (typeof value !== "boolean") throw unexpected(`${this.#where}, ${name}`, "true or false");
    return value;
  }

  /** True or false; what may be missing is false. */
  flagOr(name: string, absent: boolean): boolean {
    return this.#object[name] === undefined ? absent : this.flag(name);
  }

  object(name: string): Fields {
    return new Fields(this.#object[name], `${this.#where}, ${name}`);
  }

  /** A list; that of a program in Go may be null if it is empty. */
  list(name: string): readonly Fields[] {
    const value = this.#object[name] === null ? [] : this.#object[name];
    if (!Array.isArray(value)) throw unexpected(`${this.#where}, ${name}`, "a list");
    return value.map((item, at) => new Fields(item, `${this.#where}, ${name}[${at}]`));
  }

  texts(name: string): readonly string[] {
    const value = this.#object[name];
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
      throw unexpected(`${this.#where}, ${name}`, "a list of texts");
    }
    return value;
  }

  /** Whatever is there, unchecked. */
  raw(name: string): unknown {
    return this.#object[name];
  }
}

function unexpected(where: string, expected: string): VirtxError {
  return new VirtxError(
    "unavailable",
    `The server's answer is not as expected: ${where} is not ${expected}. Is it another version, or not virtxd at all?`,
  );
}
