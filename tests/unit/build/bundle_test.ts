import assert from "node:assert/strict";
import { bundle } from "../../../scripts/build/bundle.ts";
import { must } from "../../../scripts/command.ts";
import { ROOT } from "../../../scripts/paths.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** The names and the contents of a directory's files. */
async function contents(directory: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for await (const { name } of Deno.readDir(directory)) {
    files.set(name, await Deno.readTextFile(`${directory}/${name}`));
  }
  return new Map([...files].sort());
}

Deno.test("the same sources give the same bundle in whatever directory they lie", async () => {
  await using dir = await TempDir.create();
  const elsewhere = dir.at("some where/else");
  await Deno.mkdir(elsewhere, { recursive: true });
  await must(["cp", "--recursive", "deno.json", "deno.lock", "main.ts", "lib", elsewhere], { cwd: ROOT });
  await bundle(ROOT, dir.at("one"));
  await bundle(elsewhere, dir.at("other"));
  const one = await contents(dir.at("one"));
  assert.ok(one.has("main.js"));
  assert.deepEqual(await contents(dir.at("other")), one);
});
