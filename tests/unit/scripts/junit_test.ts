import assert from "node:assert/strict";
import { run } from "../../../scripts/command.ts";
import { readCounts } from "../../../scripts/test/junit.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** What a real run of `deno test` over these tests reports. */
async function countsOf(tests: string) {
  await using dir = await TempDir.create();
  await Deno.writeTextFile(dir.at("some_test.ts"), tests);
  await run([Deno.execPath(), "test", "--no-config", `--junit-path=${dir.at("report.xml")}`, dir.path], {
    cwd: dir.path,
  });
  return readCounts(await Deno.readTextFile(dir.at("report.xml")));
}

Deno.test("passed and failed tests are counted, those that are left out are not", async () => {
  const counts = await countsOf(`
    Deno.test("good", () => {});
    Deno.test("also good", () => {});
    Deno.test("with steps", async (t) => { await t.step("one", () => {}); await t.step("a > b", () => {}); });
    Deno.test("less > more", () => {});
    Deno.test("bad", () => { throw new Error("failures=\\"7\\""); });
    Deno.test.ignore("left out", () => {});
  `);
  assert.deepEqual(counts, { passed: 4, failed: 1 });
});

Deno.test("what is no report is an error", () => {
  assert.throws(() => readCounts(""), /no JUnit report/);
});
