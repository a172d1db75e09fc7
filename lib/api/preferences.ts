import { invalidRequest } from "./body.ts";

/** The longest key; a UUID has 36 characters. */
const KEY_MAX = 200;
const KEY = /^[!-~]+$/;
/** The header with it, for the documentation; see {@link readIdempotencyKey}. */
export const IDEMPOTENCY_KEY_PATTERN = `^("[!-~]{1,${KEY_MAX}}"|[!-~]{1,${KEY_MAX}})$`;
/** The longest `wait` that is heeded, in seconds. */
const WAIT_MAX_S = 60;

/** How a client would have a change answered (RFC 7240). */
export interface Preference {
  /** Rather at once than when it is done. */
  readonly respondAsync: boolean;
  /** For how long it may take to be answered when it is done all the same, milliseconds. */
  readonly waitMs: number;
}

/** What `Prefer` says: `respond-async`, and `wait=10` beside it. What is not understood is ignored, as RFC 7240 §2 has it. */
export function readPreference(headers: Headers): Preference {
  let respondAsync = false;
  let waitS = 0;
  for (const part of (headers.get("prefer") ?? "").split(",")) {
    const [name = "", value = ""] = (part.split(";")[0] ?? "").split("=").map((text) => text.trim());
    if (name.toLowerCase() === "respond-async") respondAsync = true;
    if (name.toLowerCase() === "wait" && /^"?\d{1,6}"?$/.test(value)) {
      waitS = Number(value.replaceAll('"', ""));
    }
  }
  return { respondAsync, waitMs: Math.min(waitS, WAIT_MAX_S) * 1_000 };
}

/**
 * The Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a quoted string; without quotes it is taken as well.
 * @throws VirtxError invalid
 */
export function readIdempotencyKey(headers: Headers): string | undefined {
  const header = headers.get("idempotency-key");
  if (header === null) return undefined;
  const key = /^".*"$/.test(header) ? header.slice(1, -1) : header;
  if (KEY.test(key) && key.length <= KEY_MAX) return key;
  const message = `must be 1 to ${KEY_MAX} visible ASCII characters`;
  throw invalidRequest([{ field: "Idempotency-Key", message }]);
}
