import { z } from "@hono/zod-openapi";
import { type ErrorKind, errorMessage, VirtxError } from "../model/error.ts";
import { statusOf, titleOf, TYPE_PREFIX } from "./failure_kinds.ts";
import { respond } from "./respond.ts";

/** The media type of an error (RFC 9457 §3). */
export const PROBLEM_JSON = "application/problem+json";

/** More broken rules than this are not listed; a hostile body could bring a million. */
const MAX_ISSUES = 100;

/** What HTTP itself refuses before any operation is known. */
const HTTP_FAULTS = {
  no_such_path: { status: 404, title: "There is no such path" },
  method_not_allowed: { status: 405, title: "The path does not have this method" },
  body_incomplete: { status: 400, title: "The request body is not complete" },
  body_too_slow: { status: 408, title: "The request body did not arrive in time" },
  body_too_large: { status: 413, title: "The request body is too large" },
  client_gone: { status: 400, title: "The client went away" },
  upgrade_required: { status: 426, title: "The path is for another protocol than HTTP" },
  not_json: { status: 415, title: "The request body is not JSON" },
} as const;

/** A request that breaks the rules of HTTP or of this API's use of it, rather than those of an operation. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  /** `allow`: the methods that the path does have (RFC 9110 §10.2.1), for `method_not_allowed`. */
  constructor(readonly kind: keyof typeof HTTP_FAULTS, message: string, readonly allow?: string) {
    super(message);
  }
}

/** Problem details as they travel. */
export const Problem = z.object({
  type: z.string().openapi({
    description: "Names the kind of problem",
    example: "urn:virtx:problem:conflict",
  }),
  title: z.string().openapi({ description: "The kind of problem in words" }),
  status: z.int().openapi({ description: "The HTTP status" }),
  detail: z.string().openapi({ description: "What could not be done, and why" }),
  instance: z.string().openapi({
    description: "urn:virtx:request: and the id that X-Request-Id and the logs have; or urn:virtx:operation:",
  }),
  errors: z.array(z.object({
    field: z.string().openapi({ description: "The field or parameter, such as vmdef.disks[0].path" }),
    message: z.string().openapi({ description: "The rule that it breaks" }),
  })).optional().openapi({ description: "Every field at fault, with status 400" }),
  libvirt: z.object({
    code: z.int().openapi({ description: "virErrorNumber" }),
    domain: z.int().openapi({ description: "virErrorDomain" }),
    level: z.int().openapi({ description: "virErrorLevel" }),
    message: z.string(),
  }).optional().openapi({ description: "What libvirt said, where it said something" }),
}).openapi("Problem", { description: "Problem details (RFC 9457)" });
export type Problem = z.output<typeof Problem>;

/**
 * A failure as problem details (RFC 9457). What is not a {@link VirtxError} or {@link HttpError} is a defect of ours:
 * it is told as `internal` and nothing of it is told.
 */
export function problemOf(error: unknown, instance: string): Problem {
  const kind = error instanceof VirtxError || error instanceof HttpError ? error.kind : "internal";
  const { status, title } = error instanceof HttpError
    ? HTTP_FAULTS[error.kind]
    : { status: statusOf(kind as ErrorKind), title: titleOf(kind as ErrorKind) };
  const told = kind !== "internal";
  const problem: Problem = {
    type: TYPE_PREFIX + kind,
    title,
    status,
    detail: told
      ? errorMessage(error)
      : "An error of virtxd itself; its log has the details under this request's id",
    instance,
  };
  if (error instanceof VirtxError && told) {
    if (error.issues.length > 0) {
      problem.errors = error.issues.slice(0, MAX_ISSUES).map(({ field, message }) => ({ field, message }));
    }
    if (error.libvirt) problem.libvirt = { ...error.libvirt };
  }
  return problem;
}

/** The answer to a request that failed. */
export function problemResponse(error: unknown, requestId: string): Response {
  const problem = problemOf(error, `urn:virtx:request:${requestId}`);
  const response = respond(problem.status, JSON.stringify(problem), PROBLEM_JSON);
  if (error instanceof VirtxError && error.retryAfterS !== undefined) {
    response.headers.set("retry-after", String(Math.max(0, Math.ceil(error.retryAfterS))));
  }
  if (error instanceof HttpError && error.kind === "upgrade_required") {
    response.headers.set("upgrade", "websocket"); // RFC 9110 §15.5.22
  }
  if (error instanceof HttpError && error.kind === "body_too_slow") {
    response.headers.set("connection", "close"); // RFC 9110 §15.5.9
  }
  if (error instanceof HttpError && error.allow !== undefined) response.headers.set("allow", error.allow);
  return response;
}
