import type { z } from "@hono/zod-openapi";
import type { FieldIssue } from "../model/error.ts";
import { check } from "./issues.ts";

const NONE: Readonly<Record<string, never>> = Object.freeze({});

/**
 * Reads a URL's query against a schema. A parameter that is unknown, or given twice and so ambiguous, is an issue: a
 * filter that was misspelt must not silently select everything. An operation without a schema has no parameters.
 */
export function readQuery<Query extends z.ZodObject>(
  url: string,
  schema: Query | undefined,
): { readonly value: z.output<Query> } | { readonly issues: readonly FieldIssue[] } {
  const mark = url.indexOf("?");
  // Absent parameters are undefined whatever the schema, since none has a default.
  if (mark < 0) return { value: NONE as z.output<Query> };
  const given = new Map<string, string>();
  const issues: FieldIssue[] = [];
  for (const [name, value] of new URLSearchParams(url.slice(mark + 1))) {
    const field = name.slice(0, 64);
    if (schema === undefined || !Object.hasOwn(schema.shape, name)) {
      issues.push({ field, message: "is not known" });
    } else if (given.has(name)) issues.push({ field, message: "is given more than once" });
    else given.set(name, value);
  }
  if (schema === undefined) return issues.length > 0 ? { issues } : { value: NONE as z.output<Query> };
  const checked = check(schema, Object.fromEntries(given));
  if ("value" in checked) return issues.length > 0 ? { issues } : checked;
  return { issues: [...issues, ...checked.issues] };
}
