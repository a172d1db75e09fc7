import assert from "node:assert/strict";
import { MigrationState, MigrationType, Runstate } from "../../lib/model/enums.ts";
import type { MigrationVerdict } from "../../lib/model/vm.ts";
import { MigrationCluster, Traveller } from "./support/migration_cluster.ts";

const COLD = { migration_type: MigrationType.cold };

Deno.test("what libvirt keeps of a VM on its host goes along, or the migration is refused before it begins", async (t) => {
  await using up = await MigrationCluster.up(2);
  const { cluster } = up;
  const web = await Traveller.create(cluster, "web");
  const { vm } = web;
  await cluster.settled(); // host 2 is to know of it
  const [here, there] = [cluster.host(1), cluster.host(2)];

  /** Makes sure that a dry run and the migration itself say so, and that nothing has changed. */
  const refuses = async (reason: RegExp, options: { readonly migration_type?: MigrationType } = {}) => {
    const path = `/vms/${vm}/runstate/migrate?dry_run=true`;
    const [verdict] = await cluster.daemon(2).json<MigrationVerdict[]>("POST", path, web.request(2, options));
    assert.equal(verdict?.fits, false);
    assert.match(verdict?.obstacles.map(({ message }) => message).join("; ") ?? "", reason);
    await assert.rejects(web.begin(2, options), reason);
    assert.equal((await web.info()).state, MigrationState.none);
    assert.equal(await web.whereabouts(), 1);
  };

  await t.step("snapshots", async () => {
    await here.exec(["virsh", "snapshot-create-as", vm, "s1"]);
    await refuses(/it has snapshots \(1\), .*virsh snapshot-delete/, COLD);
    await here.exec(["virsh", "snapshot-delete", vm, "s1"]);
  });

  await t.step("another VM of its name at the target", async () => {
    const clash = crypto.randomUUID();
    const stdin = `<domain type="qemu"><name>${vm}</name><uuid>${clash}</uuid><memory>65536</memory>
      <os><type>hvm</type></os></domain>`;
    await there.exec(["bash", "-c", "cat >/tmp/clash.xml && virsh define /tmp/clash.xml"], { stdin });
    await refuses(/libvirt here has another VM of the name/, COLD);
    await cluster.daemon(2).json("DELETE", `/vms/${clash}`);
  });

  await t.step("saved memory, which would be used again when the VM comes back", async () => {
    await web.boot();
    await here.exec(["virsh", "managedsave", vm]);
    await web.restsOn(1, Runstate.poweroff);
    await refuses(/it has a saved memory; start it first, or drop that/, COLD);
    await here.exec(["virsh", "managedsave-remove", vm]);
  });

  await t.step("checkpoints of a guest that runs", async () => {
    await web.boot();
    await here.exec(["virsh", "checkpoint-create-as", vm, "c1"]);
    await refuses(/it has checkpoints \(1\), .*virsh checkpoint-delete/);
    await here.exec(["virsh", "checkpoint-delete", vm, "c1"]);
  });

  await t.step("it is started with its host wherever it is", async () => {
    await here.exec(["virsh", "autostart", vm]);
    await web.begin(2);
    assert.equal((await web.ended()).state, MigrationState.completed);
    await web.restsOn(2);
    assert.match(await there.exec(["virsh", "dominfo", vm]), /Autostart: +enable/);
    await web.powerOff();
    await web.begin(1, COLD);
    assert.equal((await web.ended()).state, MigrationState.completed);
    await web.restsOn(1, Runstate.poweroff);
    assert.match(await here.exec(["virsh", "dominfo", vm]), /Autostart: +enable/);
  });
});
