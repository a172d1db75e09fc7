import assert from "node:assert/strict";
import { KeyedMutex } from "../../../lib/model/mutex.ts";
import { Queue } from "../../../lib/model/queue.ts";

Deno.test("a queue gives its items in order, to who waits too, and ends after them when it is closed", async () => {
  const queue = new Queue<number>();
  const seen: number[] = [];
  const reading = (async () => {
    for await (const item of queue) seen.push(item);
  })();
  queue.push(1);
  queue.push(2);
  await Promise.resolve();
  queue.push(3);
  queue.close();
  queue.push(4);
  await reading;
  assert.deepEqual(seen, [1, 2, 3]);
});

Deno.test("a queue knows how many items wait, those that its consumer has been woken for included", async () => {
  const queue = new Queue<string>();
  for (const item of ["a", "b", "c"]) queue.push(item);
  assert.equal(queue.size, 3);
  const items = queue[Symbol.asyncIterator]();
  await items.next();
  assert.equal(queue.size, 2);
  queue.push("d");
  assert.equal(queue.size, 3);
  queue.close();
  while (!(await items.next()).done);
  assert.equal(queue.size, 0);
});

Deno.test("tasks of one key run one after the other, also when one fails; those of others do not wait", async () => {
  const locks = new KeyedMutex();
  const steps: string[] = [];
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const first = locks.run("a", async () => {
    steps.push("a1 begins");
    await gate;
    throw new Error("a1 failed");
  });
  const second = locks.run("a", () => Promise.resolve(void steps.push("a2")));
  await locks.run("b", () => Promise.resolve(void steps.push("b")));
  assert.deepEqual(steps, ["a1 begins", "b"]);
  open();
  await assert.rejects(first, /a1 failed/);
  await second;
  assert.deepEqual(steps, ["a1 begins", "b", "a2"]);
});
