import assert from "node:assert/strict";
import { MigrationState } from "../../lib/model/enums.ts";
import type { MigrationVerdict } from "../../lib/model/vm.ts";
import { kill } from "../../scripts/lab/faults/processes.ts";
import { startLibvirtd } from "../../scripts/lab/services.ts";
import { MigrationCluster, Traveller } from "./support/migration_cluster.ts";

Deno.test("a target whose libvirt cannot be reached is refused before the migration begins, with what helps", async (t) => {
  await using up = await MigrationCluster.up(2);
  const { cluster } = up;
  const target = cluster.host(2);
  const web = await Traveller.create(cluster, "web");
  await web.boot();
  await cluster.settled();

  /** Starts the target's libvirt anew, with another setting. */
  const set = async (name: string, value: string) => {
    const edit = `s/^${name} = .*/${name} = ${value}/`;
    await target.exec(["sed", "-i", edit, "/etc/libvirt/libvirtd.conf"]);
    await kill(target, "libvirtd");
    await startLibvirtd(target);
    await cluster.daemon(2).ready(20_000);
    await cluster.settled();
  };
  const refuses = async (reason: RegExp) => {
    const path = `/vms/${web.vm}/runstate/migrate?dry_run=true`;
    const [verdict] = await cluster.daemon(2).json<MigrationVerdict[]>("POST", path, web.request(2));
    const told = verdict?.obstacles.find(({ code }) => code === "libvirt")?.message ?? "";
    assert.match(told, reason, JSON.stringify(verdict));
    await assert.rejects(web.begin(2), reason);
    assert.equal((await web.info()).state, MigrationState.none);
  };

  await t.step("it does not listen", async () => {
    await set("listen_tcp", "0");
    await refuses(/cannot be reached from here: nothing listens at .* port 16509.*libvirtd-tcp\.socket/);
    await set("listen_tcp", "1");
  });
  await t.step("it asks for a user and a password", async () => {
    await set("auth_tcp", '"sasl"');
    await refuses(/qemu\+tcp:.*authenticat.*auth_tcp = "none".*auth\.conf/);
    await set("auth_tcp", '"none"');
  });
  await t.step("a check leaves the QEMU alone that waits there for another guest", async () => {
    const pidFile = "/run/waiting.pid";
    const waiting =
      `-machine none -nodefaults -display none -incoming tcp:0:49152 -daemonize -pidfile ${pidFile}`;
    await target.exec(["qemu-system-x86_64", ...waiting.split(" ")]);
    const listeners = () => target.exec(["ss", "-Hltn", "sport = :49152"]);
    assert.match(await listeners(), /LISTEN/);
    const path = `/vms/${web.vm}/runstate/migrate?dry_run=true`;
    const [verdict] = await cluster.daemon(2).json<MigrationVerdict[]>("POST", path, web.request(2));
    assert.ok(verdict?.fits, JSON.stringify(verdict));
    assert.match(await listeners(), /LISTEN/); // it takes one connection, and then listens no more
    await target.exec(["bash", "-c", `kill $(cat ${pidFile})`]);
  });
  await t.step("it is as it has to be", async () => {
    await web.begin(2);
    assert.equal((await web.ended()).state, MigrationState.completed);
    await web.restsOn(2);
  });
});
