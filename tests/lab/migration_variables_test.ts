import assert from "node:assert/strict";
import { Firmware, MigrationState, MigrationType, Runstate } from "../../lib/model/enums.ts";
import { until } from "../../scripts/lab/until.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { installGuestImage } from "./support/lab_daemon.ts";
import { MigrationCluster, Traveller } from "./support/migration_cluster.ts";
import { startPlainGuest } from "./support/plain_guest.ts";

const COLD = { migration_type: MigrationType.cold };
/** The last bytes of Debian's OVMF_VARS_4M.fd, in the spare area, which the firmware leaves alone. */
const MARK_AT = 540_672 - 16;

/** Makes variables tell-tale, while no QEMU has them. */
async function mark(host: LabHost, file: string, text: string): Promise<void> {
  const dd = ["dd", `of=${file}`, "bs=1", `seek=${MARK_AT}`, "conv=notrunc", "status=none"];
  await host.exec(dd, { stdin: text });
}

async function markOf(host: LabHost, file: string): Promise<string> {
  const { stdout } = await host.run(["dd", `if=${file}`, "bs=1", `skip=${MARK_AT}`, "status=none"]);
  return stdout.replace(/[\0\xff\ufffd]/g, "");
}

async function names(host: LabHost, directory: string): Promise<string[]> {
  return (await host.exec(["ls", directory])).split("\n").filter((name) => name !== "");
}

Deno.test("the UEFI variables of a VM are where it is", async (t) => {
  await using up = await MigrationCluster.up(2);
  const { cluster } = up;
  const [here, there] = [cluster.host(1), cluster.host(2)];
  const arrives = async (traveller: Traveller, to: number, options = {}) => {
    await traveller.begin(to, options);
    const { state, reason } = await traveller.ended();
    assert.deepEqual([state, reason], [MigrationState.completed, ""]);
  };
  const start = async (traveller: Traveller) => {
    await cluster.daemon(1).json("POST", `/vms/${traveller.vm}/runstate/boot`);
  };

  /** Has host 2 discard a definition of a VM that runs on host 1, as a migration that failed may leave it. */
  const discards = async ({ vm }: Traveller) => {
    const [source, target] = [cluster.uuid(1), cluster.uuid(2)];
    const convergence: string[] = [];
    const options = {
      host: target,
      migration_type: MigrationType.live,
      deadline: 0,
      convergence,
      bandwidth: 0,
      connections: 0,
    };
    const record = { version: 1, vm, source, target, running: true, held: false, startedAt: 1, options };
    const definition = await here.exec(["virsh", "dumpxml", "--inactive", vm]);
    await there.exec(["bash", "-c", "cat >/tmp/left.xml && virsh define /tmp/left.xml"], {
      stdin: definition,
    });
    const discard = () => cluster.daemon(2).json("DELETE", `/cluster/migrations/${vm}`);
    await assert.rejects(discard(), /no host has a record of a migration/);
    const file = `/vms/xml/${source}/.migrations/${vm}.json`;
    await here.exec(["tee", file], { stdin: JSON.stringify(record) });
    await discard();
    await here.exec(["rm", file]);
    await cluster.settled();
  };

  await t.step("a new VM has them on shared storage", async () => {
    const web = await Traveller.create(cluster, "web", { firmware: Firmware.uefi });
    const shared = `/vms/ds/nvram/${web.vm}.fd`;
    await start(web);
    await web.powerOff();
    await mark(here, shared, "new");
    await cluster.settled();
    await arrives(web, 2, COLD);
    await web.restsOn(2, Runstate.poweroff);
    assert.equal(await markOf(there, shared), "new");
    await start(web);
    await arrives(web, 1);
    await web.restsOn(1);
    assert.equal(await markOf(here, shared), "new");
    await web.begin(2, { bandwidth: 1 });
    await web.sent(1);
    await web.abort();
    await web.restsOn(1);
    assert.equal(await markOf(here, shared), "new");
    await discards(web);
    assert.equal(await markOf(here, shared), "new");
    await web.powerOff();
    await cluster.daemon(1).json("DELETE", `/vms/${web.vm}`, { deletestorage: false });
    assert.equal(await markOf(here, shared), "new"); // as the disks
    await here.exec(["rm", shared]);
  });

  await t.step("with its storage they are deleted", async () => {
    const gone = await Traveller.create(cluster, "gone", { firmware: Firmware.uefi });
    await start(gone);
    await gone.powerOff();
    assert.deepEqual(await names(here, "/vms/ds/nvram"), [`${gone.vm}.fd`]);
    await cluster.daemon(1).json("DELETE", `/vms/${gone.vm}`, { deletestorage: true });
    assert.deepEqual(await names(here, "/vms/ds/nvram"), []);
  });

  await installGuestImage(here, "/vms/ds/old.qcow2");
  const old = new Traveller(
    cluster,
    await startPlainGuest(here, { firmware: "uefi", disk: "/vms/ds/old.qcow2" }),
  );
  const local = `/var/lib/libvirt/qemu/nvram/${old.vm}_VARS.fd`;
  await until("it to be known", () => old.whereabouts(2).catch(() => undefined), 10_000);

  await t.step("those of an old VM that runs go along, and what is left behind is put away", async () => {
    await old.powerOff();
    await mark(here, local, "live");
    await start(old);
    await arrives(old, 2);
    await old.restsOn(2);
    assert.equal(await markOf(there, local), "live");
    const [left, ...others] = await names(here, "/var/lib/libvirt/qemu/nvram");
    assert.match(left ?? "", new RegExp(`^${old.vm}_VARS\\.fd\\.migrated-`));
    assert.deepEqual(others, []);
  });

  await t.step("those of an old VM that is off go to shared storage, and stay there", async () => {
    await old.powerOff();
    await mark(there, local, "cold");
    await arrives(old, 1, COLD);
    await old.restsOn(1, Runstate.poweroff);
    const shared = `/vms/ds/nvram/${old.vm}.fd`;
    assert.equal(await markOf(here, shared), "cold");
    assert.ok((await here.exec(["virsh", "dumpxml", "--inactive", old.vm])).includes(`>${shared}</nvram>`));
    assert.ok(
      (await names(there, "/var/lib/libvirt/qemu/nvram")).every((name) => name.includes(".migrated-")),
    );
    await start(old);
    await arrives(old, 2);
    await old.restsOn(2);
    assert.equal(await markOf(there, shared), "cold");
    await old.powerOff();
  });

  await t.step("what is no such file is not taken, which the dry run tells", async () => {
    await there.exec([
      "bash",
      "-c",
      `virsh dumpxml --inactive ${old.vm} |
      sed 's#>/vms/ds/nvram/[^<]*#>${local}#' >/tmp/old.xml && virsh define /tmp/old.xml && echo secret >${local}`,
    ]);
    await assert.rejects(old.begin(1, COLD), /UEFI variables at .* that are no firmware volume/);
    assert.equal(await markOf(here, `/vms/ds/nvram/${old.vm}.fd`), "cold");
  });
});
