import { type FieldIssue, VirtxError } from "../model/error.ts";
import { BODY_MAX_BYTES } from "../model/limits.ts";
import { HttpError } from "./problem.ts";

/** application/json with any parameters; a browser form cannot send it without asking first (WHATWG Fetch, CORS). */
const JSON_CONTENT = /^application\/json *(;|$)/i;

/** A request's body. */
export interface ReceivedBody {
  /** As it came. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What it says; undefined: nothing. */
  readonly value: unknown;
}

/** Of a request without one. */
export const NO_BODY: ReceivedBody = Object.freeze({ bytes: new Uint8Array(), value: undefined });

/**
 * Reads a request's JSON body to its end. No body, and the `null` that the prototype's client sends where there is
 * nothing to say, both say nothing.
 *
 * @throws HttpError not_json, body_too_large; VirtxError invalid for what is not UTF-8 or not JSON.
 */
export async function readJsonBody(request: Request): Promise<ReceivedBody> {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > BODY_MAX_BYTES) throw tooLarge();
  const bytes = await readBytes(request.body, BODY_MAX_BYTES, () => {
    throw tooLarge();
  });
  if (bytes.byteLength === 0) return NO_BODY;
  const type = request.headers.get("content-type") ?? "";
  if (!JSON_CONTENT.test(type)) {
    throw new HttpError(
      "not_json",
      `A body must be application/json, not ${type === "" ? "without a type" : `"${type}"`}`,
    );
  }
  return { bytes, value: parseJson(bytes) ?? undefined };
}

/**
 * Reads a body to its end. Counts what arrives rather than believing Content-Length, which a chunked body does not have.
 * @param tooLong is called when there is more than that, to throw
 */
export async function readBytes(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  maxBytes: number,
  tooLong: () => never,
): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > maxBytes) tooLong();
    chunks.push(chunk);
  }
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1) return only;
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? cause.message : "it is not UTF-8";
    throw invalidRequest([{ field: "", message: `is not JSON: ${reason}` }], cause);
  }
}

/** The error for a request that breaks these rules. */
export function invalidRequest(issues: readonly FieldIssue[], cause?: unknown): VirtxError {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  const what = first === undefined
    ? ""
    : `: ${first.field === "" ? "the body" : first.field} ${first.message}${more}`;
  return new VirtxError("invalid", `The request is not valid${what}`, { issues, cause });
}

function tooLarge(): HttpError {
  return new HttpError("body_too_large", `A request body may have at most ${BODY_MAX_BYTES} bytes`);
}
