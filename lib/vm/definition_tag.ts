import { createHash } from "node:crypto";
import { VirtxError } from "../model/error.ts";
import type { Disk, Vmdef } from "../model/vm.ts";

/** Whether a change is to be made to a definition with this tag; undefined: whatever it is. */
export type Precondition = ((tag: string) => boolean) | undefined;

/**
 * Tells definitions apart: equal for definitions between which an update makes no difference. The sizes of images are none of
 * the definition's.
 */
export function definitionTag(def: Vmdef): string {
  const unsized = (disk: Disk): Disk => ({ ...disk, size: 0 });
  const compared = { ...def, osdisk: unsized(def.osdisk), disks: def.disks.map(unsized) };
  return createHash("sha256").update(JSON.stringify(compared)).digest("hex").slice(0, 32);
}

/**
 * Makes sure that a definition is the one that a change was meant for.
 * @throws VirtxError stale
 */
export function requireTag(def: Vmdef, precondition: Precondition, verb: string): void {
  if (precondition === undefined || precondition(definitionTag(def))) return;
  const why = "its definition has changed since it was read; read it again, and decide anew";
  throw new VirtxError("stale", `Cannot ${verb} VM "${def.name}": ${why}`);
}
