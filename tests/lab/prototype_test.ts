import assert from "node:assert/strict";
import { MigrationState, MigrationType, Runstate } from "../../lib/model/enums.ts";
import type { MigrationVerdict } from "../../lib/model/vm.ts";
import { kill } from "../../scripts/lab/faults/processes.ts";
import { startLibvirtd } from "../../scripts/lab/services.ts";
import { until } from "../../scripts/lab/until.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { Traveller } from "./support/migration_cluster.ts";
import { PrototypeHost } from "./support/prototype_host.ts";
import { TestLab } from "./support/test_lab.ts";

/** Beside hosts 1 and 2, host 3 is one of the prototype. */
const PROTOTYPE = 3;

Deno.test("VMs migrate to a host of the prototype and back, live and cold", async (t) => {
  await using lab = await TestLab.up({ hosts: 3 });
  await using prototype = await PrototypeHost.start(lab, PROTOTYPE);
  await using cluster = await LabCluster.start(lab, { on: [1, 2] });
  const web = await Traveller.create(cluster, "web");
  await web.boot();

  /** All that every host says: ours, whose pictures settle, and the prototype's. */
  const restsOn = async (n: number, runstate: Runstate) => {
    await web.restsOn(n, runstate, 30_000);
    const expected = { host: cluster.uuid(n), runstate };
    await until("the prototype to show it there", async () => {
      const shown = await prototype.vm(web.vm);
      return shown?.host === expected.host && shown.runstate === expected.runstate || undefined;
    }, 30_000);
  };
  const dryRun = async (to: number | undefined) => {
    const path = `/vms/${web.vm}/runstate/migrate?dry_run=true`;
    return await cluster.daemon(1).json<MigrationVerdict[]>("POST", path, web.request(to));
  };

  await t.step("what its libvirt cannot tell is told by the dry run, and others are preferred", async () => {
    const [verdict] = await dryRun(PROTOTYPE);
    assert.ok(verdict);
    assert.ok(verdict.fits, JSON.stringify(verdict));
    const [told] = verdict.obstacles.filter(({ code }) => code === "prototype");
    assert.match(told?.message ?? "", /runs the prototype.*disks.*bridge "br0"/);
    assert.equal(told?.soft, true);
    const any = await dryRun(undefined);
    assert.deepEqual(any.map(({ host, fits }) => [host, fits]), [
      [cluster.uuid(2), true],
      [cluster.uuid(PROTOTYPE), true],
    ]);
  });
  await t.step("live to it", async () => {
    const before = await web.answersOn(1);
    await web.begin(PROTOTYPE);
    await restsOn(PROTOTYPE, Runstate.running);
    assert.ok(await web.answersOn(PROTOTYPE) > before);
    assert.match(prototype.output, new RegExp(`registered ${web.vm}`));
  });
  await t.step("live back, asked of a host of ours", async () => {
    await web.begin(1);
    await restsOn(1, Runstate.running);
    await web.answersOn(1);
  });
  await t.step("cold to it, from where it is off, and back", async () => {
    await web.powerOff();
    await web.begin(PROTOTYPE, { migration_type: MigrationType.cold });
    await restsOn(PROTOTYPE, Runstate.poweroff);
    await web.begin(2, { migration_type: MigrationType.cold });
    await restsOn(2, Runstate.poweroff);
    await web.boot(2);
    await restsOn(2, Runstate.running);
  });
  await t.step("a libvirt that does not listen is refused before anything begins", async () => {
    const target = cluster.host(PROTOTYPE);
    await target.exec(["sed", "-i", "s/^listen_tcp = .*/listen_tcp = 0/", "/etc/libvirt/libvirtd.conf"]);
    await kill(target, "libvirtd");
    await startLibvirtd(target);
    await assert.rejects(web.begin(PROTOTYPE, {}, 2), /cannot be reached from here: nothing listens/);
    assert.notEqual((await web.info(2)).state, MigrationState.active);
    await restsOn(2, Runstate.running);
  });
});
