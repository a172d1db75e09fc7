import { z } from "zod";
import type { FaultHook } from "../../../lib/model/fault.ts";
import type { Tree } from "../../../lib/posix/tree.ts";
import { Generations } from "../../../lib/registry/generations.ts";

export const KEY = "0123456789abcdef0123456789abcdef";

export interface Owner {
  readonly owner: string;
}

/** A store for tests. */
export function store(tree: Tree, fault?: FaultHook): Generations<Owner> {
  return new Generations<Owner>({
    tree,
    directory: "records/owners",
    schema: z.strictObject({ owner: z.string() }),
    called: "an owner",
    fault,
  });
}
