import assert from "node:assert/strict";
import fc from "fast-check";
import { medianRow } from "../../../scripts/bench/row.ts";
import { CallCounter } from "../../../scripts/bench/support/rpc_counter.ts";
import { percentile } from "../../../scripts/bench/support/stall.ts";
import { formatTable } from "../../../scripts/bench/support/table.ts";

const REMOTE = 0x20008086;
const KEEPALIVE = 0x6b656570;

function packet(program: number, type: number, bodyLength: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(28 + bodyLength));
  [view.byteLength, program, 1, 66, type, 7, 0].forEach((word, index) => view.setUint32(4 * index, word));
  return new Uint8Array(view.buffer);
}

Deno.test("calls are counted however the stream is cut; events, replies and keepalive are not", () => {
  const kind = fc.record({
    program: fc.constantFrom(REMOTE, KEEPALIVE),
    type: fc.constantFrom(0, 1, 2),
    bodyLength: fc.nat(60),
  });
  fc.assert(fc.property(fc.array(kind, { maxLength: 20 }), fc.integer({ min: 1, max: 40 }), (kinds, cut) => {
    const counter = new CallCounter();
    const stream = kinds.flatMap(({ program, type, bodyLength }) => [...packet(program, type, bodyLength)]);
    for (let at = 0; at < stream.length; at += cut) counter.feed(new Uint8Array(stream.slice(at, at + cut)));
    assert.equal(counter.calls, kinds.filter(({ program, type }) => program === REMOTE && type === 0).length);
  }));
});

Deno.test("the median row is one that was measured", () => {
  const rows = [5, 1, 3].map((value) => ({ name: "x", value, unit: "ms", ok: value < 4 }));
  assert.equal(medianRow(rows), rows[2]);
  assert.throws(() => medianRow([]), RangeError);
});

Deno.test("the 99th percentile leaves out one in a hundred", () => {
  const values = Array.from({ length: 200 }, (_, index) => index + 1);
  assert.equal(percentile(values, 0.99), 198);
  assert.equal(percentile(values, 0.5), 100);
  assert.equal(percentile([7], 0.99), 7);
});

Deno.test("the table is aligned, and says what was missed", () => {
  const table = formatTable([
    {
      name: "start",
      value: 1234.5,
      unit: "ms",
      comparedTo: "bare",
      comparedValue: 0.1234,
      ratio: 2,
      target: "≤ 500 ms",
      ok: false,
    },
    { name: "calls per cycle", value: 1, unit: "calls", ok: true },
  ]);
  assert.deepEqual(table.split("\n").slice(1), [
    "start            1,235 ms  bare (0.123 ms)  2.00 ×  ≤ 500 ms  MISSED",
    "calls per cycle   1 calls                                     ok",
    "",
  ]);
});
