import assert from "node:assert/strict";
import { VirtxError } from "../../../lib/model/error.ts";
import { KeyedMutex } from "../../../lib/model/mutex.ts";
import { VmTurns } from "../../../lib/vm/turns.ts";
import { refusal } from "../../support/libvirt_connections.ts";

const VM = "web1";

/** Turns, the first of which is taken by an update that ends when it is told to. */
function taken(timeoutMs: number, what = 'update VM "web1"') {
  const turns = new VmTurns(new KeyedMutex(), timeoutMs);
  const hold = Promise.withResolvers<void>();
  const holding = turns.run(VM, () => hold.promise, { what });
  return { turns, end: hold.resolve, holding };
}

Deno.test("who waits for a VM in vain is told for what, and leaves the others' order as it was", async () => {
  const { turns, end, holding } = taken(50);
  const late = refusal(turns.run(VM, () => assert.fail("its turn is over"), { what: 'boot VM "web1"' }));
  const error = await late;
  assert.equal(error.kind, "unavailable");
  assert.equal(error.retryAfterS, 10);
  assert.match(
    error.message,
    /^Cannot boot VM "web1": another operation \(update VM "web1"\) has been under way for \d+ s$/,
  );
  const order: number[] = [];
  const waiting = [1, 2].map((number) =>
    turns.run(VM, () => Promise.resolve(void order.push(number)), { what: "pause it" })
  );
  end();
  await Promise.all([holding, ...waiting]);
  assert.deepEqual(order, [1, 2]);
});

Deno.test("an operation that is cancelled while it waits is not carried out", async () => {
  const { turns, end, holding } = taken(10_000);
  const cancel = new AbortController();
  const waiting = refusal(
    turns.run(VM, () => assert.fail("it was cancelled"), { what: "update it", signal: cancel.signal }),
  );
  cancel.abort(new VirtxError("cancelled", "it was cancelled"));
  const error = await waiting;
  assert.equal(error.kind, "cancelled");
  assert.equal(error.message, "Cannot update it: it was cancelled");
  end();
  await holding;
});

Deno.test("a power-off by force fails what is done with the guest, and what waits to be done; a deletion goes on", async () => {
  const { turns, end, holding } = taken(10_000, 'delete VM "web1"');
  const boot = refusal(turns.run(VM, () => assert.fail("it boots"), { what: "boot it", onGuest: true }));
  let deleted = false;
  const deletion = turns.run(VM, () => Promise.resolve(void (deleted = true)), { what: "delete it" });
  const elsewhere = turns.run("web2", () => Promise.resolve("untouched"), { what: "boot it", onGuest: true });
  turns.cutOff(VM, Promise.resolve());
  const error = await boot;
  assert.equal(error.kind, "conflict");
  assert.equal(error.message, "Cannot boot it: it was powered off by force meanwhile");
  assert.equal(await elsewhere, "untouched");
  end();
  await Promise.all([holding, deletion]);
  assert.ok(deleted);

  const pause = refusal(turns.run(VM, async () => {
    turns.cutOff(VM, Promise.resolve());
    await Promise.reject(new Error("Unable to read from monitor"));
  }, { what: "pause it", onGuest: true }));
  assert.equal((await pause).message, "Cannot pause it: it was powered off by force meanwhile");
});

Deno.test("a power-off that fails has no part in how other operations end", async () => {
  const turns = new VmTurns(new KeyedMutex(), 10_000);
  const away = new VirtxError("unavailable", "libvirt is away");
  const pause = refusal(turns.run(VM, async () => {
    turns.cutOff(VM, Promise.reject(away));
    await Promise.reject(away);
  }, { what: "pause it", onGuest: true }));
  const resume = turns.run(VM, () => Promise.resolve("resumed"), { what: "resume it", onGuest: true });
  assert.equal(await pause, away);
  assert.equal(await resume, "resumed");
});
