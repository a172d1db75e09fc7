/** Replaces a definition and removes it, to be killed on the way: registry_test.ts. */
import { Registry } from "../../../lib/registry/registry.ts";
import { localTree } from "../../support/local_tree.ts";
import { killAtPoint } from "../../support/killed.ts";

const [point, root, hostUuid, vm] = Deno.args;
if (!point || !root || !hostUuid || !vm) throw new Error("usage: registry_program.ts POINT ROOT HOST VM");
const registry = new Registry({ tree: localTree(root), hostUuid, fault: killAtPoint(Number(point)) });
await registry.write(vm, "new");
await registry.remove(vm);
