import assert from "node:assert/strict";
import { localTree } from "../../support/local_tree.ts";
import { TempDir } from "../../support/temp_dir.ts";

Deno.test("only plain names are in the tree", () => {
  const tree = localTree("/vms");
  assert.equal(tree.at("a/b c/.d"), "/vms/a/b c/.d");
  for (const name of ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\0"]) {
    assert.throws(() => tree.at(name), { kind: "invalid", code: "EINVAL" }, name);
  }
});

Deno.test("missing directories are named from the outermost on, and made durable on demand", async () => {
  await using dir = await TempDir.create();
  const tree = localTree(dir.path);
  assert.deepEqual(await tree.missing(""), []);
  assert.deepEqual(await tree.missing("a/b/c"), ["a", "a/b", "a/b/c"]);
  await tree.make("a/b", 0o750);
  assert.equal(((await Deno.stat(dir.at("a/b"))).mode ?? 0) & 0o777, 0o750);
  assert.deepEqual(await tree.missing("a/b/c"), ["a/b/c"]);
  await Promise.all(Array.from({ length: 4 }, () => tree.make("a/b/c/d", 0o750)));
  assert.deepEqual(await tree.missing("a/b/c/d"), []);
});

Deno.test("a symbolic link or a file on the way, and a missing root, are refused; the root may be a link", async () => {
  await using dir = await TempDir.create();
  await Deno.mkdir(dir.at("real"));
  await Deno.symlink(".", dir.at("real/link"));
  await Deno.writeTextFile(dir.at("real/file"), "");
  await Deno.symlink("real", dir.at("root"));
  const tree = localTree(dir.at("root"));
  await assert.rejects(tree.missing("link/x"), { code: "ELOOP", message: /root\/link" is a symbolic link$/ });
  await assert.rejects(tree.make("file/x", 0o750), {
    code: "ENOTDIR",
    message: /root\/file" is not a directory$/,
  });
  const none = localTree(dir.at("none"));
  await assert.rejects(none.make("a", 0o750), {
    kind: "storage",
    code: "ENOENT",
    message: /is the shared storage mounted/,
  });
});
