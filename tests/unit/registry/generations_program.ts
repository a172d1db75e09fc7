/** Replaces a value, to be killed on the way: generations_test.ts. */
import { localTree } from "../../support/local_tree.ts";
import { killAtPoint } from "../../support/killed.ts";
import { KEY, store } from "./generations_store.ts";

const [point, root] = Deno.args;
if (!point || !root) throw new Error("usage: generations_program.ts POINT ROOT");
await store(localTree(root), killAtPoint(Number(point))).replace(KEY, 1, { owner: "new" });
