import assert from "node:assert/strict";
import fc from "fast-check";
import { Ordered } from "../../../lib/cluster/ordered.ts";

const ascending = (a: number, b: number) => a - b;

function listOf(ordered: Ordered<number>, reverse = false, beyond?: number): number[] {
  const found: number[] = [];
  ordered.walk(
    (item) => {
      found.push(item);
      return true;
    },
    reverse,
    beyond === undefined ? undefined : (item) => item - beyond,
  );
  return found;
}

Deno.test("Ordered holds what a sorted array would hold, whatever comes and goes", () => {
  const change = fc.record({ add: fc.boolean(), item: fc.integer({ min: 0, max: 1500 }) });
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 3000, size: "max" }),
      fc.integer({ min: -1, max: 1501 }),
      (changes, beyond) => {
        const ordered = new Ordered(ascending);
        const reference = new Set<number>();
        for (const { add, item } of changes) {
          if (!add) ordered.delete(item);
          else if (!reference.has(item)) ordered.add(item);
          if (add) reference.add(item);
          else reference.delete(item);
        }
        const sorted = [...reference].sort(ascending);
        assert.deepEqual(listOf(ordered), sorted);
        assert.deepEqual(listOf(ordered, true), sorted.toReversed());
        assert.deepEqual(listOf(ordered, false, beyond), sorted.filter((item) => item > beyond));
        assert.deepEqual(listOf(ordered, true, beyond), sorted.filter((item) => item < beyond).toReversed());
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("Ordered stays in order across many blocks, filled from either end", () => {
  const items = Array.from({ length: 5000 }, (_, index) => index);
  for (const order of [items, items.toReversed()]) {
    const ordered = new Ordered(ascending);
    for (const item of order) ordered.add(item);
    assert.deepEqual(listOf(ordered), items);
    for (const item of order) ordered.delete(item);
    assert.deepEqual(listOf(ordered), []);
  }
});

Deno.test("Ordered ends a walk as soon as the visitor has enough", () => {
  const ordered = new Ordered(ascending);
  for (let item = 0; item < 1000; item++) ordered.add(item);
  const found: number[] = [];
  ordered.walk((item) => found.push(item) < 3, true);
  assert.deepEqual(found, [999, 998, 997]);
});
