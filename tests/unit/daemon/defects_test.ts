import assert from "node:assert/strict";
import { Defects } from "../../../lib/daemon/defects.ts";
import { Health } from "../../../lib/model/health.ts";

/** On a clock that the test turns. */
function counter() {
  const health = new Health();
  let now = Date.UTC(2026, 0, 2);
  const defects = new Defects(health, () => now);
  return {
    defects,
    pass: (ms: number) => now += ms,
    reasons: () => health.conditions.map(({ reason, blocking }) => `${blocking} ${reason}`),
  };
}

Deno.test("each defect counts once, however many places tell of it", () => {
  const { defects, reasons } = counter();
  assert.deepEqual(reasons(), []);
  const error = new TypeError("it is undefined");
  assert.ok(defects.note("cannot settle", error));
  assert.ok(defects.note("request failed", error));
  assert.deepEqual(reasons(), [
    "false 1 unexpected error since 2026-01-02T00:00:00.000Z: restart virtxd, and report them with its log",
  ]);
  defects.note("cannot settle", new TypeError("it is undefined"));
  assert.match(String(reasons()), /^false 2 unexpected errors since 2026-01-02T00:00:00/);
});

Deno.test("the same defect is worth a line once a minute, another at once", () => {
  const { defects, pass, reasons } = counter();
  const again = () => defects.note("cannot settle", "broken");
  assert.ok(again());
  pass(59_999);
  assert.ok(!again());
  assert.ok(defects.note("cannot settle", "broken in another way"));
  pass(1);
  assert.ok(again());
  assert.ok(!again());
  assert.match(String(reasons()), /^false 5 unexpected errors/);
});

Deno.test("ten that nobody caught are too many within a minute, but not over a longer time", () => {
  const { defects, pass } = counter();
  for (let n = 0; n < 100; n++) {
    assert.ok(!defects.escaped());
    pass(7_000);
  }
  pass(60_000);
  for (let n = 1; n < 10; n++) assert.ok(!defects.escaped());
  assert.ok(defects.escaped());
});
