import assert from "node:assert/strict";
import fc from "fast-check";
import { type DrawnRequest, drawnRequest, KNOWN, type OpenApiDocument } from "./openapi_arbitrary.ts";

/** No request takes so long unless something hangs. */
const PATIENCE_MS = 20_000;

/** What HTTP may answer to any request, whatever its operation declares. */
const ALWAYS = ["400", "403", "404", "405", "413", "415"];

export interface FuzzOptions {
  /** Sends one request; the path begins with "/". */
  readonly send: (request: Request) => Response | Promise<Response>;
  /** Where the API is, for the URLs. */
  readonly base: string;
  readonly runs: number;
  /** UUIDs of VMs and hosts that exist. Those of VMs that are created on the way are added. */
  readonly known: string[];
  /** Changes a request before it is sent, where the real thing would do too much; undefined: it is left out. */
  readonly tame?: (request: DrawnRequest) => DrawnRequest | undefined;
}

/** How often each status was answered. */
export type FuzzTally = Map<number, number>;

/**
 * Sends random requests, drawn from the API's own OpenAPI document, and holds each answer to it: a status that the operation
 * declares and never 500, in time, and problem details for errors.
 */
export async function fuzzApi(o: FuzzOptions): Promise<FuzzTally> {
  const document: OpenApiDocument = await (await o.send(new Request(`${o.base}/openapi.json`))).json();
  const tally: FuzzTally = new Map();
  let sent = 0;
  const property = fc.asyncProperty(drawnRequest(document), async (drawn) => {
    const request = o.tame ? o.tame(drawn) : drawn;
    if (request === undefined) return;
    const response = await answered(o, request, sent++);
    const text = await textOf(response);
    tally.set(response.status, (tally.get(response.status) ?? 0) + 1);
    judge(request, response, text);
    if (request.operation.operationId === "VmCreate" && response.status === 201) {
      o.known.push(JSON.parse(text));
    }
  });
  await fc.assert(property, { numRuns: o.runs });
  return tally;
}

/** The body; of one that goes on for ever nothing. */
async function textOf(response: Response): Promise<string> {
  if (response.headers.get("content-type") !== "text/event-stream") return await response.text();
  await response.body?.cancel();
  return "";
}

async function answered(
  o: FuzzOptions,
  { method, path, headers, body }: DrawnRequest,
  turn: number,
): Promise<Response> {
  const known = o.known[turn % o.known.length] ?? "";
  const request = new Request(o.base + path.replace(KNOWN, known), {
    method,
    headers,
    ...(body !== undefined && { body }),
  });
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  try {
    return await Promise.race([o.send(request), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

function judge({ operation }: DrawnRequest, response: Response, text: string): void {
  const { status, headers } = response;
  const declared = [...ALWAYS, ...Object.keys(operation.responses)];
  assert.notEqual(status, 500, text);
  assert.ok(
    declared.includes(String(status)),
    `${operation.operationId} does not declare ${status}: ${text}`,
  );
  if (status >= 400) {
    assert.equal(headers.get("content-type"), "application/problem+json");
    assert.equal(JSON.parse(text).status, status);
  }
}
