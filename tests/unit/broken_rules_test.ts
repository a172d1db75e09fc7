import assert from "node:assert/strict";
import { BROKEN_RULES, brokenSources } from "../campaign/support/broken_rules.ts";

for (const { name, replacements } of BROKEN_RULES) {
  Deno.test(`it can still be tried whether the campaign sees when ${name}`, async () => {
    const files = (await brokenSources(replacements)).map(({ file }) => file);
    assert.deepEqual(files.toSorted(), [...new Set(replacements.map(({ file }) => file))].toSorted());
  });
}
