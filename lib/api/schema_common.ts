import { z } from "@hono/zod-openapi";
import { INT16_MAX, INT32_MAX } from "../model/limits.ts";
import { isUuid } from "../model/uuid.ts";

/** What the schemas of requests and answers are made of. Types are those of protocol.md §1. */

/** A UUID as {@link isUuid} has it. */
export const UUID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

/** As requests may have it. */
const UUID_ANY_CASE = UUID_PATTERN.replaceAll("a-f", "a-fA-F");

/** Said of what should be a UUID and is none. */
export const UUID_RULE = "must be a UUID";

/** Taken in upper case as well (RFC 9562 §4), and made lower case. */
export const Uuid = z.string().toLowerCase().refine(isUuid, UUID_RULE).openapi({
  format: "uuid",
  pattern: UUID_ANY_CASE,
  description: "A UUID (RFC 9562); answers have it in lower case",
  example: "0b8b3f3a-5b0e-4c43-9b4e-0a4f6f3c2d11",
});

/** A host's UUID; empty means that the sender has no wish. */
export function hostWish(description: string) {
  return z.string().toLowerCase().refine(
    (text) => text === "" || isUuid(text),
    "must be the UUID of a host, or empty",
  )
    .default("")
    .openapi({ pattern: `^$|${UUID_ANY_CASE}`, description });
}

export function int16(description: string, maximum: number = INT16_MAX, minimum = 0) {
  return z.int().min(minimum).max(maximum).openapi({ format: "int16", description });
}

export function int32(description: string, maximum: number = INT32_MAX, minimum = 0) {
  return z.int().min(minimum).max(maximum).openapi({ format: "int32", description });
}

/** int64 of protocol.md §1; JavaScript is exact up to 2^53. */
export function int64(description: string) {
  return z.int().min(0).openapi({ format: "int64", description });
}

export function timestamp(description: string) {
  return int64(`${description}, UTC milliseconds since the epoch; 0: unknown`);
}

export function text(description: string) {
  return z.string().openapi({ description });
}

export function flag(description: string) {
  return z.boolean().openapi({ description });
}

/**
 * One of the model's enumerations, which travel as integers: `runstate: 4`. The names are in the documentation.
 */
export function enumeration<E extends Readonly<Record<string, number>>>(
  name: string,
  about: string,
  values: E,
) {
  const numbers = Object.values(values) as E[keyof E][];
  const meanings = Object.entries(values).map(([word, value]) => `${value} ${word}`).join(", ");
  return z.literal(numbers).openapi(name, {
    type: "integer",
    format: "int16",
    enum: numbers,
    description: `${about}: ${meanings}`,
  });
}

/** An array in a request: left out and null are empty, since Go writes a nil slice as null. */
export function list<S extends z.ZodType>(item: S, maximum: number, description: string) {
  return z.array(item).max(maximum).nullish().transform((items) => items ?? []).openapi({ description });
}
