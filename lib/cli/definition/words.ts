import { enumName } from "../../model/enums.ts";

/** One of the model's enumerations. */
export type Enumeration<T extends number = number> = Readonly<Record<string, T>>;

/** The words for an enumeration's values, in their order: `virtio-blk` for DiskBus.virtioBlk. */
export function wordsOf(enumeration: Enumeration): readonly string[] {
  return Object.keys(enumeration).map(kebab);
}

/** The word for a value; of one that has none, its number. */
export function wordOf(enumeration: Enumeration, value: number): string {
  return kebab(enumName(enumeration, value));
}

/** The value that a word stands for, in upper or lower case. */
export function valueOf<T extends number>(enumeration: Enumeration<T>, word: string): T | undefined {
  const name = Object.keys(enumeration).find((name) => kebab(name) === word.toLowerCase());
  return name === undefined ? undefined : enumeration[name];
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
