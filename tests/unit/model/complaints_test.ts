import assert from "node:assert/strict";
import { Complaints } from "../../../lib/model/complaints.ts";
import { Health } from "../../../lib/model/health.ts";
import { type LogLine, recordingLogger } from "../../support/api_fixture.ts";
import { VirtualTime } from "../../support/virtual_time.ts";

const NONSENSE = { from: "virt3", does: "sends nonsense", hint: "is it of another version?" };

function fixture() {
  const health = new Health();
  const time = new VirtualTime();
  const lines: LogLine[] = [];
  const log = recordingLogger(lines);
  return { health, time, lines, complaints: new Complaints({ health, log, timers: time }) };
}

Deno.test("a complaint is a line at once, one a minute with the count, and a condition until a minute after the last", async () => {
  const { health, time, lines, complaints } = fixture();
  using _ = complaints;
  for (let second = 0; second < 150; second++) {
    for (let at = 0; at < 200; at++) complaints.note(NONSENSE, `record ${second} ${at}`);
    await time.pass(1000);
  }
  assert.deepEqual(lines.map(({ level, fields }) => [level, fields["count"]]), [
    ["warn", 1],
    ["warn", 12_000],
    [
      "warn",
      12_000,
    ],
  ]);
  assert.deepEqual(health.conditions.map(({ reason, blocking }) => [reason, blocking]), [
    ["virt3 sends nonsense (12000 in the last minute): is it of another version?", false],
  ]);
  await time.pass(120_000);
  assert.deepEqual(health.conditions, []);
  assert.equal(lines.at(-1)?.level, "info");
  assert.equal(lines.length, 5);
});

Deno.test("complaints about ever new senders are bounded", async () => {
  const { health, time, lines, complaints } = fixture();
  using _ = complaints;
  for (let number = 0; number < 10_000; number++) {
    complaints.note({ ...NONSENSE, from: `invented${number}` }, "x".repeat(100_000));
  }
  assert.ok(health.conditions.length <= 51 && lines.length <= 51);
  assert.match(health.conditions.at(-1)?.reason ?? "", /^somebody else sends nonsense \(9950 /);
  assert.ok(lines.every(({ fields }) => String(fields["reason"]).length <= 300));
  await time.pass(180_000);
  assert.deepEqual(health.conditions, []);
});
