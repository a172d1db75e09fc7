import assert from "node:assert/strict";
import { findDenort } from "../../../scripts/build/denort.ts";
import { TempDir } from "../../support/temp_dir.ts";

function named(path: string) {
  return findDenort({ get: (name) => name === "DENORT_BIN" ? path : undefined });
}

Deno.test("a full Deno in DENORT_BIN is refused, as compile would take it without a word", async () => {
  const answer = await named(Deno.execPath());
  assert.ok(!answer.usable);
  assert.match(answer.why, /full Deno/);
});

Deno.test("a DENORT_BIN that is not there is refused", async () => {
  const answer = await named("/nonexistent/denort");
  assert.ok(!answer.usable);
  assert.match(answer.why, /is not there/);
});

Deno.test("any other program in DENORT_BIN is taken", async () => {
  await using dir = await TempDir.create();
  await Deno.writeTextFile(dir.at("denort"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  assert.deepEqual(await named(dir.at("denort")), { usable: true });
});
