import assert from "node:assert/strict";
import { DomainState } from "../../../lib/libvirt/constants.ts";
import { systemClock } from "../../../lib/model/clock.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { PowerOffs, type PowerOffsOptions } from "../../../lib/vm/power_off.ts";
import { refusal } from "../../support/libvirt_connections.ts";

const VM = "web1";
const requireAnswers = () => {};
const never = () => new Promise<never>(() => {});

/** Power-offs of a guest that runs, for a libvirt that answers at once; and what was done. */
function powerOffs(otherwise: Partial<PowerOffsOptions> = {}) {
  const done: string[] = [];
  const offs = new PowerOffs({
    hypervisor: {
      requireAnswers,
      state: () => Promise.resolve({ state: DomainState.running, reason: 1 }),
      destroy: (_vm, { graceful }) => Promise.resolve(void done.push(`destroy ${graceful}`)),
    },
    monitor: { refresh: () => Promise.resolve(undefined) },
    nameOf: (vm) => vm,
    isLeaving: () => false,
    cutOff: () => void done.push("cut off"),
    record: (_vm, _ts, failure) => Promise.resolve(void done.push(`record ${failure}`)),
    clock: systemClock,
    log: silentLogger,
    ...otherwise,
  });
  const check = (runstate: Runstate) => {
    if (runstate !== Runstate.running) throw new VirtxError("conflict", `it is ${runstate}`);
  };
  const run = (graceful = false, runstate: Runstate = Runstate.running) =>
    offs.run(VM, { graceful, runstate, check });
  return { offs, done, run };
}

Deno.test("a power-off cuts off what else is done, ends the guest, and is recorded", async () => {
  const { done, run } = powerOffs();
  await run();
  assert.deepEqual(done, ["destroy false", "cut off", "record undefined"]);
});

Deno.test("a power-off waits neither for a state that libvirt does not tell, nor for records and lists", async () => {
  const done: string[] = [];
  const { run } = powerOffs({
    hypervisor: { requireAnswers, state: never, destroy: () => Promise.resolve(void done.push("destroyed")) },
    monitor: { refresh: never },
    record: never,
  });
  await run();
  assert.deepEqual(done, ["destroyed"]);
  const refused = await refusal(run(false, Runstate.poweroff)); // as last heard of
  assert.equal(refused.kind, "conflict");
});

Deno.test("a guest that may go on at another host is not powered off", async () => {
  const { done, run } = powerOffs({ isLeaving: () => true });
  assert.equal((await refusal(run())).message, `it is ${Runstate.migrating}`);
  assert.deepEqual(done, []);
});

Deno.test("who asks for a power-off that is under way waits for that one; by force it is asked for beside a graceful one", async () => {
  const graceful = Promise.withResolvers<void>();
  const destroyed: boolean[] = [];
  const { offs, run } = powerOffs({
    hypervisor: {
      requireAnswers,
      state: () => Promise.resolve({ state: DomainState.running, reason: 1 }),
      destroy: async (_vm, o) => {
        destroyed.push(o.graceful);
        if (o.graceful) await graceful.promise;
      },
    },
  });
  const gentle = [run(true), run(true)];
  await run(false);
  assert.deepEqual(destroyed, [true, false]);
  assert.ok(!offs.isUnderWay(VM));
  graceful.resolve();
  await Promise.all(gentle);
  assert.deepEqual(destroyed, [true, false]);
});

Deno.test("a QEMU that hangs is not asked to end by itself; by force it is ended", async () => {
  const done: string[] = [];
  const { run } = powerOffs({
    hypervisor: {
      requireAnswers: () => {
        throw new VirtxError("unavailable", "libvirt has not answered for 12 s");
      },
      state: never,
      destroy: (_vm, { graceful }) => Promise.resolve(void done.push(`destroy ${graceful}`)),
    },
  });
  const refused = await refusal(run(true));
  assert.equal(refused.kind, "conflict");
  assert.equal(
    refused.message,
    'Cannot power off VM "web1" with force 1: libvirt has not answered for 12 s; force 2 (virtx vm kill) ends it',
  );
  await run(false);
  assert.deepEqual(done, ["destroy false"]);
});

Deno.test("a power-off that fails is recorded as that, and says why", async () => {
  const refused = new VirtxError("refused", "Failed to terminate process 7 with SIGKILL");
  const { done, run } = powerOffs({
    hypervisor: {
      requireAnswers,
      state: () => Promise.resolve({ state: DomainState.running, reason: 1 }),
      destroy: () => Promise.reject(refused),
    },
  });
  assert.equal(await refusal(run()), refused);
  assert.deepEqual(done, ["cut off", `record ${refused.message}`]);
});
