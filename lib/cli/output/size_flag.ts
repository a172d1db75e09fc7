import { VirtxError } from "../../model/error.ts";
import type { Input } from "../input.ts";
import { parseSize } from "./units.ts";

/**
 * The size that a flag gives, MiB; undefined: it was not given.
 * @param o.bare whether a number alone is MiB
 * @throws VirtxError invalid
 */
export function sizeOf(input: Input, flag: string, o: { readonly bare?: boolean } = {}): number | undefined {
  const text = input.string(flag);
  if (text === undefined) return undefined;
  const size = parseSize(text, o);
  if ("problem" in size) throw new VirtxError("invalid", `--${flag} ${size.problem}`);
  return size.mib;
}
