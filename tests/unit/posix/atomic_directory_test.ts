import assert from "node:assert/strict";
import { AtomicDirectory, type AtomicDirectoryOptions } from "../../../lib/posix/atomic_directory.ts";
import { LocalFiles } from "../../../lib/posix/local_files.ts";
import { Tree } from "../../../lib/posix/tree.ts";
import { localTree } from "../../support/local_tree.ts";
import { run } from "../../support/run.ts";
import { TempDir } from "../../support/temp_dir.ts";

const encode = (text: string) => () => new TextEncoder().encode(text);

function directoryIn(dir: TempDir, options: Partial<AtomicDirectoryOptions> = {}): AtomicDirectory {
  return new AtomicDirectory({ tree: localTree(dir.path), directory: "a/b", ...options });
}

async function text(directory: AtomicDirectory, name: string): Promise<string | undefined> {
  const content = await directory.read(name, 1 << 20);
  return content && new TextDecoder().decode(content);
}

Deno.test("what is written is read back, with its mode whatever the umask, in a directory made for it", async () => {
  await using dir = await TempDir.create();
  const directory = directoryIn(dir);
  assert.equal(await text(directory, "x"), undefined);
  assert.deepEqual(await directory.names(), []);
  const umask = Deno.umask(0o077);
  try {
    await directory.write("x", encode("one"));
  } finally {
    Deno.umask(umask);
  }
  await directory.write("x", encode("two"));
  assert.equal(await text(directory, "x"), "two");
  assert.equal(((await Deno.stat(dir.at("a/b/x"))).mode ?? 0) & 0o777, 0o640);
  assert.equal(((await Deno.stat(dir.at("a/b"))).mode ?? 0) & 0o777, 0o700);
  assert.equal(await directory.remove("x"), true);
  assert.equal(await directory.remove("x"), false);
  assert.equal(await text(directory, "x"), undefined);
});

Deno.test("a write that fails leaves the old content and no temporary file", async () => {
  await using dir = await TempDir.create();
  await directoryIn(dir).write("x", encode("old"));
  const failing = directoryIn(dir, {
    fault: (point) => {
      if (point === "written") throw new Error("failed");
    },
  });
  await assert.rejects(failing.write("x", encode("new")), /failed/);
  assert.equal(await text(failing, "x"), "old");
  assert.equal(await failing.sweep(), 0);
});

/** Files of which a directory is removed once, as soon as it is made. */
class Vanishing extends LocalFiles {
  #left = 1;

  override async mkdir(path: string, mode: number): Promise<boolean> {
    const made = await super.mkdir(path, mode);
    if (path.endsWith("/b") && this.#left-- > 0) await this.rmdirIfEmpty(path);
    return made;
  }
}

Deno.test("a directory that another host removes before anything is in it is made again", async () => {
  await using dir = await TempDir.create();
  const tree = () => new Tree(dir.path, new Vanishing());
  const directory = directoryIn(dir, { tree: tree() });
  await directory.write("x", encode("one"));
  assert.equal(await text(directory, "x"), "one");
  const target = directoryIn(dir, { tree: tree(), directory: "c/a" });
  await target.write("y", encode("two"));
  await target.moveUnlessThere("y", "c/b");
  assert.equal(await text(directoryIn(dir, { directory: "c/b" }), "y"), "two");
});

Deno.test("what a write leaves on storage that refuses its removal, too, goes with the next write", async () => {
  await using dir = await TempDir.create();
  let refuses = true;
  class Refusing extends LocalFiles {
    override async rename(path: string, to: string): Promise<void> {
      if (refuses) throw new Error("it hangs");
      await super.rename(path, to);
    }
    override async unlink(path: string): Promise<boolean> {
      if (refuses) throw new Error("it hangs");
      return await super.unlink(path);
    }
  }
  const directory = directoryIn(dir, { tree: new Tree(dir.path, new Refusing()) });
  for (const name of ["x", "y"]) await assert.rejects(directory.write(name, encode("new")), /it hangs/);
  refuses = false;
  await directory.write("y", encode("late"));
  const names = Array.from(Deno.readDirSync(dir.at("a/b")), ({ name }) => name);
  assert.deepEqual(names, ["y"]);
  assert.equal(await text(directory, "y"), "late");
});

Deno.test("writers of one name take turns: the last to come wins, and readers see whole contents only", async () => {
  await using dir = await TempDir.create();
  const directory = directoryIn(dir);
  const versions = Array.from({ length: 20 }, (_, index) => String(index).repeat(100_000));
  await directory.write("x", encode(versions[0] ?? ""));
  let writing = true;
  const writes = Promise.all(versions.map((version) => directory.write("x", encode(version)))).finally(() => {
    writing = false;
  });
  let reads = 0;
  for (; writing || reads < 10; reads++) {
    const seen = await directory.read("x", 1 << 20);
    assert.ok(versions.includes(new TextDecoder().decode(seen)));
  }
  await writes;
  assert.equal(await text(directory, "x"), versions.at(-1));
});

Deno.test("a leftover of a crash is written over, not through, is no file of the directory, and is swept away", async () => {
  await using dir = await TempDir.create();
  const directory = directoryIn(dir);
  await directory.write("y", encode("y"));
  await Deno.writeTextFile(dir.at("victim"), "precious");
  await Deno.symlink(dir.at("victim"), dir.at("a/b/.x.tmp"));
  await directory.write("x", encode("x"));
  assert.equal(await Deno.readTextFile(dir.at("victim")), "precious");
  await Deno.writeTextFile(dir.at("a/b/.z.tmp"), "half");
  await Deno.mkdir(dir.at("a/b/sub"));
  await Deno.symlink("x", dir.at("a/b/link"));
  assert.deepEqual(await directory.names(), ["x", "y"]);
  assert.equal(await directory.sweep(), 1);
  assert.deepEqual(await directory.names(), ["x", "y"]);
});

Deno.test("what is too large, no regular file, or behind a symbolic link is not read", async () => {
  await using dir = await TempDir.create();
  const directory = directoryIn(dir);
  await directory.write("x", encode("12345"));
  assert.equal((await directory.read("x", 5))?.length, 5);
  await assert.rejects(directory.read("x", 4), { code: "EFBIG" });
  await run("mkfifo", dir.at("a/b/fifo"));
  await Deno.symlink("x", dir.at("a/b/link"));
  for (const name of ["fifo", "link"]) await assert.rejects(directory.read(name, 5), /not a regular file/);
  await assert.rejects(directory.read("../b/x", 5), { code: "EINVAL" });
  await assert.rejects(directory.write("../x", encode("")), { code: "EINVAL" });
});
