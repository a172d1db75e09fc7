import assert from "node:assert/strict";
import { inFreshRoot, leftBehind, readmeCommand, WATCH } from "../fresh/support/fresh_root.ts";

for (const suite of ["bookworm", "trixie"] as const) {
  Deno.test(`on ${suite} a user with sudo, a German locale and a path with spaces sees the demo pass, and builds after it`, async () => {
    const { code, output } = await inFreshRoot(
      {
        suite,
        as: "user",
        at: "/home/user/my projects/virtxd",
        packages: ["locales-all"],
        env: { LANG: "de_DE.UTF-8" },
      },
      `${WATCH} ${await readmeCommand("task demo")} && ${await readmeCommand(
        "task build",
      )}; code=$?; left_alone; exit $code`,
    );
    assert.equal(code, 0);
    assert.match(output, /^Done: a VM was created, .*moved while it ran/m);
    assert.doesNotMatch(output, /warning|warnung/i);
    assert.deepEqual(leftBehind(output), []);
  });
}

Deno.test("as root on trixie, where apt has no lists of packages, the demo passes", async () => {
  const demo = await readmeCommand("task demo");
  const { code, output } = await inFreshRoot(
    { suite: "trixie" },
    `rm -r /var/lib/apt/lists/*; ${WATCH} ${demo}; code=$?; left_alone; exit $code`,
  );
  assert.equal(code, 0);
  assert.deepEqual(leftBehind(output), []);
});
