import type { FieldIssue } from "./error.ts";
import { PATH_COMPONENT_MAX_BYTES, PATH_MAX_BYTES } from "./limits.ts";

/** The rules that single values obey, for the validation of whole shapes. */

/** Collects the issues of a shape, below a prefix such as `disks[2].`. */
export class Issues {
  readonly #found: FieldIssue[] = [];

  get found(): readonly FieldIssue[] {
    return this.#found;
  }

  add(field: string, message: string): void {
    this.#found.push({ field, message });
  }

  /** Adds the issue unless the rule holds; whether it holds. */
  check(holds: boolean, field: string, message: string): boolean {
    if (!holds) this.add(field, message);
    return holds;
  }

  /** Adds what {@link textProblem} or {@link pathProblem} found; whether that was nothing. */
  report(field: string, problem: string | undefined): boolean {
    if (problem !== undefined) this.add(field, problem);
    return problem === undefined;
  }

  /** A whole number within bounds, both included. */
  range(field: string, value: number, min: number, max: number): boolean {
    const holds = Number.isInteger(value) && value >= min && value <= max;
    return this.check(holds, field, `must be a whole number from ${min} to ${max}`);
  }
}

/**
 * What is wrong with a text that is to be one line and to survive XML 1.0 (§2.2) and JSON: no control characters (line breaks
 * and tabs among them), no lone surrogates, no noncharacters; at most so many characters (code points).
 */
export function textProblem(text: string, maxLength: number): string | undefined {
  if (!text.isWellFormed() || /[\p{Cc}\u2028\u2029\uFFFE\uFFFF]/u.test(text)) {
    return "must not contain control characters, line breaks or broken Unicode";
  }
  if ([...text].length > maxLength) return `must have at most ${maxLength} characters`;
  return undefined;
}

/** What is wrong with a name: as {@link textProblem}, and neither empty nor with white space around it. */
export function nameProblem(name: string, maxLength: number): string | undefined {
  if (name === "") return "must not be empty";
  if (name !== name.trim()) return "must not begin or end with white space";
  return textProblem(name, maxLength);
}

/** What is wrong with a path that must be absolute and normalised already (protocol.md §3). */
export function pathProblem(path: string): string | undefined {
  if (!path.startsWith("/")) return "must be an absolute path";
  const components = path.slice(1).split("/");
  if (components.some((component) => component === "" || component === "." || component === "..")) {
    return 'must be normalised: no "//", "." or "..", no "/" at the end';
  }
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  if (bytes(path) > PATH_MAX_BYTES || components.some((part) => bytes(part) > PATH_COMPONENT_MAX_BYTES)) {
    return `must have at most ${PATH_MAX_BYTES} bytes, ${PATH_COMPONENT_MAX_BYTES} in each component`;
  }
  return textProblem(path, PATH_MAX_BYTES);
}

/** The positions of values that an earlier one equals. */
export function duplicates(values: readonly string[]): readonly number[] {
  const seen = new Set<string>();
  const positions: number[] = [];
  for (const [position, value] of values.entries()) {
    if (seen.has(value)) positions.push(position);
    seen.add(value);
  }
  return positions;
}
