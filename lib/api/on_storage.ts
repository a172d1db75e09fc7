import { VirtxError } from "../model/error.ts";
import type { Responsive } from "../posix/files.ts";

/** Does what needs the shared storage; refused, or given up being waited for, while that does not answer. */
export async function onStorage<T>(storage: Responsive, what: string, task: () => Promise<T>): Promise<T> {
  const refusal = storage.refusal();
  if (refusal) throw VirtxError.wrap(refusal, `Cannot ${what}`);
  return await storage.whileAnswering(task(), (reason) => `Cannot ${what} yet: ${reason}`);
}
