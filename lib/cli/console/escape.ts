import { VirtxError } from "../../model/error.ts";

/** Ctrl with a character of ASCII gives this part of it. */
const CONTROL_BITS = 0x1f;
const DELETE = 0x7f;

/** The key that leaves a console, as virsh has it. */
export const DEFAULT_ESCAPE = "^]";

/**
 * The byte that a key such as ^] or ^a sends; undefined for "none".
 * @throws VirtxError invalid
 */
export function parseEscape(text: string): number | undefined {
  if (text === "none") return undefined;
  const key = /^\^([@-_a-z?])$/.exec(text)?.[1];
  if (key === undefined) {
    throw new VirtxError(
      "invalid",
      `--escape ${JSON.stringify(text)} is no key: use ^] or ^a (Ctrl and that key), or none`,
    );
  }
  return key === "?" ? DELETE : key.charCodeAt(0) & CONTROL_BITS;
}
