import assert from "node:assert/strict";
import { VirtxError } from "../../../lib/model/error.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { isUuid } from "../../../lib/model/uuid.ts";
import { hostOfId, newIdOfHost } from "../../../lib/model/host_id.ts";
import type { OperationControl } from "../../../lib/vm/operation_course.ts";
import { UnsettledChange } from "../../../lib/vm/unsettled_change.ts";
import { Operations, type OperationStart } from "../../../lib/vm/operations.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const HOST = numberedUuid(1000);
const VM = numberedUuid(1);
const DAY_MS = 24 * 60 * 60 * 1000;

function start(part: Partial<OperationStart> = {}): OperationStart {
  return { id: newIdOfHost(HOST), op: "VmBoot", vm: VM, ...part };
}

/** Operations in memory, under a clock that the test turns. */
function fixture() {
  let now = 1_000;
  const operations = new Operations({ host: HOST, clock: () => now, log: silentLogger });
  return { operations, pass: (ms: number) => now += ms };
}

Deno.test("an id is a UUID of version 8 that says its host, and no two are alike", () => {
  const hosts = Array.from({ length: 50 }, (_, at) => numberedUuid(1000 + at));
  const ids = hosts.map(newIdOfHost);
  assert.equal(new Set([...ids, ...hosts.map(newIdOfHost)]).size, 100);
  for (const [at, id] of ids.entries()) {
    assert.ok(isUuid(id));
    assert.match(id, /^.{14}8.{4}[89ab]/);
    assert.equal(hostOfId(id, hosts), hosts[at]);
  }
  assert.equal(hostOfId(newIdOfHost(HOST), hosts.slice(1)), undefined);
});

Deno.test("an operation runs, then has completed or failed, and says when and why", async () => {
  const { operations, pass } = fixture();
  const gate = Promise.withResolvers<string>();
  const good = operations.run(start({ op: "VmCreate" }), () => gate.promise);
  assert.deepEqual(operations.get(good.operation.id), {
    id: good.operation.id,
    op: "VmCreate",
    vm: VM,
    host: HOST,
    state: "running",
    started: 1_000,
    ended: 0,
  });
  pass(500);
  gate.resolve(VM);
  assert.equal(await good.done, VM);
  const completed = operations.get(good.operation.id);
  assert.deepEqual([completed?.state, completed?.ended, completed?.result], ["completed", 1_500, VM]);

  const libvirt = { code: 1, domain: 2, level: 2, message: "no" };
  const bad = operations.run(start(), () => Promise.reject(new VirtxError("refused", "Cannot", { libvirt })));
  await assert.rejects(bad.done, /Cannot/);
  const failed = operations.get(bad.operation.id);
  assert.equal(failed?.state, "failed");
  assert.deepEqual([failed.error?.kind, failed.error?.message, failed.error?.libvirt], [
    "refused",
    "Cannot",
    libvirt,
  ]);
});

Deno.test("one key is one execution, whether it still runs or is done", async () => {
  const { operations } = fixture();
  const gate = Promise.withResolvers<void>();
  let executions = 0;
  const work = async () => {
    executions++;
    await gate.promise;
    return executions;
  };
  const request = () => start({ key: "k", fingerprint: "f" });
  const runs = Array.from({ length: 10 }, () => operations.run(request(), work));
  gate.resolve();
  assert.deepEqual(await Promise.all(runs.map(({ done }) => done)), Array(10).fill(1));
  const again = operations.run(request(), work);
  assert.deepEqual([await again.done, again.operation.id], [1, runs[0]?.operation.id]);
  await operations.run(start({ key: "other", fingerprint: "f" }), work).done;
  await operations.run(start(), work).done;
  assert.equal(executions, 3);
});

Deno.test("a key with another request is refused and names the operation that it is of", async () => {
  const { operations } = fixture();
  const first = operations.run(start({ key: "k", fingerprint: "f" }), () => Promise.resolve(1));
  for (const _ of ["while it runs", "when it is done"]) {
    assert.throws(
      () => operations.run(start({ key: "k", fingerprint: "g" }), () => Promise.resolve(2)),
      (error) =>
        error instanceof VirtxError && error.kind === "conflict" &&
        error.message.includes(first.operation.id),
    );
    await first.done;
  }
});

Deno.test("what failed is tried again for who asks again; what was cancelled stays so", async () => {
  const kinds = [["conflict", 2], ["storage", 2], ["invalid", 2], ["unavailable", 2], [
    "cancelled",
    1,
  ]] as const;
  for (const [kind, executed] of kinds) {
    const { operations } = fixture();
    let executions = 0;
    const run = () =>
      operations.run(start({ key: "k", fingerprint: "f" }), () => {
        executions++;
        return Promise.reject(new VirtxError(kind, `Cannot: ${kind}`, { retryAfterS: 3 }));
      });
    for (const _ of [1, 2]) {
      await assert.rejects(
        run().done,
        (error) => error instanceof VirtxError && error.kind === kind && error.retryAfterS === 3,
      );
    }
    assert.equal(executions, executed, kind);
  }
});

Deno.test("an operation whose change stopped half-way ends as the change does, and its key tells how", async () => {
  for (const outcome of ["completed", "failed"] as const) {
    const { operations } = fixture();
    const end = Promise.withResolvers<unknown>();
    let executions = 0;
    const run = () =>
      operations.run(start({ key: "k", fingerprint: "f" }), () => {
        executions++;
        return Promise.reject(
          new UnsettledChange(new VirtxError("storage", "It stopped half-way"), end.promise),
        );
      });
    const first = run();
    for (const { done } of [first, run()]) await assert.rejects(done, /^VirtxError: It stopped half-way$/);
    const { id } = first.operation;
    assert.equal(operations.get(id)?.state, "running");
    if (outcome === "completed") end.resolve("the VM");
    else end.reject(new VirtxError("storage", "It was undone"));
    await end.promise.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve));
    const { state, result, error } = operations.get(id) ?? assert.fail("it is forgotten");
    assert.deepEqual([state, result ?? error?.message], [
      outcome,
      outcome === "completed" ? "the VM" : "It was undone",
    ]);
    assert.equal(executions, 1);
    if (outcome === "completed") assert.equal(await run().done, "the VM");
    else await assert.rejects(run().done, /stopped half-way/); // it is tried again
    assert.equal(executions, outcome === "completed" ? 1 : 2);
  }
});

Deno.test("operations are listed by VM and state, the latest first, and told to watchers", async () => {
  const { operations } = fixture();
  const told: string[] = [];
  const watch = operations.watch(({ op, state }) => told.push(`${op} ${state}`));
  await operations.run(start({ op: "A" }), () => Promise.resolve()).done;
  await operations.run(start({ op: "B", vm: numberedUuid(2) }), () => Promise.resolve()).done;
  await operations.run(start({ op: "C" }), () => Promise.reject(new VirtxError("refused", "x"))).done.catch(
    () => {},
  );
  watch[Symbol.dispose]();
  const gate = Promise.withResolvers<void>();
  const open = operations.run(start({ op: "D" }), () => gate.promise);
  const ops = (filter: Partial<Parameters<Operations["list"]>[0]>) =>
    operations.list({ limit: 10, ...filter }).map(({ op }) => op).join("");
  assert.equal(ops({}), "DCBA");
  assert.equal(ops({ limit: 2 }), "DC");
  assert.equal(ops({ vm: VM }), "DCA");
  assert.equal(ops({ vm: VM, state: "completed" }), "A");
  assert.equal(ops({ state: "running" }), "D");
  assert.deepEqual(told, ["A running", "A completed", "B running", "B completed", "C running", "C failed"]);
  gate.resolve();
  await open.done;
});

Deno.test("an operation is kept for a day after its end, with its key, and while it runs for ever", async () => {
  const { operations, pass } = fixture();
  const gate = Promise.withResolvers<number>();
  const ended = operations.run(start({ key: "k", fingerprint: "f" }), () => Promise.resolve(1));
  await ended.done;
  const running = operations.run(start(), () => gate.promise);
  pass(DAY_MS - 1);
  assert.ok(operations.get(ended.operation.id));
  pass(2);
  assert.equal(operations.get(ended.operation.id), undefined);
  assert.ok(operations.get(running.operation.id));
  assert.equal(await operations.run(start({ key: "k", fingerprint: "g" }), () => Promise.resolve(2)).done, 2);
  gate.resolve(1);
  await running.done;
});

Deno.test("there is a most that are kept: the oldest go, but none that runs", async () => {
  const { operations } = fixture();
  const gate = Promise.withResolvers<void>();
  const first = operations.run(start({ op: "first" }), () => gate.promise);
  for (let count = 0; count < 10_050; count++) await operations.run(start(), () => Promise.resolve()).done;
  const kept = operations.list({ limit: 20_000 });
  assert.ok(kept.length <= 10_001, String(kept.length));
  assert.equal(kept.at(-1)?.op, "first");
  gate.resolve();
  await first.done;
});

/** For operations of which nothing is known any more. */
function nothing(): Promise<unknown> {
  return Promise.reject(new VirtxError("unavailable", "virtxd ended before it was done"));
}

/** Operations in a file, which a test can open anew as the next daemon would. */
async function kept(dir: TempDir): Promise<Operations> {
  return await Operations.open({ host: HOST, clock: () => 5_000, log: silentLogger }, dir.at("operations"));
}

Deno.test("operations and keys outlast the daemon", async () => {
  await using dir = await TempDir.create();
  let id: string;
  {
    using operations = await kept(dir);
    const run = operations.run(
      start({ key: "k", fingerprint: "f", op: "VmCreate" }),
      () => Promise.resolve(VM),
    );
    await run.done;
    const failure = new VirtxError("cancelled", "Cannot", { issues: [{ field: "a", message: "b" }] });
    await operations.run(start({ key: "l", fingerprint: "f" }), () => Promise.reject(failure)).done.catch(
      () => {},
    );
    id = run.operation.id;
  }
  using operations = await kept(dir);
  await operations.settle(nothing);
  assert.equal(operations.get(id)?.result, VM);
  assert.equal(operations.get(id)?.state, "completed");
  const never = () => Promise.reject(new Error("executed again"));
  assert.equal(await operations.run(start({ key: "k", fingerprint: "f" }), never).done, VM);
  await assert.rejects(
    operations.run(start({ key: "l", fingerprint: "f" }), never).done,
    (error) => error instanceof VirtxError && error.kind === "cancelled" && error.issues.length === 1,
  );
});

Deno.test("an operation that the end of the daemon cut off is taken up: it has ended then, or goes on", async () => {
  await using dir = await TempDir.create();
  const ids = new Map<string, string>();
  {
    using operations = await kept(dir);
    for (const op of ["VmCreate", "VmBoot", "VmMigrate"]) {
      const begun = Promise.withResolvers<void>();
      const run = operations.run(start({ op, key: `key of ${op}`, fingerprint: "f" }), () => {
        begun.resolve();
        return new Promise(() => {});
      });
      ids.set(op, run.operation.id);
      await begun.promise; // by then it is on file
    }
  }
  using operations = await kept(dir);
  const told: string[] = [];
  operations.watch(({ op, state }) => told.push(`${op} ${state}`));
  const migration = Promise.withResolvers<{ host: string }>();
  await operations.settle(({ op, vm }, control) => {
    if (op === "VmBoot") return Promise.reject(new VirtxError("unavailable", "virtxd ended before"));
    if (op === "VmCreate") return Promise.resolve(vm);
    control.begun();
    return migration.promise;
  });
  const outcome = (op: string) => {
    const operation = operations.get(ids.get(op) ?? "");
    return [operation?.state, operation?.error?.message ?? operation?.result];
  };
  assert.deepEqual(outcome("VmCreate"), ["completed", VM]);
  assert.deepEqual(outcome("VmBoot"), ["failed", "virtxd ended before"]);
  assert.deepEqual(outcome("VmMigrate"), ["running", undefined]);
  const again = (op: string) =>
    operations.run<unknown>(start({ op, key: `key of ${op}`, fingerprint: "f" }), () => Promise.resolve(7))
      .done;
  const attended = again("VmMigrate");
  migration.resolve({ host: VM });
  assert.deepEqual(await attended, { host: VM });
  assert.deepEqual(outcome("VmMigrate"), ["completed", { host: VM }]);
  assert.deepEqual(told.filter((line) => line.startsWith("VmMigrate")), [
    "VmMigrate running",
    "VmMigrate completed",
  ]);
  // What the end undid can be asked for again with its key.
  assert.equal(await again("VmBoot"), 7);
});

/** Work that ends only by being cancelled. */
async function untilCancelled(control: OperationControl): Promise<never> {
  const { promise, resolve } = Promise.withResolvers<void>();
  control.signal.addEventListener("abort", () => resolve());
  control.begun();
  await promise;
  throw new VirtxError("cancelled", "Cannot create: it was cancelled");
}

Deno.test("an operation is cancelled, and has ended by the time that this is said", async () => {
  const { operations, pass } = fixture();
  const { operation: { id }, goesOn, done } = operations.run(
    start({ op: "VmCreate", key: "k", fingerprint: "f" }),
    untilCancelled,
  );
  await goesOn;
  pass(10);
  const cancelled = await operations.cancel(id);
  assert.deepEqual([cancelled.state, cancelled.ended, cancelled.error?.message], [
    "cancelled",
    1_010,
    "Cannot create: it was cancelled",
  ]);
  await assert.rejects(done, { kind: "cancelled" });
  assert.equal(operations.list({ state: "cancelled", limit: 10 }).length, 1);
  // Nor is what was cancelled at once ever begun.
  const never = operations.run(start({ op: "VmUpdate" }), () => Promise.reject(new Error("carried out")));
  assert.match((await operations.cancel(never.operation.id)).error?.message ?? "", /it was cancelled/);
  // A retry must not carry out what somebody has cancelled.
  const retried = operations.run(start({ key: "k", fingerprint: "f" }), () => Promise.resolve());
  await assert.rejects(retried.done, { kind: "cancelled" });
});

Deno.test("what cannot be cancelled, has ended, or ends otherwise meanwhile is refused with the reason", async () => {
  const { operations } = fixture();
  await assert.rejects(operations.cancel(newIdOfHost(HOST)), { kind: "not_found" });
  const gate = Promise.withResolvers<void>();
  const boot = operations.run(start({ op: "VmBoot" }), () => gate.promise);
  await assert.rejects(operations.cancel(boot.operation.id), {
    kind: "conflict",
    message: /VmBoot cannot be cancelled/,
  });
  gate.resolve();
  await boot.done;
  await assert.rejects(operations.cancel(boot.operation.id), {
    kind: "conflict",
    message: /ended already \(completed\)/,
  });

  const late = operations.run(start({ op: "VmUpdate" }), async (control) => {
    control.begun();
    await Promise.resolve();
  });
  await late.goesOn;
  await assert.rejects(operations.cancel(late.operation.id), {
    kind: "conflict",
    message: /before \(completed\)/,
  });
  const failed = operations.run(start({ op: "VmMigrate" }), async (control) => {
    control.begun();
    await Promise.resolve();
    throw new VirtxError("refused", "the link broke");
  });
  await failed.goesOn;
  await assert.rejects(operations.cancel(failed.operation.id), {
    kind: "conflict",
    message: /before \(failed: the link broke\)/,
  });
});

Deno.test("how far an operation is can be asked while it runs", async () => {
  const { operations } = fixture();
  const gate = Promise.withResolvers<void>();
  const progress = { total: 10, done: 0, rate: 0, timeleft: 0 };
  const followed = Promise.withResolvers<void>();
  const { operation: { id }, done } = operations.run(start(), async (control) => {
    control.follow(() => ({ ...progress, done: ++progress.done }));
    followed.resolve();
    await gate.promise;
    control.follow(() => Promise.reject(new Error("there is nothing any more")));
  });
  assert.equal(await operations.progress(id), undefined);
  await followed.promise;
  assert.equal((await operations.progress(id))?.done, 1);
  assert.equal((await operations.progress(id))?.done, 2);
  gate.resolve();
  await gate.promise;
  assert.equal(await operations.progress(id), undefined);
  await done;
  assert.equal(await operations.progress(id), undefined);
});

Deno.test("a file that a crash cut off anywhere, or that holds nonsense, gives what it can", async () => {
  await using dir = await TempDir.create();
  {
    using operations = await kept(dir);
    for (const op of ["A", "B"]) await operations.run(start({ op }), () => Promise.resolve(op)).done;
  }
  const path = dir.at("operations");
  const whole = await Deno.readTextFile(path);
  for (let cut = 0; cut <= whole.length; cut += 7) {
    await Deno.writeTextFile(path, `null\n{"x":1}\n${whole.slice(0, cut)}`);
    {
      using operations = await kept(dir);
      await operations.settle(nothing);
      await operations.run(start({ op: "C" }), () => Promise.resolve()).done;
    }
    using operations = await kept(dir);
    const ops = operations.list({ limit: 10 });
    assert.equal(ops[0]?.op, "C");
    assert.ok(ops.length <= 3 && ops.every(({ state }) => state !== "running"));
  }
});

Deno.test("the file does not grow for ever", async () => {
  await using dir = await TempDir.create();
  let now = 0;
  using operations = await Operations.open(
    { host: HOST, clock: () => now += DAY_MS, log: silentLogger },
    dir.at("operations"),
  );
  for (let count = 0; count < 1_500; count++) await operations.run(start(), () => Promise.resolve()).done;
  assert.ok((await Deno.readTextFile(dir.at("operations"))).split("\n").length < 1_100);
});
