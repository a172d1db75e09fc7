import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { LocalFiles } from "../../../lib/posix/local_files.ts";
import { Tree } from "../../../lib/posix/tree.ts";
import { runKilledAt } from "../../support/killed.ts";
import { localTree } from "../../support/local_tree.ts";
import { StaleFiles } from "../../support/stale_files.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { KEY, store } from "./generations_store.ts";

const ONE = { owner: "one" };
const TWO = { owner: "two" };
const program = fileURLToPath(new URL("./generations_program.ts", import.meta.url));

async function filesOf(dir: TempDir): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(dir.at(`records/owners/${KEY}`)), ({ name }) => name);
  return names.sort();
}

async function put(dir: TempDir, name: string, text: string): Promise<void> {
  await Deno.mkdir(dir.at(`records/owners/${KEY}`), { recursive: true });
  await Deno.writeTextFile(dir.at(`records/owners/${KEY}/${name}`), text);
}

Deno.test("a value is there from the first generation on, and each replacement is the next", async () => {
  await using dir = await TempDir.create();
  const owners = store(localTree(dir.path));
  assert.equal(await owners.read(KEY), undefined);
  assert.equal(await owners.replace(KEY, 0, ONE), true);
  assert.equal(await owners.replace(KEY, 0, TWO), false);
  assert.equal(await owners.replace(KEY, 2, TWO), false);
  const first = await owners.read(KEY);
  assert.deepEqual([first?.generation, first?.value], [1, ONE]);
  assert.equal(await owners.replace(KEY, 1, undefined), true);
  const freed = await owners.read(KEY);
  assert.deepEqual([freed?.generation, freed?.value], [2, undefined]);
  assert.deepEqual(await filesOf(dir), ["2.json"]);
});

Deno.test("age is measured by the clock of the storage", async () => {
  await using dir = await TempDir.create();
  const owners = store(localTree(dir.path));
  await owners.replace(KEY, 0, ONE);
  const anHourAgo = new Date(Date.now() - 3_600_000);
  await Deno.utime(dir.at(`records/owners/${KEY}/1.json`), anHourAgo, anHourAgo);
  const { ageMs = 0 } = await owners.read(KEY) ?? {};
  assert.ok(ageMs >= 3_599_000 && ageMs < 3_660_000, String(ageMs));
});

Deno.test("of writers at the same instant exactly one wins", async () => {
  await using dir = await TempDir.create();
  const writers = ["a", "b", "c", "d"].map((owner) => ({ owner, owners: store(localTree(dir.path)) }));
  for (let generation = 0; generation < 25; generation++) {
    const won = await Promise.all(
      writers.map(({ owner, owners }) => owners.replace(KEY, generation, { owner })),
    );
    assert.equal(won.filter(Boolean).length, 1);
    const now = await writers[0]?.owners.read(KEY);
    assert.equal(now?.generation, generation + 1);
    assert.equal(now?.value?.owner, writers[won.indexOf(true)]?.owner);
  }
  assert.deepEqual(await filesOf(dir), ["25.json"]);
});

Deno.test("who slept since it looked has lost, though the name of its generation is free again", async () => {
  await using dir = await TempDir.create();
  const others = store(localTree(dir.path));
  const sleeper = store(localTree(dir.path), async (point) => {
    if (point !== "written") return;
    for (let generation = 1; generation < 5; generation++) await others.replace(KEY, generation, TWO);
  });
  await others.replace(KEY, 0, ONE);
  assert.equal(await sleeper.replace(KEY, 1, ONE), false);
  assert.deepEqual(await filesOf(dir), ["5.json"]);
  assert.deepEqual((await others.read(KEY))?.value, TWO);
});

Deno.test("who slept while a key was forgotten and begun anew has lost", async () => {
  await using dir = await TempDir.create();
  const owners = store(localTree(dir.path));
  await owners.replace(KEY, 0, TWO);
  assert.equal(await owners.replace(KEY, 7, ONE), false);
  assert.deepEqual(await filesOf(dir), ["1.json"]);
  const gone = store(localTree(dir.path), async (point) => {
    if (point === "written") await Deno.remove(dir.at(`records/owners/${KEY}`), { recursive: true });
  });
  assert.equal(await gone.replace(KEY, 1, ONE), false);
  assert.equal(await owners.read(KEY), undefined);
});

/** Makes what a key has a month old. */
async function age(dir: TempDir): Promise<void> {
  const then = new Date(Date.now() - 30 * 86_400_000);
  for (const name of await filesOf(dir)) {
    await Deno.utime(dir.at(`records/owners/${KEY}/${name}`), then, then);
  }
}

async function keysOf(dir: TempDir): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(dir.at("records/owners")), ({ name }) => name);
}

Deno.test("keys that have been free for long are removed, and no others", async () => {
  await using dir = await TempDir.create();
  const owners = store(localTree(dir.path));
  const kept = async () => (await owners.sweep(), (await keysOf(dir)).length);
  await owners.replace(KEY, 0, ONE);
  await age(dir);
  assert.equal(await kept(), 1, "it has a value");
  await owners.replace(KEY, 1, undefined);
  assert.equal(await kept(), 1, "it has just become free");
  await age(dir);
  assert.equal(await kept(), 0);
  assert.equal(await owners.read(KEY), undefined);
  assert.equal(await owners.replace(KEY, 0, TWO), true);
  await age(dir);
  await put(dir, "1.json", "{");
  await age(dir);
  assert.equal(await kept(), 1, "nobody knows what it is");
  await Deno.remove(dir.at(`records/owners/${KEY}/1.json`));
  assert.equal(await kept(), 0, "an empty directory says nothing");
});

Deno.test("who writes to a key while it is removed begins again, and nobody's value is lost", async (t) => {
  for (const point of ["written", "linked", "decided", "forgotten"]) {
    await t.step(point, async () => {
      await using dir = await TempDir.create();
      const other = store(localTree(dir.path));
      let won: unknown = "not asked";
      const owners = store(localTree(dir.path), async (reached) => {
        if (reached !== point || won !== "not asked") return;
        won = "asked";
        won = await other.update(KEY, () => Promise.resolve({ value: TWO }));
      });
      await other.replace(KEY, 0, ONE);
      await other.replace(KEY, 1, undefined);
      await age(dir);
      await owners.sweep();
      assert.notEqual(won, "asked");
      assert.deepEqual((await other.read(KEY))?.value, TWO);
    });
  }
});

Deno.test("who slept while a key was removed and came to the same generation again has lost", async () => {
  await using dir = await TempDir.create();
  const others = store(localTree(dir.path));
  await others.replace(KEY, 0, ONE);
  await others.replace(KEY, 1, undefined);
  await age(dir);
  let asleep = true;
  const sleeper = store(localTree(dir.path));
  const before = await sleeper.update(KEY, async () => {
    if (asleep) {
      asleep = false;
      await others.sweep();
      await others.replace(KEY, 0, ONE);
      await others.replace(KEY, 1, TWO);
      return { value: ONE };
    }
    return undefined;
  });
  assert.deepEqual(before?.value, TWO);
  assert.deepEqual((await others.read(KEY))?.value, TWO);
});

Deno.test("a link whose answer is lost counts, and one that is another's does not", async () => {
  await using dir = await TempDir.create();
  let theirs = false;
  class LossyFiles extends LocalFiles {
    override async link(path: string, to: string): Promise<void> {
      if (theirs) await store(localTree(dir.path)).replace(KEY, 1, TWO);
      else await super.link(path, to);
      await super.link(path, to); // EEXIST: the repeated call of an NFS client
    }
  }
  const owners = store(new Tree(dir.path, new LossyFiles()));
  assert.equal(await owners.replace(KEY, 0, ONE), true);
  theirs = true;
  assert.equal(await owners.replace(KEY, 1, ONE), false);
  assert.deepEqual((await owners.read(KEY))?.value, TWO);
});

Deno.test("neither a cached directory nor a cached absence hides what another host has recorded", async () => {
  await using dir = await TempDir.create();
  const here = store(new Tree(dir.path, new StaleFiles()));
  const there = store(new Tree(dir.path, new StaleFiles()));
  assert.equal(await here.read(KEY), undefined);
  assert.equal(await there.read(KEY), undefined);
  assert.equal(await there.replace(KEY, 0, TWO), true);
  assert.deepEqual((await here.read(KEY))?.value, TWO);
  assert.equal(await here.replace(KEY, 0, ONE), false);
  assert.equal(await here.replace(KEY, 1, ONE), true);
  assert.deepEqual((await there.read(KEY))?.value, ONE);
  assert.equal(await there.replace(KEY, 1, TWO), false);
});

Deno.test("what cannot be understood, and what is of a newer format, is never replaced", async () => {
  const valid = { format: 1, write: "11111111-1111-4111-8111-111111111111", value: ONE };
  const cases: [text: string, message: RegExp][] = [
    ["", /3\.json is not JSON/],
    ["[]", /3\.json cannot be understood/],
    [JSON.stringify({ ...valid, value: { owner: 1 } }), /3\.json cannot be understood \(value\.owner\)/],
    [JSON.stringify({ ...valid, more: 1 }), /3\.json cannot be understood/],
    [
      JSON.stringify({ ...valid, format: 2, more: 1 }),
      /3\.json is of format 2, and this virtxd knows 1; update/,
    ],
    [" ".repeat(100_000), /3\.json is larger than any record/],
  ];
  for (const [text, message] of cases) {
    await using dir = await TempDir.create();
    const owners = store(localTree(dir.path));
    await put(dir, "3.json", text);
    await assert.rejects(owners.read(KEY), { kind: "conflict", message });
    assert.equal(await owners.replace(KEY, 2, TWO).catch(() => false), false);
    assert.equal(await Deno.readTextFile(dir.at(`records/owners/${KEY}/3.json`)), text);
  }
});

Deno.test("what is no generation does not count, and what is no key never becomes a path", async () => {
  await using dir = await TempDir.create();
  const owners = store(localTree(dir.path));
  for (const name of ["0.json", "01.json", "1.json.tmp", ".2.json.tmp", "x.json"]) await put(dir, name, "");
  assert.equal(await owners.read(KEY), undefined);
  assert.equal(await owners.replace(KEY, 0, ONE), true);
  assert.ok((await filesOf(dir)).includes(".2.json.tmp"));
  const longAgo = new Date(Date.now() - 7_200_000);
  await Deno.utime(dir.at(`records/owners/${KEY}/.2.json.tmp`), longAgo, longAgo);
  assert.equal((await owners.read(KEY))?.generation, 1);
  assert.ok(!(await filesOf(dir)).includes(".2.json.tmp"), "what a crash left is removed");
  for (const key of ["", "..", `../${KEY}`, KEY.toUpperCase()]) {
    await assert.rejects(owners.read(key), { kind: "internal" });
    await assert.rejects(owners.replace(key, 0, ONE), { kind: "internal" });
  }
});

Deno.test("killed at any step, the value is the old or the new, and can be replaced", async () => {
  const points: string[] = [];
  for (let n = 1;; n++) {
    await using dir = await TempDir.create();
    const owners = store(localTree(dir.path));
    await owners.replace(KEY, 0, ONE);
    const point = await runKilledAt(n, program, dir.path);
    if (point === undefined) break;
    points.push(point);
    const now = await owners.read(KEY);
    assert.deepEqual(now?.value, point === "written" ? ONE : { owner: "new" }, point);
    assert.equal(await owners.replace(KEY, now?.generation ?? 0, TWO), true, point);
    assert.deepEqual((await owners.read(KEY))?.value, TWO);
    const left = (await filesOf(dir)).filter((name) => !name.startsWith("."));
    assert.deepEqual(left, [`${(now?.generation ?? 0) + 1}.json`], point);
  }
  assert.deepEqual(points, ["written", "linked", "decided", "replaced"]);
});
