import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import fc from "fast-check";
import { DiskProvisioning } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { Health } from "../../../lib/model/health.ts";
import type { Libc } from "../../../lib/posix/libc.ts";
import { LocalFiles } from "../../../lib/posix/local_files.ts";
import { Tree } from "../../../lib/posix/tree.ts";
import type { Storage } from "../../../lib/storage/storage.ts";
import type { KnownVms } from "../../../lib/storage/trash.ts";
import type { Removal } from "../../../lib/storage/trash_removal.ts";
import { runKilledAt } from "../../support/killed.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { run } from "../../support/run.ts";
import { diskAt, SharedStorage } from "../../support/shared_storage.ts";

const program = fileURLToPath(new URL("./trash_program.ts", import.meta.url));
const OS = "/vms/ds/web/os.raw";
const DATA = "/vms/ds/web/deep/data.raw";
const ID = numberedUuid(1);
const DAY_MS = 86_400_000;
const [HERE, THERE] = [numberedUuid(8), numberedUuid(9)];
/** What is known of VMs where there are none. */
const NO_VMS: KnownVms = {
  isDefined: () => Promise.resolve(false),
  used: () => Promise.resolve(new Set<string>()),
};

/** Makes files whose content is their path and a word. */
async function make(shared: SharedStorage, word: string, ...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await Deno.mkdir(shared.at(path).replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(shared.at(path), `${path} ${word}`, { createNew: true });
  }
}

async function decide(storage: Storage, paths: readonly string[], id = ID): Promise<Removal> {
  const files = [];
  for (const path of paths) {
    const mark = await storage.mark(path);
    if (mark !== undefined) files.push({ path, mark });
  }
  return { id, vm: numberedUuid(7), name: "web", host: HERE, xml: "<domain/>", files, now: false };
}

/** What is in the trash, but for info.json and the storage's own probe. */
async function trashed(shared: SharedStorage): Promise<string[]> {
  const found = await run("find", shared.at("/vms/ds"), "-path", "*/.virtxd/trash/*", "-type", "f");
  return found.trim().split("\n").filter((name) => /\/\d+$/.test(name));
}

function content(shared: SharedStorage, path: string): Promise<string | undefined> {
  return Deno.readTextFile(shared.at(path)).catch(() => undefined);
}

Deno.test("what is deleted is away from its path with the directories that it leaves empty, and can be restored", async () => {
  await using shared = await SharedStorage.create();
  await make(shared, "old", OS, DATA, "/vms/ds/other/kept.raw");
  const storage = shared.storage();
  const before = await storage.mark(OS);
  const outcome = await storage.discard(await decide(storage, [OS, DATA, "/vms/ds/web/none.raw"]));
  assert.deepEqual(await shared.names(), ["other/", "other/kept.raw"]);

  const [entry, ...others] = await storage.trash.list();
  assert.deepEqual(others, []);
  assert.deepEqual([entry?.id, entry?.damage, entry?.busy], [ID, "", false]);
  assert.deepEqual(entry?.files, [{ path: OS, state: "kept" }, { path: DATA, state: "kept" }]);
  const { deletedAt = 0, until, name, xml } = entry?.info ?? {};
  assert.deepEqual([until, name, xml], [deletedAt + DAY_MS, "web", "<domain/>"]);
  assert.deepEqual(outcome, { failures: [], until });
  assert.ok(Math.abs(deletedAt - Date.now()) < 60_000);

  assert.deepEqual(await storage.trash.restore(ID), [OS, DATA]);
  assert.equal(await content(shared, OS), `${OS} old`);
  assert.deepEqual(await storage.mark(OS), before);
  assert.deepEqual(await storage.trash.list(), []);
  assert.deepEqual(await trashed(shared), []);
});

Deno.test("a deletion that is carried out late leaves a file alone that has the path by then, at once and again", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  await make(shared, "old", OS);
  const removal = await decide(storage, [OS]);
  await Deno.remove(shared.at(OS));
  await make(shared, "new", OS);
  for (let n = 0; n < 2; n++) {
    assert.deepEqual(await storage.discard(removal), { failures: [], until: undefined });
    assert.equal(await content(shared, OS), `${OS} new`);
  }
  assert.deepEqual(await storage.trash.list(), []);
});

/** Files of which another takes the place of one just before that is renamed; and maybe of that, too, right after. */
class Swapping extends LocalFiles {
  constructor(libc: Libc, readonly swap: readonly ["before"] | readonly ["before", "after"]) {
    super(libc);
  }

  override async rename(path: string, to: string): Promise<void> {
    if (!path.endsWith("/os.raw")) return await super.rename(path, to);
    await super.rename(path, `${path}.mine`);
    await Deno.writeTextFile(path, "another's");
    await super.rename(path, to);
    if (this.swap.length > 1) await Deno.writeTextFile(path, "a third's");
  }
}

Deno.test("a file that takes the path at the very last moment is put back", async () => {
  await using shared = await SharedStorage.create();
  await make(shared, "old", OS);
  const storage = shared.storage({ tree: new Tree(shared.root, new Swapping(shared.libc, ["before"])) });
  const removal = await decide(storage, [OS]);
  for (let n = 0; n < 2; n++) {
    await storage.discard(removal);
    assert.equal(await content(shared, OS), "another's");
    assert.deepEqual(await trashed(shared), []);
  }
});

Deno.test("another's file whose path is taken again is kept and reported until it is restored or emptied by force", async (t) => {
  for (const end of ["restore", "empty"]) {
    await t.step(end, async () => {
      await using shared = await SharedStorage.create();
      await make(shared, "old", OS);
      const health = new Health();
      const tree = new Tree(shared.root, new Swapping(shared.libc, ["before", "after"]));
      const storage = shared.storage({ health, tree, trashMs: 1 });
      await storage.discard(await decide(storage, [OS]));
      assert.equal(await content(shared, OS), "a third's");
      assert.match(health.conditions[0]?.reason ?? "", /nobody deleted, from \/vms\/ds\/web\/os\.raw/);

      await storage.trash.tidy();
      assert.deepEqual((await storage.trash.list())[0]?.files, [{ path: OS, state: "foreign" }]);
      await assert.rejects(storage.trash.restore(ID), {
        kind: "conflict",
        message: /"\/vms\/ds\/web\/os\.raw" exists/,
      });
      await assert.rejects(storage.trash.empty(ID), { kind: "conflict", message: /is not what was deleted/ });
      const later = new Health();
      await shared.storage({ health: later }).trash.tidy();
      assert.equal(later.conditions.length, 1, "another host, or a later life, reports it, too");
      const [name = ""] = await trashed(shared);
      assert.equal(await Deno.readTextFile(name), "another's");

      if (end === "empty") await storage.trash.empty(ID, { force: true });
      else {
        await Deno.remove(shared.at(OS));
        await storage.trash.restore(ID);
        assert.equal(await content(shared, OS), "another's");
      }
      assert.deepEqual(health.conditions, []);
      assert.deepEqual(await trashed(shared), []);
    });
  }
});

Deno.test("killed at any step, a deletion ends the same way when it is repeated, whoever has the path by then", async (t) => {
  const points: string[] = [];
  for (let n = 1;; n++) {
    await using shared = await SharedStorage.create();
    const storage = shared.storage();
    await make(shared, "old", OS, DATA);
    const removal = await decide(storage, [OS, DATA]);
    const point = await runKilledAt(n, program, shared.root, "put", JSON.stringify(removal), HERE);
    if (point === undefined) break;
    points.push(point);
    await t.step(`${n}: ${point}`, async () => {
      const gone = [OS, DATA].filter((path) => !exists(shared.at(path)));
      await make(shared, "new", ...gone);
      for (let again = 0; again < 2; again++) await storage.discard(removal);
      for (const path of [OS, DATA]) {
        assert.equal(await content(shared, path), gone.includes(path) ? `${path} new` : undefined);
      }
      assert.equal((await trashed(shared)).length, 2);
    });
  }
  assert.deepEqual(points, [
    "trash.recorded",
    "trash.renamed",
    "trash.moved",
    "trash.renamed",
    "trash.moved",
  ]);
});

/** Has a program of this host put files into the trash and restore or empty them, killed at a point; undefined: it was not. */
async function cutOff(
  shared: SharedStorage,
  n: number,
  action: string,
  removal: Partial<Removal> = {},
): Promise<string | undefined> {
  const storage = shared.storage({ hostUuid: HERE });
  await make(shared, "old", OS, DATA);
  await storage.discard({ ...await decide(storage, [OS, DATA]), ...removal });
  return await runKilledAt(n, program, shared.root, action, ID, HERE);
}

Deno.test("killed at any step, a restore or an emptying can be repeated once another host has given its claim back", async (t) => {
  for (const action of ["restore", "empty"]) {
    for (let n = 1;; n++) {
      await using shared = await SharedStorage.create();
      const point = await cutOff(shared, n, action);
      if (point === undefined) break;
      await t.step(`${action} ${n}: ${point}`, async () => {
        const storage = shared.storage({ hostUuid: THERE });
        await assert.rejects(storage.trash.restore(ID), { kind: "conflict", message: /at work on it/ });
        assert.ok(await storage.trash.settle(NO_VMS));
        await storage.trash.tidy();
        assert.equal((await storage.trash.list())[0]?.busy, true, "the other host may be at it");
        await storage.trash.tidy();
        await (action === "restore" ? storage.trash.restore(ID) : storage.trash.empty(ID));
        const wanted = action === "restore" ? `${OS} old` : undefined;
        assert.equal(await content(shared, OS), wanted);
        assert.deepEqual(await storage.trash.list(), []);
        assert.deepEqual(await trashed(shared), []);
      });
    }
  }
});

Deno.test("killed at any step, a restore or an emptying is settled by its own host at once", async (t) => {
  const defined = { ...NO_VMS, isDefined: () => Promise.resolve(true) };
  const cases: readonly (readonly [string, KnownVms, string | undefined, readonly string[]])[] = [
    ["restore", NO_VMS, "<domain/>", ["claimed: kept", "linked: kept", "linked: kept", "emptied: back"]],
    ["restore", defined, "<domain/>", ["claimed: kept", "linked: kept", "linked: back", "emptied: back"]],
    ["restore", NO_VMS, undefined, ["claimed: kept", "linked: kept", "linked: back", "emptied: back"]],
    ["empty", NO_VMS, "<domain/>", ["claimed: kept", "emptied: gone"]],
  ];
  for (const [action, vms, xml, expected] of cases) {
    for (const [n, end] of expected.entries()) {
      await t.step(`${action}, ${xml ?? "disks only"}, ${n}: ${end}`, async () => {
        await using shared = await SharedStorage.create();
        const point = await cutOff(shared, n + 1, action, { xml });
        const storage = shared.storage({ hostUuid: HERE });
        assert.ok(await storage.trash.settle(vms));
        const kept = (await storage.trash.list()).map(({ id, busy }) => `${id} ${busy}`);
        const isBack = await content(shared, OS) === `${OS} old`;
        assert.equal(isBack, await content(shared, DATA) === `${DATA} old`);
        assert.equal(`${point?.slice(6)}: ${isBack ? "back" : kept.length > 0 ? "kept" : "gone"}`, end);
        assert.deepEqual(kept, end.endsWith("kept") ? [`${ID} false`] : []);
        assert.equal((await trashed(shared)).length, end.endsWith("kept") ? 2 : 0);
        if (!end.endsWith("kept")) return;
        assert.deepEqual(await shared.names(), [], "nothing is left at the old paths");
        await storage.trash.restore(ID);
        assert.equal(await content(shared, DATA), `${DATA} old`);
      });
    }
  }
});

Deno.test("a file that came back by a restore that was cut off stays if a VM has it by now", async () => {
  await using shared = await SharedStorage.create();
  await cutOff(shared, 3, "restore");
  const storage = shared.storage({ hostUuid: HERE });
  await storage.trash.settle({ ...NO_VMS, used: () => Promise.resolve(new Set([OS])) });
  assert.deepEqual(await shared.names(), ["web/", "web/os.raw"]);
  assert.equal((await trashed(shared)).length, 2);
});

Deno.test("what cannot be settled yet stays to be, and what this life works on is no remains of an earlier one", async () => {
  await using shared = await SharedStorage.create();
  await cutOff(shared, 3, "restore");
  const storage = shared.storage({ hostUuid: HERE });
  const unknown = () => Promise.reject(new VirtxError("unavailable", "libvirt is away"));
  assert.equal(await storage.trash.settle({ ...NO_VMS, isDefined: unknown }), false);
  assert.deepEqual(await shared.names(), ["web/", "web/deep/", "web/deep/data.raw", "web/os.raw"]);
  assert.ok(await storage.trash.settle(NO_VMS));
  assert.deepEqual(await shared.names(), []);

  await storage.trash.restore(ID, async () => {
    assert.ok(await storage.trash.settle(NO_VMS));
    assert.equal((await storage.trash.list())[0]?.busy, true);
  });
  assert.equal(await content(shared, OS), `${OS} old`);
});

Deno.test("a claim has the form that earlier versions know, and theirs is given back by time alone", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  await make(shared, "old", OS);
  await storage.discard(await decide(storage, [OS]));
  const at = shared.at("/vms/ds/.virtxd/trash");
  await storage.trash.restore(ID, async () => {
    const [name] = await Array.fromAsync(Deno.readDir(at));
    assert.match(name?.name ?? "", /^\.([0-9a-f-]{36})\.[0-9a-f-]{36}\.claimed$/);
  });
  await storage.discard(await decide(storage, [OS]));
  await Deno.rename(`${at}/${ID}`, `${at}/.${ID}.7d5ee3f3-51c6-4a0f-9a2f-3ff55c4b1c86.claimed`);
  const busy = async () => (await storage.trash.list()).map(({ busy }) => busy);
  assert.ok(await storage.trash.settle(NO_VMS));
  await storage.trash.tidy();
  assert.deepEqual(await busy(), [true]);
  await storage.trash.tidy();
  assert.deepEqual(await busy(), [false]);
});

Deno.test("a restore that another host has taken for dead, and repeated, takes nothing away when it fails", async () => {
  await using shared = await SharedStorage.create();
  const other = shared.storage({ hostUuid: THERE });
  let asleep = true;
  const storage = shared.storage({
    fault: async (point) => {
      if (point !== "trash.linked" || !asleep) return;
      asleep = false;
      for (let look = 0; look < 2; look++) await other.trash.tidy();
      await other.trash.restore(ID);
    },
  });
  await make(shared, "old", OS, DATA);
  await storage.discard(await decide(storage, [OS, DATA]));
  await assert.rejects(storage.trash.restore(ID), { kind: "storage" });
  assert.equal(await content(shared, OS), `${OS} old`);
  assert.equal(await content(shared, DATA), `${DATA} old`);
});

/** Files that somebody renames between two looks. */
class Renamed extends LocalFiles {
  task: (() => Promise<void>) | undefined;

  override async directories(path: string): Promise<string[]> {
    const names = await super.directories(path);
    await this.task?.();
    this.task = undefined;
    return names;
  }
}

Deno.test("an entry that is claimed while the trash is looked through is among what is there", async () => {
  await using shared = await SharedStorage.create();
  const files = new Renamed(shared.libc);
  const storage = shared.storage({ tree: new Tree(shared.root, files) });
  await make(shared, "old", OS);
  await storage.discard(await decide(storage, [OS]));
  const { promise: listed, resolve } = Promise.withResolvers<void>();
  let restoring: Promise<unknown> | undefined;
  files.task = async () => {
    const claimed = Promise.withResolvers<void>();
    restoring = shared.storage().trash.restore(ID, () => {
      claimed.resolve();
      return listed;
    });
    await claimed.promise;
  };
  assert.deepEqual((await storage.trash.list()).map(({ id, busy }) => [id, busy]), [[ID, true]]);
  resolve();
  await restoring;
});

/** Files on NFS, which repeats a call whose answer was lost. */
class Repeating extends LocalFiles {
  override async rename(path: string, to: string): Promise<void> {
    await super.rename(path, to);
    if (to.endsWith(".claimed")) await super.rename(path, to);
  }
}

Deno.test("an entry is claimed though the answer of the storage was lost", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage({ tree: new Tree(shared.root, new Repeating(shared.libc)) });
  await make(shared, "old", OS);
  await storage.discard(await decide(storage, [OS]));
  assert.deepEqual(await storage.trash.restore(ID), [OS]);
});

Deno.test("a restore that finds one path taken, or whose VM cannot be defined, changes nothing", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  await make(shared, "old", OS, DATA);
  await storage.discard(await decide(storage, [OS, DATA]));
  await make(shared, "new", DATA);
  await assert.rejects(storage.trash.restore(ID), {
    kind: "conflict",
    message: `Cannot restore ${ID} of the trash: "${DATA}" exists; move it away first`,
  });
  assert.deepEqual(await shared.names(), ["web/", "web/deep/", "web/deep/data.raw"]);
  await Deno.remove(shared.at("/vms/ds/web"), { recursive: true });
  await assert.rejects(storage.trash.restore(ID, () => Promise.reject(new VirtxError("refused", "no"))), {
    kind: "refused",
  });
  assert.deepEqual(await shared.names(), []);
  assert.equal((await trashed(shared)).length, 2);
  await assert.rejects(storage.trash.restore(numberedUuid(2)), { kind: "not_found" });
});

Deno.test("what has expired is emptied, what has not stays, and without a grace it is gone at once", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  await make(shared, "old", OS, DATA);
  const [now, never] = [numberedUuid(2), numberedUuid(3)];
  const gone = await storage.discard({ ...await decide(storage, [OS], now), now: true });
  assert.deepEqual(gone, { failures: [], until: undefined });
  assert.deepEqual(await trashed(shared), []);
  await make(shared, "old", OS);
  await shared.storage({ trashMs: 0 }).discard(await decide(storage, [OS], never));
  assert.deepEqual(await storage.trash.list(), []);

  await make(shared, "old", OS);
  await shared.storage({ trashMs: 1 }).discard(await decide(storage, [OS], now));
  await storage.discard(await decide(storage, [DATA], never));
  await new Promise((resolve) => setTimeout(resolve, 20));
  const probe = shared.at(`/vms/ds/.virtxd/trash/.now.${ID}.tmp`); // of a host that was cut off
  await Deno.writeTextFile(probe, "");
  await Promise.all([storage.trash.tidy(), shared.storage().trash.tidy()]);
  await storage.trash.tidy();
  await assert.rejects(Deno.lstat(probe), Deno.errors.NotFound);
  assert.deepEqual((await storage.trash.list()).map(({ id }) => id), [never]);
});

Deno.test("what is to be gone at once is not expired for other hosts while its files are still moved", async () => {
  await using shared = await SharedStorage.create();
  const other = shared.storage();
  let looks = 0;
  const storage = shared.storage({
    fault: async (point) => {
      if (point !== "trash.renamed") return;
      looks++;
      await other.trash.tidy();
    },
  });
  await make(shared, "old", OS, DATA);
  const removal = { ...await decide(storage, [OS, DATA]), now: true };
  assert.deepEqual(await storage.discard(removal), { failures: [], until: undefined });
  assert.equal(looks, 2);
  assert.deepEqual(await shared.names(), []);
  assert.deepEqual(await other.trash.list(), []);
});

Deno.test("what cannot be read in the trash is shown and left alone, and leads nowhere", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  const entry = `/vms/ds/.virtxd/trash/${ID}`;
  const info = {
    format: 1,
    vm: numberedUuid(7),
    name: "web",
    host: numberedUuid(8),
    deletedAt: 1,
    until: 2,
    files: [{ n: 0, path: OS, sizeBytes: 1, mark: { inode: "1", bytes: 1, modified: "1" }, pool: "" }],
  };
  await make(shared, "kept", `${entry}/0`, "/vms/ds/web/kept.raw");
  const bad: readonly unknown[] = [
    undefined,
    "no JSON",
    { ...info, format: 2 },
    { ...info, files: [{ ...info.files[0], path: "/etc/passwd" }] },
    { ...info, files: [{ ...info.files[0], path: "/vms/ds/../x.raw" }] },
    { ...info, files: [{ ...info.files[0], n: -1 }] },
    { ...info, files: [{ ...info.files[0], pool: "../.." }] },
    { ...info, files: [{ ...info.files[0], pool: "other" }] },
  ];
  for (const text of bad) {
    if (text !== undefined) {
      const written = typeof text === "string" ? text : JSON.stringify(text);
      await Deno.writeTextFile(shared.at(`${entry}/info.json`), written);
    }
    const [found] = await storage.trash.list();
    assert.match(found?.damage ?? "", /info\.json/, JSON.stringify(text));
    await storage.trash.tidy();
    await storage.trash.tidy();
    await assert.rejects(storage.trash.restore(ID), { kind: "conflict" }, JSON.stringify(text));
    assert.equal(await content(shared, `${entry}/0`), `${entry}/0 kept`);
  }
  await assert.rejects(storage.trash.empty(ID), { kind: "conflict", message: /with force/ });
  await storage.trash.empty(ID, { force: true });
  assert.deepEqual(await storage.trash.list(), []);
  assert.deepEqual(await shared.names(), ["web/", "web/kept.raw"]);
});

Deno.test("below a file system of its own, the trash lies in that", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  const pool = shared.at("/vms/ds/pool");
  await Deno.mkdir(pool);
  await run("mount", "-t", "tmpfs", "none", pool);
  try {
    const path = "/vms/ds/pool/web/os.raw";
    await make(shared, "old", path);
    await storage.discard(await decide(storage, [path]));
    assert.deepEqual(await trashed(shared), [`${pool}/.virtxd/trash/${ID}/0`]);
    assert.deepEqual(await shared.names(), ["pool/"]);
    await storage.trash.restore(ID);
    assert.equal(await content(shared, path), `${path} old`);
    await storage.discard(await decide(storage, [path]));
    await storage.trash.empty(ID);
    assert.deepEqual(await trashed(shared), []);
  } finally {
    await run("umount", pool);
  }
});

Deno.test("where a new disk would not fit, the oldest of what was deleted goes first, and no more than has to", async () => {
  await using shared = await SharedStorage.create();
  await run("mount", "-t", "tmpfs", "-o", "size=40m", "none", shared.at("/vms/ds"));
  try {
    const storage = shared.storage();
    const thick = (name: string) => diskAt(`/vms/ds/${name}.raw`, { size: 12, prov: DiskProvisioning.thick });
    const provision = async (name: string) => {
      const created = await storage.plan(thick(name), name);
      await storage.provision(created, thick(name));
      await storage.commit(created);
    };
    for (const [n, name] of ["first", "second", "third"].entries()) {
      await provision(name);
      await storage.discard(await decide(storage, [thick(name).path], numberedUuid(20 + n)));
    }
    assert.equal(await storage.reclaimableMiB(), 36);
    await provision("fourth");
    assert.deepEqual((await storage.trash.list()).map(({ id }) => id), [21, 22].map(numberedUuid));
    await provision("fifth");
    await provision("sixth");
    assert.deepEqual(await storage.trash.list(), []);
    await assert.rejects(provision("seventh"), { kind: "storage", message: /No space left.*MiB are free/ });
    assert.deepEqual(await shared.names(), ["fifth.raw", "fourth.raw", "sixth.raw"]);

    // Not even an entry can be begun, and it must be possible to delete all the same.
    await run("sh", "-c", `head -c 40M /dev/zero > ${shared.at("/vms/ds/filler")} 2>/dev/null || true`);
    await storage.discard(await decide(storage, [thick("fifth").path]));
    assert.deepEqual(await shared.names(), ["filler", "fourth.raw", "sixth.raw"]);
  } finally {
    await run("umount", shared.at("/vms/ds"));
  }
});

Deno.test("where the file system of an entry's files is not mounted, it is neither restored nor emptied", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  const pool = shared.at("/vms/ds/pool");
  await Deno.mkdir(pool);
  const path = "/vms/ds/pool/os.raw";
  await run("mount", "-t", "tmpfs", "none", pool);
  try {
    await make(shared, "old", path);
    await storage.discard({ ...await decide(storage, [path]), xml: undefined });
  } finally {
    await run("umount", pool);
  }
  const refusal = { kind: "conflict", message: /no file system is mounted at "\/vms\/ds\/pool"/ };
  await assert.rejects(storage.trash.restore(ID), refusal);
  await assert.rejects(storage.trash.empty(ID), refusal);
  assert.deepEqual((await storage.trash.list()).map(({ id, busy }) => [id, busy]), [[ID, false]]);
  await storage.trash.empty(ID, { force: true });
  assert.deepEqual(await storage.trash.list(), []);
});

/** What may happen in any order: to one path, by anybody. */
const STEPS = ["create", "remove", "decide", "stop", "put", "tidy", "restore"] as const;

Deno.test("whatever happens in between, no file is lost that nobody decided on", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ step: fc.constantFrom(...STEPS), which: fc.nat({ max: 2 }), at: fc.nat({ max: 4 }) }),
        { minLength: 4, maxLength: 16 },
      ),
      async (steps) => {
        await using shared = await SharedStorage.create();
        const storage = shared.storage();
        let made = 0;
        /** Files that must be somewhere: those that were made and neither removed by hand nor decided on. */
        const precious = new Set<string>();
        const removals: Removal[] = [];
        for (const { step, which, at } of steps) {
          const removal = removals[which];
          if (step === "create" && !exists(shared.at(OS))) {
            const word = `made ${made++}`;
            await make(shared, word, OS);
            precious.add(`${OS} ${word}`);
          } else if (step === "remove") {
            precious.delete(await content(shared, OS) ?? "");
            await Deno.remove(shared.at(OS)).catch(() => {});
          } else if (step === "decide") {
            removals.push(await decide(storage, [OS], numberedUuid(100 + removals.length)));
            precious.delete(await content(shared, OS) ?? "");
          } else if (step === "stop" && removal) {
            let left = at;
            const stopping = shared.storage({
              fault: () => {
                if (left-- === 0) throw new VirtxError("storage", "stopped");
              },
            });
            await stopping.trash.put(removal).catch(() => {});
          } else if (step === "put" && removal) await storage.trash.put(removal);
          else if (step === "tidy") await storage.trash.tidy();
          else if (step === "restore" && removal) await storage.trash.restore(removal.id).catch(() => {});
        }
        const files = await run(
          "find",
          shared.root,
          "-type",
          "f",
          "-exec",
          "cat",
          "{}",
          "+",
          "-printf",
          "\n",
        );
        for (const word of precious) assert.ok(files.includes(word), word);
      },
    ),
    { numRuns: 60 },
  );
});

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test("UEFI variables go with the disks, and come back with them; the place for them stays", async () => {
  await using shared = await SharedStorage.create();
  const storage = shared.storage();
  const variables = "/vms/ds/nvram/00000000-0000-4000-8000-000000000007.fd";
  await make(shared, "old", OS, variables);
  await storage.discard(await decide(storage, [OS, variables]));
  assert.deepEqual(await shared.names(), ["nvram/"]);
  assert.deepEqual(await storage.trash.restore(ID), [OS, variables]);
  assert.equal(await content(shared, variables), `${variables} old`);
});
