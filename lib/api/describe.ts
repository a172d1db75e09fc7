import { type RouteConfig, z } from "@hono/zod-openapi";
import type { ErrorKind } from "../model/error.ts";
import type { Operation } from "./operation.ts";
import { Problem, PROBLEM_JSON, statusOf, titleOf } from "./problem.ts";
import { JSON_TYPE } from "./respond.ts";
import { Uuid } from "./schema_common.ts";

const UuidInPath = z.object({ uuid: Uuid });

/** What any request may meet. */
const ALWAYS: readonly ErrorKind[] = ["invalid", "denied", "internal"];

/** What can become of a request that is for another host. */
const PASSED: readonly ErrorKind[] = ["unreachable", "unavailable", "timeout", "loop"];

/** What reads may carry. */
const STALE = {
  "X-VirtX-Stale": "Libvirt has been away for so many seconds: what this host says of itself is from memory",
  "X-VirtX-Cluster-Stale":
    "Serf has been away for so many seconds: what is said of other hosts is from memory",
};

/** An operation as zod-openapi wants it, for the OpenAPI document. */
export function describeOperation<Query extends z.ZodObject, Body extends z.ZodType>(
  operation: Operation<Query, Body>,
): RouteConfig {
  const { id, method, path, tag, summary, description, query, body } = operation;
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

function successes({ answers, method, tag }: Operation<z.ZodObject, z.ZodType>): RouteConfig["responses"] {
  const common = method === "get" && (tag === "VMs" || tag === "Hosts") ? STALE : {};
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, schema, type, headers }]) => [status, {
      description,
      ...(schema && { content: { [type ?? JSON_TYPE]: { schema } } }),
      headers: z.object(mapValues({ ...headers, ...common }, headerSchema)),
    }]),
  );
}

function failures(
  { path, body, at, failures = [] }: Operation<z.ZodObject, z.ZodType>,
): RouteConfig["responses"] {
  const kinds = [...ALWAYS, ...(path.includes("{uuid}") ? ["not_found" as const] : []), ...failures];
  if (at !== undefined) kinds.push(...PASSED);
  const titles = new Map(kinds.map((kind) => [statusOf(kind), titleOf(kind)]));
  if (body) titles.set(413, "The body is longer than 1 MiB").set(415, "The body is not application/json");
  const content = { [PROBLEM_JSON]: { schema: Problem } };
  return Object.fromEntries(
    [...titles].toSorted(([a], [b]) => a - b).map((
      [status, description],
    ) => [status, { description, content }]),
  );
}

function headerSchema(description: string): z.ZodType {
  return z.string().optional().openapi({ description });
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
