import assert from "node:assert/strict";
import { parseEscape } from "../../../../lib/cli/console/escape.ts";
import { VirtxError } from "../../../../lib/model/error.ts";

Deno.test("keys are written as virsh writes them", () => {
  const keys = [["^]", 0x1d], ["^a", 1], ["^A", 1], ["^@", 0], ["^_", 0x1f], ["^?", 0x7f], [
    "none",
    undefined,
  ]] as const;
  for (const [text, byte] of keys) assert.equal(parseEscape(text), byte, text);
});

Deno.test("what is no key is refused, with one that is", () => {
  for (const text of ["", "]", "^", "^]]", "^1", "ctrl-a", "^\n"]) {
    assert.throws(() => parseEscape(text), (error) => {
      assert.ok(error instanceof VirtxError);
      assert.equal(error.kind, "invalid");
      assert.match(error.message, /use \^\] or \^a/);
      return true;
    });
  }
});
