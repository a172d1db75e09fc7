import assert from "node:assert/strict";
import { Health } from "../../../lib/model/health.ts";
import { type Logger, silentLogger } from "../../../lib/model/log.ts";
import type { Change } from "../../../lib/registry/change.ts";
import { Journal } from "../../../lib/registry/journal.ts";
import { Registry } from "../../../lib/registry/registry.ts";
import { localTree } from "../../support/local_tree.ts";
import { TempDir } from "../../support/temp_dir.ts";

const HOST = "11111111-1111-4111-8111-111111111111";
const VM = "22222222-2222-4222-8222-222222222222";
const ID = "33333333-3333-4333-8333-333333333333";
const LATER = "00000000-0000-4000-8000-000000000000";

const change: Change = {
  id: ID,
  op: "update",
  vm: VM,
  phase: "prepared",
  startedAt: 1_700_000_000_000,
  oldXml: "<domain>\n old ä</domain>",
  newXml: "<domain>new</domain>",
  created: [{ path: "/vms/ds/n/a.raw", temp: "/vms/ds/n/.a.raw.tag.tmp", directories: ["/vms/ds/n"] }],
  removed: ["/vms/ds/b.raw"],
};

function journalIn(dir: TempDir, log: Logger = silentLogger): Journal {
  return new Journal({ tree: localTree(dir.path), hostUuid: HOST, log });
}

Deno.test("open changes are listed as they were written, the oldest first, until they are removed", async () => {
  await using dir = await TempDir.create();
  const journal = journalIn(dir);
  assert.deepEqual(await journal.list(), []);
  const later: Change = {
    ...change,
    id: LATER,
    op: "create",
    oldXml: undefined,
    created: [],
    startedAt: change.startedAt + 1,
  };
  await journal.write(later);
  await journal.write(change);
  assert.deepEqual(await journal.list(), [change, later]);
  const committed: Change = { ...change, phase: "committed" };
  await journal.write(committed);
  assert.deepEqual(await journal.list(), [committed, later]);
  await journal.remove(ID);
  await journal.remove(ID);
  assert.deepEqual(await journal.list(), [later]);
});

Deno.test("which files are to be deleted is recorded where some are, and read back; the version before had no such field", async () => {
  await using dir = await TempDir.create();
  const journal = journalIn(dir);
  const marks = { "/vms/ds/b.raw": { inode: "18446744073709551615", bytes: 7, born: "1", modified: "2" } };
  const marked: Change = { ...change, marks, now: true };
  const file = dir.at(`xml/${HOST}/.journal/${ID}.json`);
  await journal.write(marked);
  assert.deepEqual(await journal.list(), [marked]);
  await journal.write(change);
  assert.doesNotMatch(await Deno.readTextFile(file), /marks|now/);
  assert.deepEqual(await journal.list(), [change]);
});

Deno.test("the journal's files are for root alone, and nothing to the registry beside them", async () => {
  await using dir = await TempDir.create();
  await journalIn(dir).write(change);
  const file = await Deno.stat(dir.at(`xml/${HOST}/.journal/${ID}.json`));
  assert.equal((file.mode ?? 0) & 0o777, 0o600);
  assert.deepEqual(await new Registry({ tree: localTree(dir.path), hostUuid: HOST }).list(), []);
});

const good: Record<string, unknown> = { version: 1, ...change };
const BROKEN: readonly (readonly [what: string, content: string | Uint8Array])[] = [
  ["empty", ""],
  ["cut short", JSON.stringify(good).slice(0, -10)],
  ["not UTF-8", Uint8Array.of(0xff)],
  ["another version", JSON.stringify({ ...good, version: 2 })],
  ["no version", JSON.stringify(change)],
  ["an unknown key", JSON.stringify({ ...good, extra: 1 })],
  ["an unknown operation", JSON.stringify({ ...good, op: "format" })],
  ["a VM that is no UUID", JSON.stringify({ ...good, vm: "../x" })],
  ["another change's id", JSON.stringify({ ...good, id: LATER })],
  ["a path that is no text", JSON.stringify({ ...good, removed: [1] })],
  ["a disk without names", JSON.stringify({ ...good, created: [{}] })],
  ["a list", "[]"],
  ["__proto__", `{"__proto__": ${JSON.stringify(good)}}`],
];

Deno.test("a broken record is logged and set aside, and the others are listed", async (t) => {
  for (const [what, content] of BROKEN) {
    await t.step(what, async () => {
      await using dir = await TempDir.create();
      const logged: string[] = [];
      const journal = journalIn(dir, { ...silentLogger, error: (message) => logged.push(message) });
      const other: Change = { ...change, id: LATER };
      await journal.write(other);
      const file = dir.at(`xml/${HOST}/.journal/${ID}.json`);
      await (typeof content === "string" ? Deno.writeTextFile(file, content) : Deno.writeFile(file, content));
      assert.deepEqual(await journal.list(), [other]);
      assert.deepEqual(logged, ["record is broken and set aside"]);
      await Deno.lstat(`${file}.broken`);
      assert.deepEqual(await journal.list(), [other]);
      assert.equal(logged.length, 1);
    });
  }
});

Deno.test("what was set aside is reported until it is removed", async () => {
  await using dir = await TempDir.create();
  const health = new Health();
  const journal = new Journal({ tree: localTree(dir.path), hostUuid: HOST, log: silentLogger, health });
  await journal.write({ ...change, id: LATER });
  const file = dir.at(`xml/${HOST}/.journal/${ID}.json`);
  await Deno.writeTextFile(file, "{");
  await Deno.mkdir(dir.at(`xml/${HOST}/.journal/${VM}.json`));
  assert.equal((await journal.list()).length, 1);
  const [condition] = health.conditions;
  assert.match(
    condition?.reason ?? "",
    /^the journal has what could not be read, set aside as \S+\/\.journal\/\S+\.json\.broken: /,
  );
  assert.equal(condition?.blocking, false);
  await Deno.remove(`${file}.broken`);
  await journal.list();
  assert.deepEqual(health.conditions, []);
});

Deno.test("a record that is too large is set aside too", async () => {
  await using dir = await TempDir.create();
  const journal = journalIn(dir);
  await journal.write({ ...change, id: LATER });
  const file = dir.at(`xml/${HOST}/.journal/${ID}.json`);
  await Deno.writeTextFile(file, "");
  await Deno.truncate(file, (32 << 20) + 1);
  assert.equal((await journal.list()).length, 1);
  await Deno.lstat(`${file}.broken`);
});

Deno.test("a record that cannot be read because of the storage stays where it is, and the failure is told", async () => {
  await using dir = await TempDir.create();
  const journal = journalIn(dir);
  await journal.write(change);
  await Deno.rename(dir.at(`xml/${HOST}`), dir.at("xml/moved"));
  await Deno.symlink("moved", dir.at(`xml/${HOST}`));
  await assert.rejects(journal.list(), {
    kind: "storage",
    message: /^Cannot read the journal: .*symbolic link/,
  });
  await Deno.lstat(dir.at(`xml/moved/.journal/${ID}.json`));
});

Deno.test("an id that is not a UUID never becomes a path", async () => {
  await using dir = await TempDir.create();
  const journal = journalIn(dir);
  await assert.rejects(journal.write({ ...change, id: "../x" }), { kind: "internal" });
  await assert.rejects(journal.remove("../x"), { kind: "internal" });
  assert.throws(() => new Journal({ tree: localTree(dir.path), hostUuid: "..", log: silentLogger }), {
    kind: "internal",
  });
});
