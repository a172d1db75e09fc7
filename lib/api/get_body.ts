/**
 * Makes the body of a GET readable, if the request has one. Deno.serve receives it but does not show it, since it means
 * nothing (RFC 9110 §9.3.1); the prototype's client sends its filters there. Deno goes by the method in its own record of the
 * request, which it keeps on the request under a symbol. A Deno that does it in another way leaves the body hidden: then
 * `request.body` stays null, and the request has to be refused.
 */
export function showBody(request: Request): void {
  const symbol = Object.getOwnPropertySymbols(request).find(({ description }) => description === "request");
  const record: unknown = symbol && Reflect.get(request, symbol);
  if (typeof record !== "object" || record === null || Object.hasOwn(record, "method")) return;
  Reflect.defineProperty(record, "method", { value: "POST", configurable: true });
  void request.body; // which is looked up once
  Reflect.deleteProperty(record, "method");
}

/** Whether a request says that it has a body, which may be empty nevertheless. */
export function announcesBody({ headers }: Request): boolean {
  const length = headers.get("content-length");
  return (length !== null && length !== "0") || headers.has("transfer-encoding");
}
