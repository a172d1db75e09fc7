import assert from "node:assert/strict";
import { inFreshRoot, leftBehind, readmeCommand, WATCH } from "./support/fresh_root.ts";

Deno.test("the README's demo passes on a Debian 12 that has Node and nothing else", async () => {
  const demo = await readmeCommand("task demo");
  const { code, output } = await inFreshRoot(
    { suite: "bookworm" },
    `${WATCH} ${demo}; code=$?; left_alone; exit $code`,
  );
  assert.equal(code, 0, "exit code of the demo");
  assert.match(output, /^Done: a VM was created, .*moved while it ran/m);
  assert.doesNotMatch(output, /warning/i);
  assert.deepEqual(leftBehind(output), []);
});
