import { VirtxError } from "../model/error.ts";

/** What is read out of a definition; undefined: the definition cannot be read. */
export function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof VirtxError) return undefined;
    throw error;
  }
}
