import assert from "node:assert/strict";
import { Coalescer } from "../../../lib/host/coalescer.ts";
import { inBackground } from "../../../lib/model/background.ts";

/** A task whose runs end when the test says so. */
function controlled() {
  const runs: { key: string; end: PromiseWithResolvers<void> }[] = [];
  const coalescer = new Coalescer<string>((key) => {
    const end = Promise.withResolvers<void>();
    runs.push({ key, end });
    return end.promise;
  });
  return { runs, coalescer };
}

const settle = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("callers that come during a run share one later run", async () => {
  const { runs, coalescer } = controlled();
  const first = coalescer.run("a");
  const second = coalescer.run("a");
  const third = coalescer.run("a");
  assert.equal(runs.length, 1);
  runs[0]?.end.resolve();
  await first;
  await settle();
  assert.equal(runs.length, 2);
  const fourth = coalescer.run("a"); // the second run has begun: it needs a third
  runs[1]?.end.resolve();
  await Promise.all([second, third]);
  await settle();
  assert.equal(runs.length, 3);
  runs[2]?.end.resolve();
  await fourth;
});

Deno.test("keys do not wait for each other", () => {
  const { runs, coalescer } = controlled();
  inBackground(coalescer.run("a"));
  inBackground(coalescer.run("b"));
  assert.deepEqual(runs.map((run) => run.key), ["a", "b"]);
});

Deno.test("a run that fails fails its callers only, and the next one runs", async () => {
  const { runs, coalescer } = controlled();
  const first = coalescer.run("a");
  const second = coalescer.run("a");
  runs[0]?.end.reject(new Error("first"));
  await assert.rejects(first, /first/);
  await settle();
  runs[1]?.end.resolve();
  await second;
});

Deno.test("idle waits for all runs, planned ones too", async () => {
  const { runs, coalescer } = controlled();
  let idle = false;
  inBackground(coalescer.run("a"));
  inBackground(coalescer.run("a"));
  const waiting = coalescer.idle().then(() => idle = true);
  runs[0]?.end.resolve();
  await settle();
  assert.equal(idle, false);
  runs[1]?.end.resolve();
  await waiting;
  await new Coalescer(() => Promise.resolve()).idle();
});
