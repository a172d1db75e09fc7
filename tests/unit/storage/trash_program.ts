/** Takes files away as a journalled change would (see trash_test.ts), to be killed on the way. */
import { silentLogger } from "../../../lib/model/log.ts";
import { Libc } from "../../../lib/posix/libc.ts";
import { Storage } from "../../../lib/storage/storage.ts";
import type { Removal } from "../../../lib/storage/trash_removal.ts";
import { killAtPoint } from "../../support/killed.ts";
import { localTree } from "../../support/local_tree.ts";

const [point, root, action, text, hostUuid] = Deno.args;
if (!point || !root || !text || !hostUuid) {
  throw new Error("usage: trash_program.ts POINT ROOT put|restore|empty TEXT HOST");
}
using libc = Libc.open();
const { trash } = new Storage({
  libc,
  tree: localTree(root, libc),
  hostUuid,
  blockDevices: [],
  log: silentLogger,
  fault: killAtPoint(Number(point)),
});
if (action === "put") await trash.put(JSON.parse(text) as Removal);
else if (action === "restore") await trash.restore(text);
else await trash.empty(text);
