import assert from "node:assert/strict";
import { PosixError } from "../../../lib/posix/errno.ts";
import { UserFiles } from "../../../lib/posix/user_files.ts";
import { TempDir } from "../../support/temp_dir.ts";

function codeOf(action: () => void): string {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof PosixError);
    return error.code;
  }
  return "";
}

function modeOf({ mode }: Deno.FileInfo): number {
  return (mode ?? 0) & 0o777;
}

Deno.test("a file is written for its user alone, and replaced as a whole", async () => {
  await using dir = await TempDir.create();
  using files = UserFiles.open();
  const path = dir.at("config.toml");
  files.replace(path, "one\n");
  files.replace(path, "zwei ä\n");
  assert.equal(await Deno.readTextFile(path), "zwei ä\n");
  assert.equal(modeOf(await Deno.stat(path)), 0o600);
  assert.deepEqual((await Array.fromAsync(Deno.readDir(dir.path))).map(({ name }) => name), ["config.toml"]);
});

Deno.test("a file that must be new is not written over another", async () => {
  await using dir = await TempDir.create();
  using files = UserFiles.open();
  files.create(dir.at("x"), "mine");
  assert.equal(codeOf(() => files.create(dir.at("x"), "other")), "EEXIST");
  assert.equal(await Deno.readTextFile(dir.at("x")), "mine");
});

Deno.test("directories are made with those above them, for their user alone", async () => {
  await using dir = await TempDir.create();
  using files = UserFiles.open();
  files.makeDirectory(dir.at("a/b/c"));
  files.makeDirectory(dir.at("a/b/c"));
  assert.equal(modeOf(await Deno.stat(dir.at("a/b/c"))), 0o700);
  files.create(dir.at("file"), "");
  assert.equal(codeOf(() => files.makeDirectory(dir.at("file/below"))), "ENOTDIR");
});

Deno.test("what cannot be written says so, and leaves nothing behind", async () => {
  await using dir = await TempDir.create();
  using files = UserFiles.open();
  assert.equal(codeOf(() => files.replace(dir.at("none/x"), "")), "ENOENT");
  await Deno.mkdir(dir.at("taken"));
  assert.equal(codeOf(() => files.replace(dir.at("taken"), "x")), "EISDIR");
  assert.deepEqual((await Array.fromAsync(Deno.readDir(dir.path))).map(({ name }) => name), ["taken"]);
});

Deno.test("to remove what is not there is fine", async () => {
  await using dir = await TempDir.create();
  using files = UserFiles.open();
  files.create(dir.at("x"), "");
  files.remove(dir.at("x"));
  files.remove(dir.at("x"));
  assert.deepEqual(await Array.fromAsync(Deno.readDir(dir.path)), []);
});
