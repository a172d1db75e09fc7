import { type RouteConfig, z } from "@hono/zod-openapi";
import type { ErrorKind } from "../model/error.ts";
import type { Answer, Operation, RequestHeader } from "./operation.ts";
import { statusOf, titleOf } from "./failure_kinds.ts";
import { IDEMPOTENCY_KEY_PATTERN } from "./preferences.ts";
import { Problem, PROBLEM_JSON } from "./problem.ts";
import { JSON_TYPE } from "./respond.ts";
import { Uuid } from "./schema_common.ts";
import { TrackedOperationSchema } from "./schema_operation.ts";

const UuidInPath = z.object({ uuid: Uuid });

/** What any request may meet. */
const ALWAYS: readonly ErrorKind[] = ["invalid", "denied", "internal", "unavailable"];

/** What can become of a request that is for another host. */
const PASSED: readonly ErrorKind[] = ["unreachable", "unavailable", "timeout", "loop"];

/** What reads may carry. */
const STALE = {
  "X-VirtX-Stale": "Libvirt has been away for so many seconds: what this host says of itself is from memory",
  "X-VirtX-Cluster-Stale":
    "Serf has been away for so many seconds: what is said of other hosts is from memory",
  "X-VirtX-Incomplete": "Why VMs may be missing: hosts that have not told of theirs yet",
};

/** What a change may be asked with; the example of a key is that of this operation alone, as keys have to be. */
const trackedHeaders = (operation: string): Readonly<Record<string, RequestHeader>> => ({
  Prefer: {
    description:
      "respond-async: answer 202 at once and go on (RFC 7240); with wait=10 beside it, only if it takes " +
      "longer than 10 s",
    example: "respond-async",
  },
  "Idempotency-Key": {
    description:
      "Chosen by the client, a UUID say, of 1 to 200 visible ASCII characters: the same request with the same " +
      "key is carried out once and answered alike for a day, unless it failed: then it is tried again; another request " +
      "with the key is refused (422). A key counts on the host that carries the request out: send a retry to any host if " +
      "the request names its VM or host, else to the same one; and of a migration look at its operation, as the VM may be on " +
      "another host by now",
    example: `"${operation}-of-web1-on-monday"`,
    pattern: IDEMPOTENCY_KEY_PATTERN,
  },
});

/** What the answers to changes carry. */
const TRACKED = { "X-VirtX-Operation": "The id of the operation, for OperationGet; failures carry it, too" };

/** An operation as zod-openapi wants it, for the OpenAPI document. */
export function describeOperation<Query extends z.ZodObject, Body extends z.ZodType>(
  operation: Operation<Query, Body>,
): RouteConfig {
  const { id, method, path, tag, summary, description, query, body } = operation;
  const headers = { ...operation.tracked && trackedHeaders(id), ...operation.headers };
  return {
    operationId: id,
    method,
    path,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    request: {
      ...(path.includes("{uuid}") && { params: UuidInPath }),
      ...(query && { query }),
      ...(Object.keys(headers).length > 0 && { headers: z.object(mapValues(headers, requestHeaderSchema)) }),
      ...(body && {
        body: {
          required: body.optional !== true,
          content: {
            [JSON_TYPE]: { schema: body.schema, ...("example" in body && { example: body.example }) },
          },
        },
      }),
    },
    responses: { ...successes(operation), ...failures(operation) },
  };
}

function successes(
  { answers, method, tag, tracked }: Operation<z.ZodObject, z.ZodType>,
): RouteConfig["responses"] {
  const stale = method === "get" && (tag === "VMs" || tag === "Hosts") ? STALE : {};
  const common = { ...stale, ...(tracked && TRACKED) };
  const all = tracked ? { ...answers, 202: accepted(answers[202]) } : answers;
  return Object.fromEntries(
    Object.entries(all).map(([status, { description, schema, type, headers }]) => [status, {
      description,
      ...(schema && { content: { [type ?? JSON_TYPE]: { schema } } }),
      headers: z.object(mapValues({ ...headers, ...common }, headerSchema)),
    }]),
  );
}

/** The answer of a change that goes on; some have one of their own with that status. */
function accepted(own: Answer | undefined): Answer {
  const begun = "With Prefer: respond-async: it has begun, and this is its operation";
  return {
    description: own ? `${own.description}. ${begun}` : begun,
    schema: TrackedOperationSchema,
    headers: {
      Location: "With Prefer: respond-async: the path of the operation",
      "Preference-Applied": "respond-async",
    },
  };
}

function failures(
  { path, body, at, tracked, failures = [] }: Operation<z.ZodObject, z.ZodType>,
): RouteConfig["responses"] {
  const kinds = [...ALWAYS, ...(path.includes("{uuid}") ? ["not_found" as const] : []), ...failures];
  if (at !== undefined) kinds.push(...PASSED);
  if (tracked) kinds.push("conflict");
  const titles = new Map(kinds.map((kind) => [statusOf(kind), titleOf(kind)]));
  if (body) {
    titles.set(408, "The body did not arrive in time");
    titles.set(413, "The body is longer than 1 MiB").set(415, "The body is not application/json");
  }
  const content = { [PROBLEM_JSON]: { schema: Problem } };
  return Object.fromEntries(
    [...titles].toSorted(([a], [b]) => a - b).map((
      [status, description],
    ) => [status, { description, content }]),
  );
}

function requestHeaderSchema({ description, example, pattern }: RequestHeader): z.ZodType {
  return z.string().optional().openapi({ description, example, ...(pattern !== undefined && { pattern }) });
}

function headerSchema(description: string): z.ZodType {
  return z.string().optional().openapi({ description });
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
