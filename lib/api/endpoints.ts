import { OpenAPIHono, type z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { FieldIssue } from "../model/error.ts";
import { isUuid } from "../model/uuid.ts";
import { requireInTime } from "./arrival.ts";
import { type BodyReader, invalidRequest, NO_BODY } from "./body.ts";
import { describeOperation } from "./describe.ts";
import type { Exchange } from "./exchange.ts";
import { check } from "./issues.ts";
import type { Input, JsonBody, Operation, OperationHandler } from "./operation.ts";
import { type FilterFields, withFilter } from "./filter_body.ts";
import { announcesBody, showBody } from "./get_body.ts";
import { HttpError, problemResponse } from "./problem.ts";
import { NO_QUERY, readQuery } from "./query.ts";
import { respondEmpty } from "./respond.ts";
import type { Routing } from "./routing.ts";
import { UUID_PATTERN, UUID_RULE } from "./schema_common.ts";

interface Environment {
  Bindings: Exchange;
}

/** An operation that is found without the router. */
interface HotPath {
  /** Of whole URLs; its group is the UUID. */
  readonly pattern: RegExp;
  readonly answer: (uuid: string, exchange: Exchange) => Response | Promise<Response>;
}

/** The document that describes the API, as plain data. */
export type OpenApiDocument = ReturnType<OpenAPIHono["getOpenAPI31Document"]>;

/**
 * The operations of the API, routed. Validation is done here rather than by Hono's validators, so that one answer names
 * every field at fault, and so that a plain GET runs through a single function that need not wait.
 */
export class Endpoints {
  readonly #app = new OpenAPIHono<Environment>();
  /** The methods that each path template has. */
  readonly #methods = new Map<string, string[]>();
  readonly #hot: HotPath[] = [];
  readonly #routing: Routing;
  readonly #hostOf: (vm: string) => string | undefined;
  readonly #bodies: BodyReader;

  /** @param o.hostOf the host that a VM is on, as far as is known; undefined: nobody knows the VM */
  constructor(
    o: {
      readonly routing: Routing;
      readonly hostOf: (vm: string) => string | undefined;
      readonly bodies: BodyReader;
    },
  ) {
    this.#routing = o.routing;
    this.#hostOf = o.hostOf;
    this.#bodies = o.bodies;
    this.#app.notFound((c) => this.#unrouted(c.req.raw));
    this.#app.onError((error, c) => {
      c.env.failure = error;
      return problemResponse(error, c.env.id);
    });
  }

  add<Query extends z.ZodObject, Body extends z.ZodType>(
    operation: Operation<Query, Body>,
    handler: OperationHandler<Query, Body>,
  ): void {
    const { method, path } = operation;
    this.#app.openAPIRegistry.registerPath(describeOperation(operation));
    this.#methods.set(path, [...this.#methods.get(path) ?? [], method.toUpperCase()]);
    const routed = this.#routed(operation, handler);
    this.#app.on(method, path.replace("{uuid}", ":uuid"), (c) => serve(c, operation, routed, this.#bodies));
    if (operation.hot) this.#hot.push(hotPath(operation, handler));
  }

  /** The handler for where the request is to be answered. */
  #routed<Query extends z.ZodObject, Body extends z.ZodType>(
    operation: Operation<Query, Body>,
    handler: OperationHandler<Query, Body>,
  ): OperationHandler<Query, Body> {
    const { at, method, patience = method === "get" ? "read" : "change", tracked = false } = operation;
    if (at === undefined) return handler;
    return (input) => {
      const find = at === "vm" ? () => this.#hostOf(input.uuid) : () => at(input);
      return this.#routing.route({ ...input, patience, tracked }, find, () => handler(input));
    };
  }

  /** Answers a request; failures of operations and unknown paths as problem details. */
  fetch(exchange: Exchange): Response | Promise<Response> {
    const { request } = exchange;
    if (request.method === "HEAD") return this.#head(exchange);
    if (request.method === "GET") {
      for (const { pattern, answer } of this.#hot) {
        const uuid = pattern.exec(request.url)?.[1];
        if (uuid !== undefined) return answer(uuid, exchange);
      }
    }
    return this.#app.fetch(request, exchange);
  }

  /** As GET, but for the body, whose length is told (RFC 9110 §9.3.2). */
  async #head(exchange: Exchange): Promise<Response> {
    const { request } = exchange;
    const response = await this.#app.fetch(new Request(request.url, { headers: request.headers }), exchange);
    const head = new Response(null, response);
    if (exchange.streams) {
      await response.body?.cancel();
      return head;
    }
    const { byteLength } = await response.arrayBuffer();
    head.headers.set("content-length", String(byteLength));
    return head;
  }

  /** The OpenAPI 3.1 document of all operations that were added. */
  document(info: { title: string; version: string; description: string }): OpenApiDocument {
    return this.#app.getOpenAPI31Document({ openapi: "3.1.0", info });
  }

  /** OPTIONS of any path, 405 for a path that has other methods, 404 for one that has none. */
  #unrouted(request: Request): Response {
    // As it came: the router, too, takes "/vms/../hosts" for what it is.
    const path = pathOf(request.url);
    const methods = path === "/*" ? [...this.#methods.values()].flat() : this.#methodsOf(path);
    if (methods === undefined) {
      throw new HttpError(
        "no_such_path",
        `There is no path ${path.slice(0, 200)}; /docs tells which there are`,
      );
    }
    const allow = allowed(methods);
    if (request.method !== "OPTIONS") {
      const why = `${path} has no method ${request.method}, but ${allow}`;
      throw new HttpError("method_not_allowed", why, allow);
    }
    const response = respondEmpty(204);
    response.headers.set("allow", allow);
    return response;
  }

  #methodsOf(path: string): readonly string[] | undefined {
    const steps = path.split("/");
    for (const [template, methods] of this.#methods) {
      const wanted = template.split("/");
      if (wanted.length !== steps.length) continue;
      if (wanted.every((step, at) => step === steps[at] || (step === "{uuid}" && steps[at] !== ""))) {
        return methods;
      }
    }
    return undefined;
  }
}

/** The path of a whole URL (of a unix socket: http+unix://…), in which nothing is resolved. */
function pathOf(url: string): string {
  return /^[^:/?#]+:\/\/[^/?#]*([^?#]*)/.exec(url)?.[1] || "/";
}

/** The value of the Allow header for a path with these operations. */
function allowed(methods: readonly string[]): string {
  const head = methods.includes("GET") ? ["HEAD"] : [];
  return [...new Set([...methods, ...head, "OPTIONS"])].join(", ");
}

function hotPath<Query extends z.ZodObject, Body extends z.ZodType>(
  { id, path }: Operation<Query, Body>,
  handler: OperationHandler<Query, Body>,
): HotPath {
  return {
    pattern: new RegExp(`^https?://[^/]+${path.replace("{uuid}", `(${UUID_PATTERN.slice(1, -1)})`)}$`),
    answer(uuid, exchange) {
      exchange.operation = id;
      const nothing = {
        query: NO_QUERY as z.output<Query>,
        body: undefined as z.output<Body>,
        bytes: NO_BODY.bytes,
      };
      return handler({ uuid, ...nothing, request: exchange.request, exchange });
    },
  };
}

/** Checks a request against its operation and hands it on. */
function serve<Query extends z.ZodObject, Body extends z.ZodType>(
  c: Context<Environment>,
  operation: Operation<Query, Body>,
  handler: OperationHandler<Query, Body>,
  bodies: BodyReader,
): Response | Promise<Response> {
  const exchange = c.env;
  exchange.operation = operation.id;
  if (operation.readsOnly) exchange.readsOnly = true;
  if (operation.streams) exchange.streams = true;
  if (operation.filter && announcesBody(exchange.request)) {
    return serveFilter(operation, operation.filter, handler, exchange, bodies);
  }
  const issues: FieldIssue[] = [];
  const uuid = (c.req.param("uuid") ?? "").toLowerCase();
  if (uuid !== "" && !isUuid(uuid)) issues.push({ field: "uuid", message: UUID_RULE });
  const query = readQuery(exchange.request.url, operation.query, issues);
  if (issues.length === 0 && "dry_run" in query && query.dry_run === "true") exchange.readsOnly = true;
  const input = {
    uuid,
    query,
    body: undefined as z.output<Body>,
    bytes: NO_BODY.bytes,
    request: exchange.request,
    exchange,
  };
  if (operation.method !== "get") return serveBody(operation, handler, input, issues, bodies);
  // A GET's body means nothing (RFC 9110 §9.3.1).
  if (issues.length > 0) throw invalidRequest(issues);
  return handler(input);
}

/** Answers a list request that may have its filter in the body. */
async function serveFilter<Query extends z.ZodObject, Body extends z.ZodType>(
  operation: Operation<Query, Body>,
  fields: FilterFields,
  handler: OperationHandler<Query, Body>,
  exchange: Exchange,
  bodies: BodyReader,
): Promise<Response> {
  const { request } = exchange;
  showBody(request);
  if (request.body === null) {
    const known = Object.values(fields).join(", ");
    throw invalidRequest([{ field: "", message: `cannot be read; filter by query parameters: ${known}` }]);
  }
  const { value, bytes } = await readBody({ request, exchange }, bodies);
  const issues: FieldIssue[] = [];
  const url = withFilter(request.url, value, fields, issues);
  const query = readQuery(url, operation.query, issues);
  if (issues.length > 0) throw invalidRequest(issues);
  // What is kept of answers, here and by caches on the way, is kept by URL; the body is not part of that.
  const asked = new Request(url);
  const body = undefined as z.output<Body>;
  const response = await handler({ uuid: "", query, body, bytes, request: asked, exchange });
  response.headers.delete("etag");
  response.headers.set("cache-control", "no-store");
  return response;
}

async function serveBody<Query extends z.ZodObject, Body extends z.ZodType>(
  operation: Operation<Query, Body>,
  handler: OperationHandler<Query, Body>,
  input: Input<Query, Body>,
  issues: FieldIssue[],
  bodies: BodyReader,
): Promise<Response> {
  const { bytes, value } = await readBody(input, bodies);
  requireInTime(input.request.headers);
  const body = checkBody(operation.body, value, issues);
  if (issues.length > 0) throw invalidRequest(issues);
  return await handler({ ...input, body, bytes });
}

async function readBody(
  { request, exchange }: Pick<Input<z.ZodObject, z.ZodType>, "request" | "exchange">,
  bodies: BodyReader,
) {
  try {
    return await bodies.json(request);
  } catch (error) {
    exchange.connection.held?.hangUpSoon(); // what comes of the body would be in the way of the next request
    throw error;
  }
}

function checkBody<Body extends z.ZodType>(
  expected: JsonBody<Body> | undefined,
  given: unknown,
  issues: FieldIssue[],
): z.output<Body> {
  if (expected === undefined) {
    if (given !== undefined) issues.push({ field: "", message: "must be empty, or null" });
    return undefined as z.output<Body>;
  }
  const before = issues.length;
  const body = check(expected.schema, given === undefined && expected.optional ? {} : given, issues);
  if (issues.length === before) issues.push(...expected.rules?.(body) ?? []);
  return body;
}
