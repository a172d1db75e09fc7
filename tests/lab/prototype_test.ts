import assert from "node:assert/strict";
import { MigrationState, MigrationType, Runstate } from "../../lib/model/enums.ts";
import type { MigrationVerdict } from "../../lib/model/vm.ts";
import { kill } from "../../scripts/lab/faults/processes.ts";
import { startLibvirtd } from "../../scripts/lab/services.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { CliHost } from "./support/cli_host.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { Traveller } from "./support/migration_cluster.ts";
import { PrototypeHost } from "./support/prototype_host.ts";
import { PROTOTYPE_PROGRAMS, prototypeClient, RealPrototype } from "./support/prototype_programs.ts";
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
  await t.step("what it does not heed is told", async () => {
    const status = await (await CliHost.set(cluster)).must("virtx cluster status");
    assert.match(
      status.replace(/\s+/g, " "),
      /Not heeded by virt3 \(prototype\): the records of who has a VM or a disk, and the trash/,
    );
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

Deno.test({
  name: "the prototype's own programs, where VIRTX_PROTOTYPE names their directory, beside two hosts of ours",
  ignore: PROTOTYPE_PROGRAMS === undefined,
  async fn(t) {
    await using lab = await TestLab.up({ hosts: 3 });
    await using _prototype = await RealPrototype.start(lab, PROTOTYPE);
    await using cluster = await LabCluster.start(lab, { on: [1, 2] }); // which lists all three as active
    const [ours, theirs] = [cluster.host(1), cluster.host(PROTOTYPE)];
    const web = await Traveller.create(cluster, "web");
    const listed = async (...args: string[]) =>
      (await prototypeClient(ours, "list", "vm", ...args)).includes(web.vm);

    await t.step("its client lists hosts and VMs of ours, and its filters count", async () => {
      const hosts = await prototypeClient(ours, "list", "host");
      for (const n of cluster.numbers) assert.ok(hosts.includes(cluster.uuid(n)), hosts);
      assert.ok(await listed());
      assert.ok(await listed("-s", String(Runstate.poweroff)));
      assert.ok(!await listed("-s", String(Runstate.running)));
    });
    await t.step("its client boots one, and its host shows that", async () => {
      await prototypeClient(ours, "boot", "vm", web.vm);
      await web.restsOn(1, Runstate.running, 30_000);
      await until(
        "its host to list the VM",
        async () =>
          (await prototypeClient(theirs, "list", "vm", "-s", String(Runstate.running))).includes(web.vm) ||
          undefined,
        60_000,
      );
    });
    await t.step("live to it and back, cold to it and back", async () => {
      await web.begin(PROTOTYPE);
      await web.restsOn(PROTOTYPE, Runstate.running, 60_000);
      await web.begin(1);
      await web.restsOn(1, Runstate.running, 60_000);
      await web.powerOff();
      await web.begin(PROTOTYPE, { migration_type: MigrationType.cold });
      await web.restsOn(PROTOTYPE, Runstate.poweroff, 60_000);
      await web.begin(2, { migration_type: MigrationType.cold });
      await web.restsOn(2, Runstate.poweroff, 60_000);
    });
    await t.step("one that it makes is seen by ours, and its deletion leaves nothing", async () => {
      const made = disk("/vms/ds/go.qcow2", { man: 1, prov: 1, size: 8 });
      const vmdef = { ...SMALL_VMDEF, name: "go", osdisk: made };
      const uuid = await cluster.daemon(1).json<string>("POST", "/vms", {
        vmdef,
        host: cluster.uuid(PROTOTYPE),
      });
      await until("ours to list it", async () => await cluster.vm(2, uuid), 60_000);
      await cluster.daemon(2).json("DELETE", `/vms/${uuid}`, { deletestorage: true });
      await until("it to be gone", async () => await cluster.vm(1, uuid) === undefined || undefined, 60_000);
      await cluster.settled(60_000);
    });
    await t.step("ours deletes the one that has been there, and its host forgets it", async () => {
      await prototypeClient(ours, "delete", "vm", web.vm);
      await until(
        "its host to forget it",
        async () => !(await prototypeClient(theirs, "list", "vm")).includes(web.vm) || undefined,
        60_000,
      );
    });
  },
});
