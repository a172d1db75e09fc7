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
