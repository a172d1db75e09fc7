/** Plans, provisions and keeps the disk (or, with "undo", takes it back), to be killed on the way: creation_test.ts. */
import { silentLogger } from "../../../lib/model/log.ts";
import { Libc } from "../../../lib/posix/libc.ts";
import { Storage } from "../../../lib/storage/storage.ts";
import { localTree } from "../../support/local_tree.ts";
import { killAtPoint } from "../../support/killed.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { diskAt } from "../../support/shared_storage.ts";

const [point, root, path, end] = Deno.args;
if (!point || !root || !path) throw new Error("usage: creation_program.ts POINT ROOT PATH [undo]");
using libc = Libc.open();
const storage = new Storage({
  libc,
  tree: localTree(root, libc),
  hostUuid: numberedUuid(8),
  blockDevices: [],
  log: silentLogger,
  fault: killAtPoint(Number(point)),
});
const disk = diskAt(path);
const created = await storage.plan(disk, "tag");
await storage.provision(created, disk);
if (end === "undo") await storage.undo(created);
else await storage.commit(created);
