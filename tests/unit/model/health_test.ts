import assert from "node:assert/strict";
import { Health } from "../../../lib/model/health.ts";

Deno.test("a fault is new once, keeps its beginning when its words change, and is gone when cleared", () => {
  let now = 1_000;
  const health = new Health(() => now);
  assert.deepEqual(health.report("storage", { reason: "no answer for 10 s", blocking: true }), true);
  now = 2_000;
  assert.deepEqual(health.report("storage", { reason: "no answer for 11 s", blocking: true }), false);
  health.report("defects", { reason: "1 unexpected error", blocking: false });
  assert.deepEqual(health.conditions, [
    { reason: "no answer for 11 s", blocking: true, since: 1_000 },
    { reason: "1 unexpected error", blocking: false, since: 2_000 },
  ]);
  assert.deepEqual(health.clear("storage"), true);
  assert.deepEqual(health.clear("storage"), false);
  assert.deepEqual(health.conditions.length, 1);
});
