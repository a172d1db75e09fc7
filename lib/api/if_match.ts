import type { Precondition } from "../vm/definition_tag.ts";

/** What If-Match asks for (RFC 9110 §13.1.1): one of these strong entity tags; whatever is no such tag matches nothing. */
export function readIfMatch(headers: Headers): Precondition {
  const header = headers.get("if-match");
  if (header === null) return undefined;
  const wanted = header.split(",").map((tag) => tag.trim());
  return (tag) => wanted.includes("*") || wanted.includes(entityTag(tag));
}

/** A tag as ETag has it. */
export function entityTag(tag: string): string {
  return `"${tag}"`;
}
