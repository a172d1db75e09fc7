export const JSON_TYPE = "application/json";

const encoder = new TextEncoder();

/**
 * An answer with a body. Its length is always stated: the prototype's client takes a chunked answer for an error
 * (interop.md §1). Headers are set one by one because the init object of `Response` costs ten times as much.
 */
export function respond(status: number, body: string | Uint8Array<ArrayBuffer>, type: string): Response {
  const bytes = typeof body === "string" ? encoder.encode(body) : body;
  const response = status === 200 ? new Response(bytes) : new Response(bytes, { status });
  response.headers.set("content-type", type);
  response.headers.set("content-length", String(bytes.byteLength));
  return response;
}

/** An answer of JSON. */
export function respondJson(status: number, value: unknown): Response {
  return respond(status, JSON.stringify(value), JSON_TYPE);
}

/** An answer without a body. A 204 must not state a length (RFC 9110 §8.6); the others state that it is 0. */
export function respondEmpty(status: number): Response {
  const response = new Response(null, { status });
  if (status !== 204 && status !== 304) response.headers.set("content-length", "0");
  return response;
}
