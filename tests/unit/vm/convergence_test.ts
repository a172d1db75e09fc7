import assert from "node:assert/strict";
import type { DomainJob } from "../../../lib/libvirt/job.ts";
import type { ConvergenceMeasure } from "../../../lib/model/vm.ts";
import { Convergence } from "../../../lib/vm/convergence.ts";

const MIB = 2 ** 20;

/** A pass over memory after which so many MiB are left, sent at 100 MiB/s. */
function pass(iteration: number, remainingMiB: number, throttle?: number): DomainJob {
  return {
    type: 2,
    operation: 5,
    timeElapsedMs: undefined,
    timeRemainingMs: undefined,
    dataTotal: undefined,
    dataProcessed: undefined,
    dataRemaining: undefined,
    memoryTotal: undefined,
    memoryProcessed: undefined,
    memoryRemaining: remainingMiB * MIB,
    memoryRate: 100 * MIB,
    memoryDirtyRate: 200 * MIB,
    iteration,
    postCopyRequests: undefined,
    downtimeMs: undefined,
    setupMs: undefined,
    autoConvergeThrottle: throttle,
    error: undefined,
  };
}

/** What is done after each pass from the first on, none of which comes to an end. */
function actions(
  measures: ConvergenceMeasure[],
  passes: number,
  throttle: (pass: number) => number = () => 0,
): string[] {
  const convergence = new Convergence({ deadline: 0, convergence: measures });
  return Array.from({ length: passes }, (_, index) => {
    const action = convergence.next(pass(index + 1, 500, throttle(index + 1)), index * 1_000);
    return action.kind === "downtime" ? `${action.ms} ms` : action.kind;
  });
}

Deno.test("without measures a guest that does not converge is left alone", () => {
  assert.deepEqual(new Set(actions([], 40)), new Set(["none"]));
});

Deno.test("downtime: the limit is doubled after each pass from the third on, up to 4.8 s", () => {
  const expected = ["none", "none", "600 ms", "1200 ms", "2400 ms", "4800 ms", "none", "none"];
  assert.deepEqual(actions(["downtime"], 8), expected);
});

Deno.test("downtime: as soon as what is left fits into the limit, nothing more is done", () => {
  const convergence = new Convergence({ deadline: 0, convergence: ["downtime", "giveup"] });
  assert.deepEqual(convergence.next(pass(3, 50), 0), { kind: "downtime", ms: 600 });
  assert.deepEqual(convergence.next(pass(4, 60), 0), { kind: "none" });
  assert.equal(convergence.downtimeMs, 600);
});

Deno.test("one pass is acted upon once, however often it is looked at", () => {
  const convergence = new Convergence({ deadline: 0, convergence: ["downtime"] });
  assert.equal(convergence.next(pass(3, 500), 0).kind, "downtime");
  assert.equal(convergence.next(pass(3, 500), 0).kind, "none");
});

Deno.test("giveup comes last, and says how fast the guest writes", () => {
  assert.deepEqual(actions(["giveup"], 3), ["none", "none", "giveup"]);
  assert.deepEqual(actions(["giveup", "downtime"], 7).slice(5), ["4800 ms", "giveup"]);
  const action = new Convergence({ deadline: 0, convergence: ["giveup"] }).next(pass(3, 500), 0);
  assert.ok(action.kind === "giveup");
  assert.match(action.reason, /500 MiB left, 200 MiB\/s written, 100 MiB\/s sent/);
});

Deno.test("throttle: QEMU is given time to slow the guest down, or until it cannot slow it down more", () => {
  assert.equal(actions(["throttle", "giveup"], 40).indexOf("giveup"), 14);
  assert.equal(actions(["throttle", "giveup"], 40, (n) => n > 5 ? 99 : 20).indexOf("giveup"), 5);
});

Deno.test("post-copy comes before giving up, and once it has begun nothing else is done", () => {
  const all = actions(["giveup", "postcopy", "throttle", "downtime"], 40);
  assert.equal(all.filter((action) => action === "postcopy").length, 1);
  assert.ok(!all.includes("giveup"));
  assert.deepEqual(all.slice(all.indexOf("postcopy") + 1).filter((action) => action !== "none"), []);
});

Deno.test("a deadline that has passed ends it: by post-copy where that is allowed, else by giving up", () => {
  const strict = new Convergence({ deadline: 10, convergence: ["downtime"] });
  assert.equal(strict.next(pass(1, 500), 9_999).kind, "none");
  const action = strict.next(pass(1, 500), 10_000);
  assert.ok(action.kind === "giveup");
  assert.match(action.reason, /taken the 10 s/);
  const postcopy = new Convergence({ deadline: 10, convergence: ["postcopy", "throttle"] });
  assert.equal(postcopy.next(pass(1, 500), 10_000).kind, "postcopy");
  assert.equal(postcopy.next(pass(9, 500), 60_000).kind, "none");
});
