import { type FieldIssue, VirtxError } from "../model/error.ts";
import type { Vmdef } from "../model/vm.ts";
import type { DomainContext } from "./context.ts";
import type { XmlNode } from "./document.ts";
import { integer, trimmedText } from "./element.ts";

/** A definition that is being changed. */
export interface Edit {
  readonly domain: XmlNode;
  readonly devices: XmlNode;
  /** What it says now. */
  readonly from: Vmdef;
  /** What it is to say. */
  readonly to: Vmdef;
  readonly context: DomainContext;
}

/** The error that a field cannot be changed, and why. */
export function refusal(def: Vmdef, field: string, message: string): VirtxError {
  const issues: FieldIssue[] = [{ field: `vmdef.${field}`, message }];
  return new VirtxError("conflict", `Cannot change VM "${def.name}"`, { issues });
}

/** The number that an element's text is; undefined: it is none. */
export function textNumber(of: XmlNode | undefined): number | undefined {
  return integer(trimmedText(of));
}

/** Whether an old device, at its position among the old ones, is the one that is wanted at its. */
export type Match<T> = (before: T, after: T, at: number, index: number) => boolean;

/**
 * For each device that is wanted, which of the old ones it is; -1: none. Each rule is tried on all that are left before the next
 * one is; no old device is two.
 */
export function matchDevices<T>(
  old: readonly T[],
  wanted: readonly T[],
  rules: readonly Match<T>[],
): number[] {
  const taken = new Set<number>();
  const found = wanted.map(() => -1);
  for (const same of rules) {
    for (const [index, after] of wanted.entries()) {
      if (found[index] !== -1) continue;
      const at = old.findIndex((before, at) => !taken.has(at) && same(before, after, at, index));
      if (at < 0) continue;
      found[index] = at;
      taken.add(at);
    }
  }
  return found;
}
