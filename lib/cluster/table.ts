import { Ordered } from "./ordered.ts";

/** What a table holds: plain data with an identity. */
export interface Entry {
  readonly uuid: string;
}

/** What an entry is sorted by. */
export type SortValue = string | number;

/** A place in an order: where the entry with this value and UUID is, or would be. */
export interface Place {
  readonly value: SortValue;
  readonly uuid: string;
}

/** Which entries are wanted of a table, and in what order. */
export interface Selection<T extends Entry, K extends string> {
  readonly key: K;
  /** From the greatest down. */
  readonly reverse: boolean;
  /** Only what comes after this place, in that order. */
  readonly after: Place | undefined;
  readonly limit: number;
  /** Only what this lets through. */
  readonly matches: ((entry: T) => boolean) | undefined;
  /** Only some of these, where they are fewer than all. */
  readonly among: Iterable<T> | undefined;
}

/** A table for those who only look. */
export type ReadonlyTable<T extends Entry, K extends string> = Omit<Table<T, K>, "put" | "delete">;

/** An order of the table: its rows by one key. */
interface Order<T> {
  readonly keyOf: (entry: T) => SortValue;
  readonly rows: Ordered<number>;
}

/**
 * Entries by UUID that are also kept in order by each of several keys, all the time, so that no query sorts.
 * Entries are never changed in place: putting one replaces the one with its UUID. Equal keys are ordered by UUID.
 *
 * Orders hold row numbers, not entries: entries lie all over the heap, and visiting 100,000 of them in any order but
 * that of their rows costs ten times as much. So a filter goes through the rows and marks what it lets through, and
 * the walk through an order looks at the marks alone.
 */
export class Table<T extends Entry, K extends string> {
  /** The entry of each row; undefined where one was deleted. */
  readonly #entries: (T | undefined)[] = [];
  readonly #rowOf = new Map<string, number>();
  readonly #freeRows: number[] = [];
  readonly #orders: ReadonlyMap<string, Order<T>>;
  #version = 0;

  constructor(keys: Readonly<Record<K, (entry: T) => SortValue>>) {
    this.#orders = new Map(
      Object.entries<(entry: T) => SortValue>(keys).map(([name, keyOf]) => {
        const compare = (a: number, b: number) => {
          const entry = this.#at(b);
          return compareTo(keyOf, this.#at(a), { value: keyOf(entry), uuid: entry.uuid });
        };
        return [name, { keyOf, rows: new Ordered(compare) }];
      }),
    );
  }

  /** Grows with every change. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#rowOf.size;
  }

  get(uuid: string): T | undefined {
    const row = this.#rowOf.get(uuid);
    return row === undefined ? undefined : this.#entries[row];
  }

  *values(): Iterable<T> {
    for (const entry of this.#entries) if (entry) yield entry;
  }

  put(entry: T): void {
    this.#version++;
    const known = this.#rowOf.get(entry.uuid);
    const row = known ?? this.#freeRows.pop() ?? this.#entries.length;
    const before = this.#entries[row];
    const moved = [...this.#orders.values()].filter(({ keyOf }) => !before || keyOf(before) !== keyOf(entry));
    if (before) { for (const { rows } of moved) rows.delete(row); }
    this.#entries[row] = entry;
    this.#rowOf.set(entry.uuid, row);
    for (const { rows } of moved) rows.add(row);
  }

  delete(uuid: string): void {
    const row = this.#rowOf.get(uuid);
    if (row === undefined) return;
    this.#version++;
    for (const { rows } of this.#orders.values()) rows.delete(row);
    this.#rowOf.delete(uuid);
    this.#entries[row] = undefined;
    this.#freeRows.push(row);
  }

  /** The entries that are wanted, in order, and how many there would be without limit and place. */
  select(selection: Selection<T, K>): { items: T[]; total: number } {
    const { keyOf, rows } = this.#order(selection.key);
    const { after, limit, reverse } = selection;
    const marks = this.#mark(selection);
    const items: T[] = [];
    rows.walk(
      (row) => {
        if (items.length >= limit) return false;
        if (!marks || marks.of[row] === 1) items.push(this.#at(row));
        return true;
      },
      reverse,
      after && ((row) => compareTo(keyOf, this.#at(row), after)),
    );
    return { items, total: marks ? marks.total : this.size };
  }

  /** Where an entry lies in the order of a key. */
  placeOf(key: K, entry: T): Place {
    return { value: this.#order(key).keyOf(entry), uuid: entry.uuid };
  }

  /** A 1 for each row that is wanted; undefined: all are. */
  #mark({ matches, among }: Selection<T, K>): { of: Uint8Array; total: number } | undefined {
    if (!matches && !among) return undefined;
    const of = new Uint8Array(this.#entries.length);
    let total = 0;
    const look = (entry: T, row: number) => {
      if (matches && !matches(entry)) return;
      of[row] = 1;
      total++;
    };
    if (among) {
      for (const entry of among) look(entry, this.#rowOf.get(entry.uuid) ?? -1);
    } else {
      for (let row = 0; row < of.length; row++) {
        const entry = this.#entries[row];
        if (entry) look(entry, row);
      }
    }
    return { of, total };
  }

  #order(key: K): Order<T> {
    const order = this.#orders.get(key);
    if (!order) throw new RangeError(`no order by ${key}`);
    return order;
  }

  #at(row: number): T {
    return this.#entries[row] as T; // orders hold rows in use only
  }
}

/** How an entry lies to a place: by value, then by UUID; text by code units, which is quick and the same everywhere. */
function compareTo<T extends Entry>(keyOf: (entry: T) => SortValue, entry: T, place: Place): number {
  const value = keyOf(entry);
  if (value !== place.value) return value < place.value ? -1 : 1;
  if (entry.uuid === place.uuid) return 0;
  return entry.uuid < place.uuid ? -1 : 1;
}
