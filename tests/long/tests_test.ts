import assert from "node:assert/strict";
import { inFreshRoot, leftBehind, readmeCommand, WATCH } from "../fresh/support/fresh_root.ts";

for (const suite of ["bookworm", "trixie"] as const) {
  for (const user of ["root", "user"]) {
    Deno.test(`on a new ${suite} all tests pass as ${user}`, async () => {
      const { code, output } = await inFreshRoot(
        { suite, ...(user !== "root" && { as: user }) },
        `${WATCH} ${await readmeCommand("task test")}; code=$?; left_alone; exit $code`,
      );
      assert.match(output, /^\d+ passed, 0 failed$/m);
      assert.equal(code, 0);
      assert.deepEqual(leftBehind(output), []);
    });
  }
}
