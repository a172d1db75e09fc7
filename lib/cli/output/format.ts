import { VirtxError } from "../../model/error.ts";

/** How a command prints what it found. */
export type Format =
  | { readonly kind: "table" | "wide" | "json" | "yaml" | "name" }
  | { readonly kind: "template"; readonly template: string };

const SIMPLE = ["table", "wide", "json", "yaml", "name"] as const;

/**
 * Reads the value of --output.
 * @throws VirtxError invalid
 */
export function parseFormat(text: string): Format {
  const simple = SIMPLE.find((kind) => kind === text);
  if (simple !== undefined) return { kind: simple };
  if (text.startsWith("template=")) return { kind: "template", template: text.slice("template=".length) };
  throw new VirtxError(
    "invalid",
    `--output must be one of ${SIMPLE.join(", ")} or template={field}, not ${JSON.stringify(text)}`,
  );
}
