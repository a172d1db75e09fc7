import type { Issues } from "../../model/rules.ts";
import { didYouMean } from "../../model/suggest.ts";
import { formatSize, parseSize } from "../output/units.ts";
import type { Naming } from "./names.ts";
import { WHOLE } from "./syntax.ts";
import { type Enumeration, valueOf, wordsOf } from "./words.ts";

const MAX_KEY_LENGTH = 64;

/**
 * A value in a definition that somebody wrote, with the name that he knows it by. Each way to read it gives undefined where
 * the value is not such a thing, and then has said so to the issues.
 */
export class Field {
  readonly value: unknown;
  /** `disks[0].size`, or `--memory`. */
  readonly name: string;
  readonly naming: Naming = () => this.name;
  readonly #issues: Issues;

  constructor(issues: Issues, name: string, value: unknown) {
    this.#issues = issues;
    this.name = name;
    this.value = value;
  }

  /** Reports what is wrong with it. */
  refuse(problem: string): undefined {
    this.#issues.add(this.name || WHOLE, problem);
  }

  /** Whether something is known to be wrong with it or below it. */
  get faulty(): boolean {
    return this.#issues.found.some(({ field }) => field === this.name || field.startsWith(this.child("")));
  }

  text(): string | undefined {
    if (typeof this.value === "string") return this.value;
    const quotes = typeof this.value === "number" || typeof this.value === "boolean"
      ? ": put it in quotes"
      : "";
    return this.refuse(`must be text, not ${kindOf(this.value)}${quotes}`);
  }

  flag(): boolean | undefined {
    if (typeof this.value === "boolean") return this.value;
    return this.refuse(`must be true or false, not ${kindOf(this.value)}`);
  }

  /** What the number means, and so its range, the model judges. */
  count(): number | undefined {
    if (Number.isSafeInteger(this.value)) return Number(this.value);
    return this.refuse(`must be a whole number, not ${kindOf(this.value)}`);
  }

  /** A size and its bounds, MiB. A number is MiB, too. */
  size(min: number, max: number): number | undefined {
    const { value } = this;
    const reading = typeof value === "string" ? parseSize(value) : { mib: Number(value) };
    if (typeof value !== "string" && typeof value !== "number") {
      return this.refuse(`must be a size such as 512MiB or 16GiB, not ${kindOf(value)}`);
    }
    if ("problem" in reading) return this.refuse(reading.problem);
    if (!Number.isInteger(reading.mib)) return this.refuse("must be a whole number of MiB");
    if (reading.mib >= min && reading.mib <= max) return reading.mib;
    return this.refuse(`must be from ${formatSize(min)} to ${formatSize(max)}`);
  }

  /** A value of an enumeration: its word, or the integer that the API has for it. */
  word<T extends number>(enumeration: Enumeration<T>): T | undefined {
    const { value } = this;
    const meant = typeof value === "string"
      ? valueOf(enumeration, value)
      : Object.values(enumeration).find((candidate) => candidate === value);
    if (meant !== undefined) return meant;
    const words = wordsOf(enumeration);
    const hint = typeof value === "string" ? didYouMean(value, words) : "";
    return this.refuse(`must be ${words.slice(0, -1).join(", ")} or ${words.at(-1)}${hint}`);
  }

  /** The items of a list. */
  items(): readonly Field[] | undefined {
    if (!Array.isArray(this.value)) return this.refuse(`must be a list, not ${kindOf(this.value)}`);
    return this.value.map((value, index) => new Field(this.#issues, `${this.name}[${index}]`, value));
  }

  get isTable(): boolean {
    return typeof this.value === "object" && this.value !== null && !Array.isArray(this.value) &&
      !(this.value instanceof Date);
  }

  /** Whatever keys it has, in their order. */
  entries(): readonly (readonly [key: string, field: Field])[] {
    return Object.entries(this.value ?? {}).map((
      [key, value],
    ) => [key, new Field(this.#issues, this.child(key), value)]);
  }

  /**
   * As a table that has no other keys than these. Each is given with older spellings of it, those of the API; using two
   * of them at once is refused.
   *
   * @param hint what it may be, for whoever wrote something else
   */
  table<K extends string>(spellings: Spellings<K>, hint: string): Table<K> | undefined {
    if (!this.isTable) return this.refuse(`must be ${hint}, not ${kindOf(this.value)}`);
    return new Table(this, this.#issues, spellings);
  }

  /** The name of what it has under a key; of a hostile one the beginning. */
  child(key: string): string {
    const separator = this.name === "" ? "" : this.name.startsWith("-") ? " " : ".";
    return this.name + separator + key.slice(0, MAX_KEY_LENGTH);
  }
}

/** For each key of a table, the other spellings that it may have. */
export type Spellings<K extends string> = Readonly<Record<K, readonly string[]>>;

/** A table of known keys. */
export class Table<K extends string> {
  readonly #field: Field;
  readonly #spellings: Spellings<K>;
  readonly #issues: Issues;
  readonly #found = new Map<K, { readonly spelling: string; readonly field: Field }>();

  constructor(field: Field, issues: Issues, spellings: Spellings<K>) {
    this.#field = field;
    this.#spellings = spellings;
    this.#issues = issues;
    for (const [spelling, value] of field.entries()) this.#take(spelling, value);
  }

  #take(spelling: string, field: Field): void {
    const key = this.#meant(spelling);
    if (key === undefined) {
      const candidates = this.#keys().flatMap((key) => [key, ...this.#spellings[key]]);
      return field.refuse(`is not known${didYouMean(spelling, candidates)}`);
    }
    if (!this.#found.has(key)) this.#found.set(key, { spelling, field });
    else field.refuse(`says the same as ${this.name(key)}: give one of them`);
  }

  /** What stands under the key, unless it is not there or null, which is how YAML and Go write nothing. */
  get(key: K): Field | undefined {
    const field = this.#found.get(key)?.field;
    return field?.value === null ? undefined : field;
  }

  /** How the key was written, if it was. */
  spelling(key: K): string | undefined {
    return this.#found.get(key)?.spelling;
  }

  /** The name of a field as it was written, else as it is best written. Takes any of its spellings. */
  name(spelling: string): string {
    const key = this.#meant(spelling);
    return key === undefined ? this.#field.name : this.#found.get(key)?.field.name ?? this.#field.child(key);
  }

  /** As {@link name}; without a key, the name of the whole. */
  readonly naming: Naming = (key) => key === undefined ? this.#field.name : this.name(key);

  /** Reports that a field is missing. */
  missing(key: K): undefined {
    this.#issues.add(this.name(key), "must be given");
  }

  #keys(): readonly K[] {
    return Object.keys(this.#spellings) as K[];
  }

  #meant(spelling: string): K | undefined {
    return this.#keys().find((key) => key === spelling || this.#spellings[key].includes(spelling));
  }
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Date) return "a date";
  if (typeof value === "object") return "a table";
  if (typeof value === "string") return "text";
  return typeof value === "number" ? `the number ${value}` : String(value);
}
