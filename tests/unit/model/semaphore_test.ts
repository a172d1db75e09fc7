import assert from "node:assert/strict";
import { Semaphore } from "../../../lib/model/semaphore.ts";

/** Tasks that end when they are told to, and what has begun of them. */
function tasks() {
  const begun: number[] = [];
  const gates = new Map<number, PromiseWithResolvers<void>>();
  return {
    begun,
    task: (id: number) => async () => {
      begun.push(id);
      const gate = Promise.withResolvers<void>();
      gates.set(id, gate);
      await gate.promise;
    },
    end: (id: number) => gates.get(id)?.resolve(),
    fail: (id: number) => gates.get(id)?.reject(new Error(`task ${id}`)),
  };
}

/** Lets everything happen that can. */
const settle = () => new Promise((wake) => setTimeout(wake, 0));

Deno.test("so many tasks run at a time, the others in order when one ends or fails", async () => {
  const semaphore = new Semaphore(2);
  const { begun, task, end, fail } = tasks();
  const running = [1, 2, 3, 4].map((id) => semaphore.run(task(id)));
  await settle();
  assert.deepEqual(begun, [1, 2]);
  end(2);
  await settle();
  assert.deepEqual(begun, [1, 2, 3]);
  fail(1);
  await assert.rejects(running[0] ?? Promise.resolve(), /task 1/);
  await settle();
  assert.deepEqual(begun, [1, 2, 3, 4]);
  end(3);
  end(4);
  await Promise.all(running.slice(1));
});

Deno.test("who gives up while waiting never runs, and takes nobody's place", async () => {
  const semaphore = new Semaphore(1);
  const { begun, task, end } = tasks();
  const first = semaphore.run(task(1));
  const giveUp = new AbortController();
  const second = semaphore.run(task(2), giveUp.signal);
  const third = semaphore.run(task(3));
  await settle();
  giveUp.abort(new Error("enough"));
  await assert.rejects(second, /enough/);
  end(1);
  await first;
  await settle();
  end(3);
  await third;
  assert.deepEqual(begun, [1, 3]);
  await assert.rejects(semaphore.run(task(4), AbortSignal.abort(new Error("too late"))), /too late/);
});
