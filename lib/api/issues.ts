import type { z } from "@hono/zod-openapi";
import type { FieldIssue } from "../model/error.ts";

/** A hostile key is shown no longer than this. */
const MAX_KEY_LENGTH = 64;

/**
 * Checks a value against a schema. Each rule that it breaks is added to the issues and names its field in the words of this
 * API; then the result is not to be used.
 */
export function check<S extends z.ZodType>(schema: S, value: unknown, issues: FieldIssue[]): z.output<S> {
  const result = schema.safeParse(value, { error: explain });
  if (!result.success) issues.push(...result.error.issues.flatMap(toFieldIssues));
  return result.data as z.output<S>;
}

function toFieldIssues(issue: z.core.$ZodIssue): FieldIssue[] {
  if (issue.code !== "unrecognized_keys") return [{ field: fieldName(issue.path), message: issue.message }];
  return issue.keys.map((key) => ({ field: fieldName([...issue.path, key]), message: issue.message }));
}

/** A path as definitions have it: `vmdef.disks[0].path`. */
function fieldName(path: readonly PropertyKey[]): string {
  let name = "";
  for (const step of path) {
    if (typeof step === "number") name += `[${step}]`;
    else name += (name === "" ? "" : ".") + String(step).slice(0, MAX_KEY_LENGTH);
  }
  return name;
}

/** The rule in words, to be read after the field's name; undefined leaves those that the rule itself has. */
function explain(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "unrecognized_keys":
      return "is not known";
    case "invalid_type":
      if (issue.input === undefined) return "is missing";
      // No request has numbers that are not integers.
      if (issue.expected === "int" || issue.expected === "number") return "must be an integer";
      return `must be ${article(issue.expected)}`;
    case "invalid_value":
      return issue.input === undefined
        ? "is missing"
        : `must be one of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      return `must ${measure(issue.origin)} at least ${issue.minimum}${unit(issue.origin)}`;
    case "too_big":
      return `must ${measure(issue.origin)} at most ${issue.maximum}${unit(issue.origin)}`;
    case "custom": // our own words
      return undefined;
    default:
      return "is not as it has to be";
  }
}

function article(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function measure(origin: string): string {
  return origin === "string" || origin === "array" ? "have" : "be";
}

function unit(origin: string): string {
  return origin === "string" ? " characters" : origin === "array" ? " items" : "";
}
