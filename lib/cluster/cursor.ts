import { VirtxError } from "../model/error.ts";
import type { Place } from "./table.ts";

/**
 * The text that stands for a place in a sorted list, for clients to hand back unread. It names the sort, since a place
 * in one order means nothing in another, and the last entry's key, so that paging goes on even if that entry is gone.
 */
export function encodeCursor(sort: string, place: Place): string {
  return new TextEncoder().encode(JSON.stringify([sort, place.value, place.uuid]))
    .toBase64({ alphabet: "base64url", omitPadding: true });
}

/**
 * The place that a cursor stands for.
 * @throws {VirtxError} kind invalid, if it is not one of ours or was made for another sort
 */
export function decodeCursor(sort: string, cursor: string): Place {
  const parts = parse(cursor);
  if (!Array.isArray(parts) || parts.length !== 3) throw invalid("is not a cursor of this list");
  const [madeFor, value, uuid] = parts;
  if (madeFor !== sort) throw invalid(`was made for sort=${madeFor}, not for sort=${sort}`);
  if ((typeof value !== "string" && typeof value !== "number") || typeof uuid !== "string") {
    throw invalid("is not a cursor of this list");
  }
  return { value, uuid };
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(cursor, { alphabet: "base64url" })));
  } catch {
    return undefined;
  }
}

function invalid(rule: string): VirtxError {
  return new VirtxError("invalid", `Cannot go on with the list: the cursor ${rule}`, {
    issues: [{ field: "cursor", message: rule }],
  });
}
