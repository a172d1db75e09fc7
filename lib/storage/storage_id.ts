import { z } from "zod";
import { isUuid } from "../model/uuid.ts";

/** Where a storage says which one it is, below its root. Written once, and never changed. */
export const ID_FILE = ".virtxd/storage.json";

/** The newest format that is understood; what has a greater number was written by a later version. */
const FORMAT = 1;

const StoredId = z.object({ format: z.int(), id: z.string().refine(isUuid) });

/** The content of the id file of a new storage. `createdAt`, in UTC milliseconds, is for people. */
export function encodeStorageId(id: string, createdAt: number): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify({ format: FORMAT, id, createdAt }) + "\n");
}

/** The id that an id file holds, or why it holds none. */
export function decodeStorageId(content: Uint8Array): { readonly id: string } | { readonly flaw: string } {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch {
    return { flaw: "is not JSON" };
  }
  const stored = StoredId.safeParse(value).data;
  if (!stored) return { flaw: "has no format number and UUID in it" };
  if (stored.format > FORMAT) {
    return {
      flaw: `has format ${stored.format}: a later version of virtxd is needed to change anything here`,
    };
  }
  return { id: stored.id };
}
