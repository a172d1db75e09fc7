import type { z } from "@hono/zod-openapi";
import type { FieldIssue } from "../model/error.ts";
import { check } from "./issues.ts";

/** What is read from a URL without a query. */
export const NO_QUERY: Readonly<Record<string, never>> = Object.freeze({});

/**
 * Reads a URL's query against a schema; without one there are no parameters. One that is unknown, or given twice and so
 * ambiguous, is an issue: a filter that was misspelt must not silently select everything. If issues are added, the result
 * is not to be used.
 */
export function readQuery<Query extends z.ZodObject>(
  url: string,
  schema: Query | undefined,
  issues: FieldIssue[],
): z.output<Query> {
  const mark = url.indexOf("?");
  // No parameter has a default, so that without any there is nothing to check.
  if (mark < 0) return NO_QUERY as z.output<Query>;
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(url.slice(mark + 1))) {
    const field = name.slice(0, 64);
    if (schema === undefined || !Object.hasOwn(schema.shape, name)) {
      issues.push({ field, message: "is not known" });
    } else if (given.has(name)) issues.push({ field, message: "is given more than once" });
    else given.set(name, value);
  }
  return schema === undefined
    ? NO_QUERY as z.output<Query>
    : check(schema, Object.fromEntries(given), issues);
}
