import assert from "node:assert/strict";
import { StorageRoom } from "../../../lib/storage/room.ts";

Deno.test("how much room there is is asked for once at a time, and again when it is old", async () => {
  let now = 1_000;
  let asked = 0;
  const room = new StorageRoom(() => Promise.resolve(100 * ++asked), () => now);
  assert.deepEqual(await Promise.all([room.mib(), room.mib()]), [100, 100]);
  now += 4_000;
  assert.equal(await room.mib(), 100);
  now += 4_000;
  assert.equal(await room.mib(), 200);
});

Deno.test("storage that does not answer holds nobody up for long, is asked once, and is not known", async () => {
  const answer = Promise.withResolvers<number>();
  let asked = 0;
  const room = new StorageRoom(() => {
    asked++;
    return answer.promise;
  }, Date.now);
  assert.deepEqual(await Promise.all([room.mib(), room.mib()]), [undefined, undefined]);
  assert.equal(await room.mib(), undefined);
  assert.equal(asked, 1);
  answer.resolve(7);
  assert.equal(await room.mib(), 7);
});

Deno.test("storage that fails is not known, which is no failure of whoever asks", async () => {
  const room = new StorageRoom(() => Promise.reject(new Error("stale file handle")), Date.now);
  assert.equal(await room.mib(), undefined);
});
