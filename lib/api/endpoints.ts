import { OpenAPIHono, type z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { FieldIssue } from "../model/error.ts";
import { isUuid } from "../model/uuid.ts";
import { invalidRequest, readJsonBody } from "./body.ts";
import { describeOperation } from "./describe.ts";
import type { Exchange } from "./exchange.ts";
import { check } from "./issues.ts";
import type { JsonBody, Operation, OperationHandler } from "./operation.ts";
import { HttpError, problemResponse } from "./problem.ts";
import { readQuery } from "./query.ts";
import { respondEmpty } from "./respond.ts";

interface Environment {
  Bindings: Exchange;
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

  constructor() {
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
    this.#app.on(method, path.replace("{uuid}", ":uuid"), (c) => serve(c, operation, handler));
  }

  /** Answers a request; failures of operations and unknown paths as problem details. */
  fetch(request: Request, exchange: Exchange): Response | Promise<Response> {
    return this.#app.fetch(request, exchange);
  }

  /** The OpenAPI 3.1 document of all operations that were added. */
  document(info: { title: string; version: string; description: string }): OpenApiDocument {
    return this.#app.getOpenAPI31Document({ openapi: "3.1.0", info });
  }

  /** OPTIONS of any path, 405 for a path that has other methods, 404 for one that has none. */
  #unrouted(request: Request): Response {
    const path = new URL(request.url).pathname;
    const methods = path === "/*" ? [...this.#methods.values()].flat() : this.#methodsOf(path);
    if (methods === undefined) throw new HttpError("no_such_path", `There is no path ${path.slice(0, 200)}`);
    const allow = [...new Set([...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"])].join(
      ", ",
    );
    if (request.method !== "OPTIONS") {
      throw new HttpError(
        "method_not_allowed",
        `${path} has no method ${request.method}, but ${allow}`,
        allow,
      );
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

/** Checks a request against its operation and hands it on. */
function serve<Query extends z.ZodObject, Body extends z.ZodType>(
  c: Context<Environment>,
  operation: Operation<Query, Body>,
  handler: OperationHandler<Query, Body>,
): Response | Promise<Response> {
  const request = c.req.raw;
  const exchange = c.env;
  exchange.operation = operation.id;
  const issues: FieldIssue[] = [];
  const uuid = c.req.param("uuid") ?? "";
  if (uuid !== "" && !isUuid(uuid)) issues.push({ field: "uuid", message: "must be a UUID, in lower case" });
  const query = readQuery(request.url, operation.query);
  if ("issues" in query) issues.push(...query.issues);

  const proceed = (body: z.output<Body>): Response | Promise<Response> => {
    if (issues.length > 0 || "issues" in query) throw invalidRequest(issues);
    return handler({ uuid, query: query.value, body, request, exchange });
  };
  // A GET's body means nothing (RFC 9110 §9.3.1), and Deno.serve does not even show it.
  if (operation.method === "get") return proceed(undefined as z.output<Body>);
  return readJsonBody(request).then((given) => proceed(checkBody(operation.body, given, issues)));
}

/** The checked body; broken rules are added to the issues, and then the result is not to be used. */
function checkBody<Body extends z.ZodType>(
  expected: JsonBody<Body> | undefined,
  given: unknown,
  issues: FieldIssue[],
): z.output<Body> {
  if (expected === undefined) {
    if (given !== undefined) issues.push({ field: "", message: "must be empty, or null" });
    return undefined as z.output<Body>;
  }
  const checked = check(expected.schema, given === undefined && expected.optional ? {} : given);
  if ("issues" in checked) {
    issues.push(...checked.issues);
    return undefined as z.output<Body>;
  }
  issues.push(...expected.rules?.(checked.value) ?? []);
  return checked.value;
}
