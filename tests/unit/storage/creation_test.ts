import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { libcPaths } from "../../../lib/posix/symbols.ts";
import type { CreatedDisk } from "../../../lib/storage/created_disk.ts";
import { runKilledAt } from "../../support/killed.ts";
import { run } from "../../support/run.ts";
import { changesBelow } from "../../support/traced.ts";
import { diskAt, SharedStorage } from "../../support/shared_storage.ts";

const disk = diskAt("/vms/ds/new/deep/a.qcow2");
const names = {
  directories: ["new/", "new/deep/"],
  file: "new/deep/a.qcow2",
  temp: "new/deep/.a.qcow2.tag.tmp",
};
const program = fileURLToPath(new URL("./creation_program.ts", import.meta.url));

Deno.test("the plan names all that will be made, and makes nothing", async () => {
  await using shared = await SharedStorage.create();
  assert.deepEqual(await shared.storage().plan(disk, "tag"), {
    path: "/vms/ds/new/deep/a.qcow2",
    temp: "/vms/ds/new/deep/.a.qcow2.tag.tmp",
    directories: ["/vms/ds/new", "/vms/ds/new/deep"],
  });
  assert.deepEqual(await shared.names(), []);
});

Deno.test("a failure at any step of a creation leaves nothing behind", async (t) => {
  for (const failing of ["storage.reserved", "storage.created", "storage.linked"]) {
    await t.step(failing, async () => {
      await using shared = await SharedStorage.create();
      const storage = shared.storage({
        fault: (point) => {
          if (point === failing) throw new Error(`failed at ${point}`);
        },
      });
      const created = await storage.plan(disk, "tag");
      await assert.rejects(storage.provision(created, disk), {
        kind: "storage",
        message: /Cannot create disk "\/vms\/ds\/new\/deep\/a\.qcow2" \(16 MiB, thin\): failed at storage/,
      });
      assert.deepEqual(await shared.names(), []);
      await storage.undo(created);
    });
  }
});

Deno.test("killed at any step of a creation, it can be undone until it is committed, and kept from then on", async () => {
  const killedAt: string[] = [];
  for (let n = 1;; n++) {
    await using shared = await SharedStorage.create();
    const storage = shared.storage();
    const created = await storage.plan(disk, "tag");
    const point = await runKilledAt(n, program, shared.root, disk.path);
    if (point === undefined) break;
    killedAt.push(point);
    if (point === "storage.committed") {
      await storage.commit(created);
      await storage.commit(created);
      assert.deepEqual(await shared.names(), [...names.directories, names.file]);
    } else {
      assert.ok((await shared.names()).includes(names.temp), point);
      await storage.undo(created);
      await storage.undo(created);
      assert.deepEqual(await shared.names(), [], point);
    }
  }
  assert.deepEqual(killedAt, ["storage.reserved", "storage.created", "storage.linked", "storage.committed"]);
});

Deno.test("an image is durable before it has its name, and its name before the temporary one goes", async () => {
  await using shared = await SharedStorage.create();
  const changes = await changesBelow(`${shared.root}/ds`, program, "0", shared.root, disk.path);
  assert.deepEqual(changes.filter((change) => !change.startsWith("write ")), [
    "mkdir new",
    "mkdir new/deep",
    "fsync new",
    `fsync ${names.temp}`,
    `link ${names.temp} ${names.file}`,
    "fsync new/deep",
    `unlink ${names.temp}`,
    "fsync new/deep",
  ]);
});

Deno.test("disks are made with no more permissions than the executable has", async () => {
  await using shared = await SharedStorage.create();
  const permissions = [
    `--allow-read=${shared.root}`,
    `--allow-write=${shared.root}`,
    `--allow-ffi=${libcPaths().join(",")}`,
    "--allow-run=qemu-img",
  ];
  await run(
    Deno.execPath(),
    "run",
    "--no-check",
    "--no-prompt",
    ...permissions,
    program,
    "0",
    shared.root,
    disk.path,
  );
  assert.deepEqual(await shared.names(), [...names.directories, names.file]);
});

Deno.test("killed at any step of an undo, it can be undone again", async () => {
  const killedAt: string[] = [];
  for (let n = 4;; n++) { // the points before are of the creation
    await using shared = await SharedStorage.create();
    const storage = shared.storage();
    const created = await storage.plan(disk, "tag");
    const point = await runKilledAt(n, program, shared.root, disk.path, "undo");
    if (point === undefined) break;
    killedAt.push(point);
    await storage.undo(created);
    assert.deepEqual(await shared.names(), [], point);
  }
  assert.deepEqual(killedAt, ["storage.unlinked", "storage.undone"]);
});

/** The states between any two system calls of a creation, made by hand; what undo has to leave of each. */
const STATES: readonly {
  readonly state: string;
  readonly make: readonly string[];
  readonly left: readonly string[];
}[] = [
  { state: "nothing yet", make: [], left: [] },
  { state: "one directory", make: ["mkdir new"], left: [] },
  { state: "both directories", make: ["mkdir new", "mkdir new/deep"], left: [] },
  { state: "the temporary file", make: ["mkdir -p new/deep", `touch ${names.temp}`], left: [] },
  {
    state: "both names",
    make: ["mkdir -p new/deep", `touch ${names.temp}`, `ln ${names.temp} ${names.file}`],
    left: [],
  },
  {
    state: "another's file of that name beside ours",
    make: ["mkdir -p new/deep", `touch ${names.temp}`, `touch ${names.file}`],
    left: [...names.directories, names.file],
  },
  {
    state: "another's copy with the same content and dates",
    make: ["mkdir -p new/deep", `touch ${names.temp}`, `cp -p ${names.temp} ${names.file}`],
    left: [...names.directories, names.file],
  },
  {
    state: "another's symbolic link to our temporary file",
    make: ["mkdir -p new/deep", `touch ${names.temp}`, `ln -s .a.qcow2.tag.tmp ${names.file}`],
    left: [...names.directories, names.file],
  },
  {
    state: "a file of which nothing proves that it is ours",
    make: ["mkdir -p new/deep", `touch ${names.file}`],
    left: [...names.directories, names.file],
  },
  {
    state: "another's file in a directory that we made",
    make: ["mkdir -p new/deep", `touch ${names.temp}`, "touch new/b.raw"],
    left: ["new/", "new/b.raw"],
  },
];

Deno.test("undo removes what is ours and nothing else, whatever state it finds, and again", async (t) => {
  for (const { state, make, left } of STATES) {
    await t.step(state, async () => {
      await using shared = await SharedStorage.create();
      const storage = shared.storage();
      const created = await storage.plan(disk, "tag");
      for (const command of make) {
        const [program = "", ...args] = command.split(" ");
        await run("env", "-C", shared.at("/vms/ds"), program, ...args);
      }
      await storage.undo(created);
      assert.deepEqual(await shared.names(), left);
      await storage.undo(created);
      assert.deepEqual(await shared.names(), left);
    });
  }
});

Deno.test("an undo keeps directories that were there before", async () => {
  await using shared = await SharedStorage.create();
  await Deno.mkdir(shared.at("/vms/ds/new"));
  const storage = shared.storage();
  const created = await storage.plan(disk, "tag");
  await storage.provision(created, disk);
  await storage.undo(created);
  assert.deepEqual(await shared.names(), ["new/"]);
});

Deno.test("two disks of one change share the directories that were made for them, and undo removes them", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  const disks = [disk, diskAt("/vms/ds/new/deep/b.raw")];
  const planned = await Promise.all(disks.map((each, index) => storage.plan(each, `tag.${index}`)));
  for (const [index, created] of planned.entries()) await storage.provision(created, disks[index] ?? disk);
  for (const created of planned) await storage.undo(created);
  assert.deepEqual(await shared.names(), []);
});

Deno.test("a temporary name that is taken belongs to somebody else, and stays", async () => {
  await using shared = await SharedStorage.create();
  await Deno.mkdir(shared.at("/vms/ds/new"));
  const storage = shared.storage();
  const created = await storage.plan(diskAt("/vms/ds/new/a.raw"), "tag");
  await Deno.writeTextFile(shared.at(created.temp), "another's");
  await assert.rejects(storage.provision(created, diskAt(created.path)), {
    kind: "storage",
    message: /EEXIST/,
  });
  assert.equal(await Deno.readTextFile(shared.at(created.temp)), "another's");
});

Deno.test("names from a journal that do not fit together are refused, and nothing is touched", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  const good = await storage.plan(disk, "tag");
  await Deno.mkdir(shared.at("/vms/ds/other"));
  await Deno.writeTextFile(shared.at("/vms/ds/other.raw"), "another's");
  const bad: Partial<CreatedDisk>[] = [
    { temp: "/vms/ds/other.raw" },
    { temp: "/vms/ds/new/.a.qcow2.tag.tmp" },
    { temp: "/vms/ds/new/deep/../../.a.qcow2.tag.tmp" },
    { temp: "/etc/.a.qcow2.tag.tmp" },
    { path: "/dev/sda" },
    { path: "/etc/passwd" },
    { directories: ["/vms/ds/other"] },
    { directories: ["/vms/ds/new/deep/a.qcow2"] },
    { directories: ["/vms"] },
  ];
  for (const fields of bad) {
    await assert.rejects(storage.undo({ ...good, ...fields }), { kind: "invalid" }, JSON.stringify(fields));
    await assert.rejects(storage.commit({ ...good, ...fields }), { kind: "invalid" }, JSON.stringify(fields));
  }
  assert.deepEqual(await shared.names(), ["other.raw", "other/"]);
});
