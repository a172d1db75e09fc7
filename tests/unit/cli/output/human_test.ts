import assert from "node:assert/strict";
import {
  age,
  amount,
  counted,
  frequency,
  instant,
  percent,
  rate,
  span,
} from "../../../../lib/cli/output/human.ts";
import { parseDuration } from "../../../../lib/cli/output/duration.ts";
import { VirtxError } from "../../../../lib/model/error.ts";

Deno.test("times are as short as they can be told", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [59_999, "59s"],
    [60_000, "1m"],
    [75_000, "1m15s"],
    [11 * 60_000 + 30_000, "11m"],
    [3_600_000, "1h"],
    [3_600_000 + 60_000 * 5, "1h5m"],
    [86_400_000 + 2 * 3_600_000, "1d2h"],
    [40 * 86_400_000, "40d"],
  ];
  for (const [ms, text] of cases) assert.equal(span(ms), text);
  assert.equal(age(1_000, 4_000), "3s");
  assert.equal(age(9_000, 4_000), "0s", "a clock that is ahead");
  assert.equal(age(0, 4_000), "-");
  assert.equal(instant(0), "-");
  assert.equal(instant(Date.UTC(2026, 0, 2, 3, 4, 5, 678)), "2026-01-02T03:04:05Z");
});

Deno.test("amounts have three digits that count, and the unit that suits", () => {
  assert.deepEqual([0, 5, 512, 1023, 1024, 1536, 16_384, 1_048_576, 3_500_000].map(amount), [
    "0 MiB",
    "5 MiB",
    "512 MiB",
    "1023 MiB",
    "1 GiB",
    "1.5 GiB",
    "16 GiB",
    "1 TiB",
    "3.34 TiB",
  ]);
  assert.equal(amount(-2048), "-2 GiB");
  assert.deepEqual([0, 12, 1536].map(rate), ["0 KiB/s", "12 KiB/s", "1.5 MiB/s"]);
  assert.deepEqual([800, 2400].map(frequency), ["800 MHz", "2.4 GHz"]);
  assert.deepEqual([percent(1, 3), percent(1, 0)], ["33 %", "-"]);
  assert.deepEqual([counted(1, "VM"), counted(0, "VM")], ["1 VM", "0 VMs"]);
});

Deno.test("lengths of time are read in units, and a number alone is seconds", () => {
  assert.deepEqual(["30", "30s", "1h30m", "500ms", "2d"].map((text) => parseDuration(text, "--timeout")), [
    30_000,
    30_000,
    5_400_000,
    500,
    172_800_000,
  ]);
  for (const text of ["", "s", "1x", "-1", "1.5h", "1 h"]) {
    assert.throws(
      () => parseDuration(text, "--timeout"),
      (error) =>
        error instanceof VirtxError && error.kind === "invalid" &&
        error.message.startsWith("--timeout must be a time"),
    );
  }
});
