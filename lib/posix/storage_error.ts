import { VirtxError } from "../model/error.ts";
import { systemReason } from "./errno.ts";

/**
 * Runs a task on shared storage and tells its failure: what a file operation says becomes a VirtxError of kind
 * `storage`, what already is a VirtxError keeps its kind; either begins with what could not be done.
 */
export async function onStorage<T>(what: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (error instanceof VirtxError) throw VirtxError.wrap(error, what);
    throw new VirtxError("storage", `${what}: ${systemReason(error)}`, { cause: error });
  }
}
