import assert from "node:assert/strict";
import { KeyedMutex, Mutex } from "../../../lib/model/mutex.ts";

Deno.test("who gives up its wait for a lock has the signal's reason, and those behind have their turn in order", async () => {
  const mutex = new Mutex();
  const first = await mutex.lock();
  const giveUp = new AbortController();
  const order: string[] = [];
  const second = mutex.run(() => Promise.resolve(order.push("second")), { signal: giveUp.signal });
  const third = mutex.run(() => Promise.resolve(order.push("third")));
  giveUp.abort(new Error("enough"));
  await assert.rejects(second, /^Error: enough$/);
  assert.deepEqual(order, []); // the first holds it still
  first[Symbol.dispose]();
  await third;
  assert.deepEqual(order, ["third"]);
  await assert.rejects(mutex.lock({ signal: giveUp.signal }), /enough/);
  (await mutex.lock())[Symbol.dispose]();
});

Deno.test("locks of one key take turns, those of others do not wait", async () => {
  const locks = new KeyedMutex();
  const hold = Promise.withResolvers<void>();
  const order: string[] = [];
  const held = locks.run("a", () => hold.promise);
  const waiting = locks.run("a", () => Promise.resolve(void order.push("a")));
  await locks.run("b", () => Promise.resolve(void order.push("b")));
  hold.resolve();
  await Promise.all([held, waiting]);
  assert.deepEqual(order, ["b", "a"]);
});
