import assert from "node:assert/strict";
import { VirtxError } from "../../../lib/model/error.ts";
import { runInForeground } from "../../../lib/posix/foreground.ts";
import { TempDir } from "../../support/temp_dir.ts";

const env = { PATH: "/usr/bin:/bin", GREETING: "hello wörld" };

Deno.test("a program runs with its arguments and environment, and its exit code is told", async () => {
  await using dir = await TempDir.create();
  const script = 'printf "%s|%s|%s" "$1" "$2" "$GREETING" > "$3"; exit 7';
  const code = await runInForeground({ argv: ["sh", "-c", script, "sh", "a b", "", dir.at("out")], env });
  assert.equal(code, 7);
  assert.equal(await Deno.readTextFile(dir.at("out")), "a b||hello wörld");
});

Deno.test("a signal that ends it is told as shells do", async () => {
  assert.equal(await runInForeground({ argv: ["sh", "-c", "kill -9 $$"], env }), 137);
});

Deno.test("a program does not inherit that our runtime ignores SIGPIPE", async () => {
  assert.equal(await runInForeground({ argv: ["sh", "-c", "kill -s PIPE $$; exit 0"], env }), 141);
});

Deno.test("a program that is not there is named", async () => {
  await assert.rejects(
    runInForeground({ argv: ["no-such-editor", "x"], env }),
    (error) =>
      error instanceof VirtxError && error.kind === "unavailable" && /no-such-editor/.test(error.message),
  );
});
