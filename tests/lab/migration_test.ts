import assert from "node:assert/strict";
import { MigrationState, MigrationType, Runstate } from "../../lib/model/enums.ts";
import type { MigrationInfo, MigrationVerdict, VmMigrateOptions } from "../../lib/model/vm.ts";
import { diskAt } from "../support/shared_storage.ts";
import { SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { MigrationCluster, Traveller } from "./support/migration_cluster.ts";

/** Whether there is time for more of the same. */
const LONG = Deno.env.has("VIRTX_TEST_LONG");
/** The guest's memory, MiB. */
const MEMORY = 128;

Deno.test("a VM migrates, asked of any host, and goes on where it is", async (t) => {
  await using up = await MigrationCluster.up(3);
  const { cluster } = up;
  const web = await Traveller.create(cluster, "web");
  await web.boot();
  const path = `/vms/${web.vm}/runstate/migrate`;

  await t.step("a dry run tells of each host, and changes nothing", async () => {
    const dryRun = (to: number | undefined) =>
      cluster.daemon(3).json<MigrationVerdict[]>("POST", `${path}?dry_run=true`, web.request(to));
    const all = await dryRun(undefined);
    // How busy the machine is that the lab has is not the test's matter.
    const told = all.map(({ fits, obstacles }) => [fits, obstacles.filter(({ soft }) => !soft)]);
    assert.deepEqual(told, [[true, []], [true, []]]);
    assert.deepEqual(all.map(({ host }) => host).sort(), [cluster.uuid(2), cluster.uuid(3)].sort());
    const [itself] = await dryRun(1);
    assert.deepEqual(itself?.obstacles.map(({ code }) => code), ["same"]);
    assert.equal((await web.info(2)).state, MigrationState.none);
    await web.restsOn(1);
  });

  await t.step("live, while it writes memory; the progress is told by any host", async () => {
    await web.dirty(1, [16, 20]);
    const aged = await web.answersOn(1);
    await web.begin(2, { bandwidth: 48, convergence: ["downtime"] }, 3);
    const { seen, end } = await web.followed(3);
    makesSense(seen);
    assert.equal(end.state, MigrationState.completed);
    for (const { source, target, ts } of seen) {
      assert.deepEqual([source, target, ts], [cluster.uuid(1), cluster.uuid(2), end.ts]);
    }
    await web.restsOn(2);
    assert.deepEqual(await Promise.all(cluster.numbers.map((by) => web.info(by))), [end, end, end]);
    assert.ok(await web.answersOn(2) > aged, "it has booted anew");
    await assert.rejects(web.abort(), { kind: "conflict" });
    await web.dirty(2, "off");
  });

  await t.step("to the best host, if none is named, over several connections", async () => {
    const [best] = await cluster.daemon(1).json<MigrationVerdict[]>(
      "POST",
      `${path}?dry_run=true`,
      web.request(undefined),
    );
    await web.begin(undefined, { connections: 2 });
    const info = await web.ended();
    assert.deepEqual([info.state, info.source], [MigrationState.completed, cluster.uuid(2)]);
    assert.notEqual(info.target, cluster.uuid(2));
    assert.ok(best?.fits);
    await web.restsOn(await web.whereabouts());
  });

  await t.step("paused it stays paused", async () => {
    const from = await web.whereabouts();
    await cluster.daemon(1).json("POST", `/vms/${web.vm}/runstate/pause`);
    await web.begin(from % 3 + 1);
    assert.equal((await web.ended()).state, MigrationState.completed);
    await web.restsOn(from % 3 + 1, Runstate.paused);
    await cluster.daemon(1).json("DELETE", `/vms/${web.vm}/runstate/pause`);
    await web.answersOn(from % 3 + 1);
  });

  await t.step("ten times in a row, or fifty", async () => {
    const times = LONG ? 50 : 10;
    const took: number[] = [];
    let at = await web.whereabouts();
    const aged = await web.answersOn(at);
    for (let n = 0; n < times; n++) {
      const from = at;
      at = from % 2 + 1; // between 1 and 2, once it is on one of them
      const by = n % 3 + 1;
      await web.begin(at, {}, by);
      const info = await web.ended(by);
      assert.deepEqual([info.state, info.reason], [MigrationState.completed, ""]);
      took.push(info.te - info.ts);
    }
    await web.restsOn(at);
    assert.ok(await web.answersOn(at) > aged, "it has booted anew");
    took.sort((a, b) => a - b);
    if (LONG) {
      const told = `${times} migrations: ${took[0]} to ${took.at(-1)} ms, in the middle ${
        took[times >> 1]
      } ms\n`;
      await Deno.stderr.write(new TextEncoder().encode(told));
    }
  });

  await t.step("cold, when it is off; and nothing that does not fit its state", async () => {
    const from = await web.whereabouts();
    const to = from % 3 + 1;
    const cold = { migration_type: MigrationType.cold };
    await assert.rejects(web.begin(to, cold), /it is running, not poweroff or crashed/);
    await web.powerOff(to);
    await assert.rejects(web.begin(to), /it is poweroff, not running or paused/);
    const leftover = cluster.daemon(from).json("DELETE", `/cluster/migrations/${web.vm}`);
    await assert.rejects(leftover, /no host has a record of a migration/); // it is none
    await web.begin(to, cold);
    const info = await web.ended();
    assert.deepEqual([info.state, info.source, info.target], [
      MigrationState.completed,
      cluster.uuid(from),
      cluster.uuid(to),
    ]);
    await web.restsOn(to, Runstate.poweroff);
    await web.begin(undefined, cold, to);
    await web.ended();
    await web.boot();
    await web.restsOn(await web.whereabouts());
  });
});

/** What is told of a migration while it lasts goes one way, and fits together. */
function makesSense(seen: readonly MigrationInfo[]): void {
  const { setup, active, completed } = MigrationState;
  const order: readonly MigrationState[] = [setup, active, completed];
  const states = seen.map(({ state }) => order.indexOf(state));
  assert.deepEqual(states, states.toSorted(), `states: ${[...new Set(seen.map(({ state }) => state))]}`);
  const moving = seen.filter(({ state }) => state === active).map(({ progress }) => progress);
  assert.ok(moving.some(({ transferred }) => transferred > 0));
  const sent = moving.flatMap(({ total, transferred }) => total > 0 ? [transferred] : []);
  assert.deepEqual(sent, sent.toSorted((a, b) => a - b));
  for (const progress of moving) {
    const { total, remaining, rate, dirtyrate, timeleft, throttle, downtime } = progress;
    const told = JSON.stringify(progress);
    assert.ok(total === 0 || (total >= MEMORY && total < 2 * MEMORY), told);
    assert.ok(remaining <= total && remaining >= 0, told);
    assert.ok(rate >= 0 && rate < 1_000 && dirtyrate >= 0 && timeleft >= 0 && downtime >= 0, told);
    assert.equal(throttle, 0, told);
  }
}

Deno.test("a migration ends as it was agreed: aborted, or by what may be done about a guest that writes too fast", async (t) => {
  await using up = await MigrationCluster.up(2);
  const { cluster } = up;
  const web = await Traveller.create(cluster, "web");
  await web.boot();
  let at = 1;
  const other = () => 3 - at;
  /** Migrates to the other host; how that ended, and what was told meanwhile. */
  const migrate = async (options: Partial<VmMigrateOptions>) => {
    await web.begin(other(), { bandwidth: 16, ...options }, other());
    return await web.followed(other());
  };
  const arrives = async (end: MigrationInfo) => {
    assert.deepEqual([end.state, end.reason], [MigrationState.completed, ""]);
    at = other();
    await web.restsOn(at);
    await web.answersOn(at);
  };
  const stays = async (end: MigrationInfo, state: MigrationState, reason: RegExp) => {
    assert.equal(end.state, state, end.reason);
    assert.match(end.reason, reason);
    await web.restsOn(at);
    await web.answersOn(at);
  };

  await t.step("aborted at once, or on its way: it stays where it was", async () => {
    for (const mib of [0, 10]) {
      await web.begin(other(), { bandwidth: 8 });
      await web.sent(mib);
      await web.abort(other());
      await stays(await web.info(), MigrationState.cancelled, /^aborted on request$/);
    }
    await assert.rejects(web.abort(), { kind: "conflict" });
  });

  await web.dirty(at, [12, 200]);
  await t.step("given up, if nothing else may be done", async () => {
    const { end } = await migrate({ convergence: ["giveup"] });
    await stays(
      end,
      MigrationState.failed,
      /^given up: the guest writes faster than its memory is sent: pass \d/,
    );
  });
  await t.step("given up when the time is over", async () => {
    const { end } = await migrate({ convergence: ["downtime"], deadline: 2 });
    await stays(end, MigrationState.failed, /^given up: it has taken the 2 s that it may: /);
    assert.ok(end.te - end.ts < 10_000, `${end.te - end.ts} ms`);
  });
  await t.step("let stand still for longer", async () => {
    // Slower, so that a guest on a busy machine writes too fast as well.
    const { seen, end } = await migrate({ convergence: ["downtime"], bandwidth: 8 });
    await arrives(end);
    const limits = seen.map(({ progress }) => progress.downtimelimit).filter((limit) => limit > 0);
    assert.ok(limits.some((limit) => limit >= 600), `${limits}`);
    assert.deepEqual(limits, limits.toSorted((a, b) => a - b));
  });
  await t.step("slowed down", async () => {
    const { seen, end } = await migrate({ convergence: ["throttle"] });
    await arrives(end);
    assert.ok(seen.some(({ progress }) => progress.throttle > 0));
  });
  await t.step("let run at the target before its memory is there", async () => {
    const { end } = await migrate({ convergence: ["postcopy"] });
    await arrives(end);
  });
  await t.step("likewise when the time is over", async () => {
    const { end } = await migrate({ convergence: ["throttle", "postcopy"], deadline: 2 });
    await arrives(end);
  });
});

Deno.test("a VM with a disk that cannot be identified is not migrated, for that reason, and no daemon ends of it", async (t) => {
  await using up = await MigrationCluster.up(2);
  const { cluster } = up;
  const [daemon, host] = [cluster.daemon(1), cluster.host(1)];
  const osdisk = { ...SMALL_VMDEF.osdisk, ...diskAt("/vms/ds/gone/os.qcow2", { size: 8 }) };
  const gone = await daemon.json<string>("POST", "/vms", {
    vmdef: { ...SMALL_VMDEF, name: "gone", osdisk },
    host: cluster.uuid(1),
  });
  await cluster.settled(); // host 2 is to know of it
  await host.exec(["rm", "/vms/ds/gone/os.qcow2"]);
  const cases = [["it is missing", "os.qcow2"], ["it is an external snapshot", "os.snap1"], [
    "it is on another path",
    "../../../srv/os.qcow2",
  ]] as const;
  for (const [name, path] of cases) {
    await t.step(name, async () => {
      const redefine =
        `virsh dumpxml --inactive ${gone} | sed "s#/os[^']*'#/${path}'#" >gone.xml && virsh define gone.xml`;
      await host.exec(["bash", "-c", `cd /tmp && ${redefine}`]);
      const cold = { host: "", migration_type: MigrationType.cold };
      for (let times = 0; times < 10; times++) {
        for (const [by, query] of [[1, "?dry_run=true"], [2, "?dry_run=true"], [1, ""]] as const) {
          const asked = cluster.daemon(by).json("POST", `/vms/${gone}/runstate/migrate${query}`, cold);
          await assert.rejects(asked, /Cannot use disk "/);
        }
      }
    });
  }
  for (const by of cluster.numbers) {
    const { degraded } = await cluster.daemon(by).json<{ degraded: string[] }>("GET", "/readyz");
    assert.deepEqual(degraded, []);
  }
});
