/** Where a request goes, and how it ends early. */
export interface GetOptions {
  readonly url: string;
  readonly headers: Headers;
  readonly signal: AbortSignal;
  /** The unix socket of the server; left out: where the URL says. */
  readonly socket?: string | undefined;
}

/**
 * Sends a GET with a body, as the prototype wants it and fetch refuses to (WHATWG Fetch, §5.4). On a connection of its own:
 * where a kept one breaks, node:http sends the request again.
 */
export async function getWithBody(
  { url, headers, signal, socket }: GetOptions,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<Response> {
  // The command line seldom needs it, and it takes longer to load than most commands take.
  const { request } = await import("node:http");
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const outgoing = request(url, {
    method: "GET",
    agent: false,
    headers: { ...Object.fromEntries(headers), "content-length": bytes.byteLength },
    ...(socket !== undefined && { socketPath: socket }),
  }, (answer) => {
    const received = new ReadableStream<Uint8Array>({
      start(controller) {
        answer.on("data", (piece: Uint8Array) => controller.enqueue(new Uint8Array(piece)));
        answer.on("end", () => controller.close());
        answer.on("error", (error: Error) => controller.error(error));
        signal.addEventListener("abort", () => controller.error(signal.reason));
      },
      cancel() {
        outgoing.destroy();
      },
    });
    const fields = new Headers();
    for (const [name, value] of Object.entries(answer.headers)) fields.set(name, String(value));
    const status = answer.statusCode ?? 0;
    resolve(new Response(status === 204 || status === 304 ? null : received, { status, headers: fields }));
  });
  signal.addEventListener("abort", () => {
    outgoing.destroy();
    reject(signal.reason);
  });
  outgoing.on("error", reject);
  outgoing.end(bytes);
  return await promise;
}
