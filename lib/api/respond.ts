export const JSON_TYPE = "application/json";

/** From how many bytes on an answer is sent piece by piece, and how large the pieces are. */
const LARGE_BYTES = 256 * 1024;
const PIECE_BYTES = 256 * 1024;
const weights = new WeakMap<Response, number>();

/** How many bytes wait in memory until the client takes them: 0: it is made as it is taken; undefined: next to nothing. */
export function weightOf(response: Response): number | undefined {
  return weights.get(response);
}

/**
 * An answer with a body, kept by nobody unless its headers are made to say otherwise. Deno.serve states the length of
 * bodies that are whole, as this API's are: the prototype's client takes a chunked answer for an error (protocol.md §1).
 * Headers are set one by one because an init object with several costs ten times as much.
 */
export function respond(
  status: number,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>,
  type: string,
): Response {
  if (!(body instanceof ReadableStream) && body.length >= LARGE_BYTES) {
    return respondLarge(status, body, type);
  }
  const response = status === 200 ? new Response(body) : new Response(body, { status });
  response.headers.set("content-type", type);
  if (body instanceof ReadableStream) weights.set(response, 0);
  return guarded(response);
}

/**
 * Piece by piece, as the client takes it, though with its length: Deno.serve copies what it is given whole, at twice the cost,
 * and does not tell when that has been sent.
 */
function respondLarge(status: number, body: string | Uint8Array<ArrayBuffer>, type: string): Response {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  let at = 0;
  const pieces = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at + PIECE_BYTES));
      at += PIECE_BYTES;
    },
  }, { highWaterMark: 0 });
  const response = new Response(pieces, { status });
  response.headers.set("content-type", type);
  response.headers.set("content-length", String(bytes.length));
  weights.set(response, bytes.length);
  return guarded(response);
}

/** An answer of JSON. */
export function respondJson(status: number, value: unknown): Response {
  return respond(status, JSON.stringify(value), JSON_TYPE);
}

/** An answer without a body. */
export function respondEmpty(status: number): Response {
  return guarded(new Response(null, { status }));
}

const JSON_ONLY: ResponseInit = { headers: { "content-type": JSON_TYPE } };

/**
 * An answer of JSON for what is asked all the time: with no header but its type, Deno.serve has a quicker path for it,
 * which makes a quarter of the request. It must hold no text of anybody's own, which a browser might take for something else.
 */
export function respondBriefly(value: unknown): Response {
  return new Response(JSON.stringify(value), JSON_ONLY);
}

/** Text as a header can have it: ASCII, and not too long. */
export function headerText(text: string): string {
  return text.replaceAll(/[^ -~]/g, "?").slice(0, 1000);
}

/** An answer whose body is made part by part, at the pace at which the client takes it. */
export function respondStream(parts: Iterable<string>, type: string): Response {
  const encoder = new TextEncoder();
  const iterator = parts[Symbol.iterator]();
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const { done, value } = iterator.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: () => void iterator.return?.(),
  }, { highWaterMark: 0 });
  return respond(200, body, type);
}

function guarded(response: Response): Response {
  response.headers.set("cache-control", "no-store");
  response.headers.set("x-content-type-options", "nosniff");
  return response;
}
