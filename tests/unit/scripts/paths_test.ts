import assert from "node:assert/strict";
import { must } from "../../../scripts/command.ts";
import { ROOT } from "../../../scripts/paths.ts";
import { rootPath } from "../../../scripts/root.ts";

Deno.test("no path of the project is taken from a URL as it stands, where a space is %20", async () => {
  const files = (await must(["find", "lib", "scripts", "tests", "main.ts", "-name", "*.ts"], { cwd: ROOT }))
    .trim()
    .split("\n");
  assert.ok(files.length > 100);
  const wrong: string[] = [];
  for (const file of files) {
    if (/import\.meta\.url\)\s*\.pathname/.test(await Deno.readTextFile(`${ROOT}/${file}`))) wrong.push(file);
  }
  assert.deepEqual(wrong, []);
});

Deno.test("root gets the directories that a user's search path lacks, once, and behind the user's own", () => {
  assert.equal(
    rootPath("/usr/local/bin:/usr/bin:/bin"),
    "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
  );
  assert.equal(rootPath("/usr/sbin:/own"), "/usr/sbin:/own:/usr/local/sbin:/sbin");
  assert.equal(rootPath(""), "/usr/local/sbin:/usr/sbin:/sbin");
});
