import assert from "node:assert/strict";
import { run } from "../../../scripts/command.ts";
import { failuresIn } from "../../../scripts/test/transcript.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** What a real run of `deno test` over these tests says of its failures. */
async function accountOf(tests: string): Promise<string> {
  await using dir = await TempDir.create();
  await Deno.writeTextFile(dir.at("some_test.ts"), tests);
  const { stdout, stderr } = await run([Deno.execPath(), "test", "--no-config", dir.path], { cwd: dir.path });
  return failuresIn(stdout + stderr);
}

Deno.test("an account has what failed and why, a rejection that nobody awaits too, and not what passed", async () => {
  const account = await accountOf(`
    Deno.test("good", () => {});
    Deno.test("bad", () => { throw new Error("the reason"); });
    Deno.test("forgetful", () => { void Promise.reject(new Error("nobody listens")); });
  `);
  assert.match(account, /bad => [^]*the reason[^]*nobody listens/);
  assert.doesNotMatch(account, /good/);
});

Deno.test("of a run that breaks off its last lines are kept", async () => {
  const account = await accountOf('Deno.test("fatal", () => { Deno.kill(Deno.pid, "SIGKILL"); });');
  assert.match(account, /fatal/);
  assert.equal(
    failuresIn(Array.from({ length: 99 }, (_, n) => `line ${n}`).join("\n")).split("\n").length,
    40,
  );
});
