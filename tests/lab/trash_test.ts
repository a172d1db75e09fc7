import assert from "node:assert/strict";
import { DiskManagement, DiskProvisioning } from "../../lib/model/enums.ts";
import type { Vmdef } from "../../lib/model/vm.ts";
import { smallSharedStorage } from "../../scripts/lab/faults/storage.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { CliHost } from "./support/cli_host.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

const PATH = "/vms/ds/data/data.raw";
const RUNNING = 4;

function vmdef(name: string, prov: DiskProvisioning = DiskProvisioning.thin, size = 8): Vmdef {
  return { ...SMALL_VMDEF, name, osdisk: disk(PATH, { man: DiskManagement.managed, prov, size }) };
}

/** Writes a pattern over a raw disk. */
async function fill(host: LabHost, pattern: string): Promise<void> {
  await host.exec(["qemu-io", "-f", "raw", "-c", `write -P ${pattern} 0 8M`, PATH]);
}

/** Whether a raw disk has that pattern all over. */
async function has(host: LabHost, pattern: string): Promise<boolean> {
  const { code, stdout } = await host.run(["qemu-io", "-f", "raw", "-c", `read -P ${pattern} 0 8M`, PATH]);
  return code === 0 && !stdout.includes("verification failed");
}

async function isThere(host: LabHost, path: string): Promise<boolean> {
  return (await host.run(["test", "-e", path])).code === 0;
}

Deno.test("a deletion that is finished late takes nothing from the VM that has the path by then", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const [one, two] = [cluster.host(1), cluster.host(2)];
  for (
    const point of ["delete.committed", "delete.kept", "trash.recorded", "trash.renamed", "delete.deleted"]
  ) {
    await t.step(point, async () => {
      await cluster.startDaemon(1, { env: { VIRTX_TEST_STOP_AT: point } });
      await cluster.complete();
      const old = await cluster.daemon(1).json<string>("POST", "/vms", {
        vmdef: vmdef("old"),
        host: cluster.uuid(1),
      });
      await fill(one, "0x11");
      const deletion = cluster.daemon(1).json("DELETE", `/vms/${old}`, { deletestorage: true }).catch(
        () => {},
      );
      await cluster.daemon(1).says("halted at a fault point");
      await cluster.killDaemon(1);
      await deletion;

      // As an administrator does who sees that the VM is gone, or has it go by hand.
      await one.run(["virsh", "undefine", old]);
      await one.run(["rm", "-f", PATH]);
      await one.run(["rm", "-f", `/vms/xml/${cluster.uuid(1)}/${old}.xml`]);
      // The host has been off for long: the record of its disk is no longer young.
      await one.exec([
        "find",
        "/vms/.virtxd/disks",
        "-type",
        "f",
        "-exec",
        "touch",
        "-d",
        "-1 hour",
        "{}",
        "+",
      ]);
      const fresh = await cluster.daemon(2).json<string>("POST", "/vms", {
        vmdef: vmdef("new"),
        host: cluster.uuid(2),
      });
      await fill(two, "0x22");
      await cluster.daemon(2).json("POST", `/vms/${fresh}/runstate/boot`, null);

      await cluster.startDaemon(1);
      await cluster.complete();
      assert.ok(await isThere(two, PATH), "the new VM's disk is there");
      assert.equal(await cluster.daemon(2).runstate(fresh), RUNNING);
      await cluster.daemon(2).json("DELETE", `/vms/${fresh}/runstate/boot`, { force: 2 });
      assert.ok(await has(two, "0x22"), "with what it had");
      const journal = await one.exec(["find", "/vms/xml", "-path", "*/.journal/*"]);
      assert.equal(journal.trim(), "");
      await cluster.daemon(2).json("DELETE", `/vms/${fresh}`, { deletestorage: true });
    });
  }
});

Deno.test("what was deleted is listed by any host, and restored with its data on another", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const [one, two] = [cluster.host(1), cluster.host(2)];
  const desk = await CliHost.set(cluster);
  const uuid = await cluster.daemon(1).json<string>("POST", "/vms", {
    vmdef: vmdef("data"),
    host: cluster.uuid(1),
  });
  await fill(one, "0x5a");

  const said = await desk.must("virtx vm delete data --storage --yes");
  assert.match(said, /^data: deleted; its disks can be restored until \d{4}-\d\d-\d\dT/);
  assert.ok(!await isThere(two, "/vms/ds/data"), "the path is free, and its directory is gone");
  const listed = await desk.must("virtx --server virt2:8080 trash list");
  assert.match(listed, /^ID +VM +HOST +DELETED +UNTIL +SIZE +PATHS/);
  assert.match(listed, new RegExp(`data +virt1 +\\d{4}-.* 8 MiB +${PATH}`));
  const [entry] = JSON.parse(await desk.must("virtx trash list -o json"));
  assert.deepEqual([entry.vm, entry.vmuuid, entry.definition], ["data", uuid, true]);

  // Somebody else has the path by now, so it is refused and nothing changes; then it is free again.
  await one.exec(["mkdir", "/vms/ds/data"]);
  await one.exec(["tee", PATH], { stdin: "another's" });
  const refused = await desk.sh("virtx trash restore data --host virt2");
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, new RegExp(`"${PATH}" exists; move it away first`));
  assert.equal(await one.exec(["cat", PATH]), "another's");
  await one.exec(["rm", "-r", "/vms/ds/data"]);

  assert.match(
    await desk.must("virtx trash restore data --host virt2"),
    /^data: restored: defined again, with 1 file$/m,
  );
  assert.ok(await has(two, "0x5a"), "with its data");
  assert.match(await desk.must("virtx vm start data"), /^data: started$/m);
  assert.match(await desk.must("virtx vm get data --state"), /data +running +virt2/);
  assert.match(await desk.must("virtx vm kill data --yes"), /killed/);
  assert.ok(await has(two, "0x5a"));
  await cluster.settled();

  assert.match(await desk.must("virtx vm delete data --storage --now --yes"), /^data: deleted$/m);
  assert.equal((await desk.must("virtx trash list -o json")).trim(), "[]");
  assert.equal((await one.exec(["find", "/vms/ds", "-type", "f"])).trim(), "");
});

Deno.test("without a grace disks are gone at once, and what has expired is emptied by whatever host is there", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab, { args: ["--trash-hours", "0"] });
  const [one, two] = [cluster.host(1), cluster.host(2)];
  const create = async (n: number) =>
    await cluster.daemon(n).json<string>("POST", "/vms", { vmdef: vmdef("data"), host: cluster.uuid(n) });
  const at = await create(1);
  await cluster.daemon(1).json("DELETE", `/vms/${at}`, { deletestorage: true });
  assert.equal((await one.exec(["find", "/vms/ds", "-type", "f"])).trim(), "");

  // Killed when the disk is in the trash, whose time is over by then; the host stays away.
  await cluster.startDaemon(1, {
    args: ["--trash-hours", "0"],
    env: { VIRTX_TEST_STOP_AT: "trash.renamed" },
  });
  const again = await create(1);
  const deletion = cluster.daemon(1).json("DELETE", `/vms/${again}`, { deletestorage: true }).catch(() => {});
  await cluster.daemon(1).says("halted at a fault point");
  await cluster.killDaemon(1);
  await deletion;
  assert.notEqual((await two.exec(["find", "/vms/ds", "-type", "f", "-name", "0"])).trim(), "");
  // Ten minutes later, since what is to be gone at once is left to the host that moves it for so long.
  await two.exec(["sh", "-c", `sed -i 's/"until":[0-9]*/"until":1/' /vms/ds/.virtxd/trash/*/info.json`]);
  await cluster.startDaemon(2);
  await until("the trash to be empty", async () => {
    return (await two.exec(["find", "/vms/ds", "-type", "f"])).trim() === "" || undefined;
  }, 30_000);
  await cluster.startDaemon(1);
  await cluster.settled();
});

Deno.test("on a full pool what was deleted first gives way to a new disk", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using _small = await smallSharedStorage([host], 32);
  await using daemon = await LabDaemon.start(host);
  const create = () =>
    daemon.json<string>("POST", "/vms", { vmdef: vmdef("thick", DiskProvisioning.thick, 10), host: "" });
  for (let n = 0; n < 2; n++) {
    const uuid = await create();
    await daemon.json("DELETE", `/vms/${uuid}`, { deletestorage: true });
  }
  const list = async () => (await daemon.json<{ items: { id: string }[] }>("GET", "/trash")).items;
  const [oldest, later] = await list();
  assert.ok(oldest && later);
  await create();
  assert.deepEqual((await list()).map(({ id }) => id), [later.id]);
  assert.match(daemon.process.output, new RegExp(`the trash makes room for a new disk.*${oldest.id}`));
});

Deno.test("a restore or an emptying that kill -9 cuts off is settled when virtxd starts again", async (t) => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const entries = async (daemon: LabDaemon) =>
    (await daemon.json<{ items: { id: string; busy: boolean }[] }>("GET", "/trash")).items;
  const points = [
    ["restore", "trash.claimed", "before"],
    ["restore", "trash.linked", "before"],
    ["restore", "create.registered", "before"],
    ["restore", "create.committed", "after"],
    ["restore", "trash.emptied", "after"],
    ["empty", "trash.claimed", "before"],
    ["empty", "trash.emptied", "after"],
  ] as const;
  for (const [action, point, end] of points) {
    await t.step(`${action}, ${point}: ${end}`, async () => {
      let uuid = "";
      {
        await using daemon = await LabDaemon.start(host);
        uuid = await daemon.json<string>("POST", "/vms", { vmdef: vmdef("data"), host: "" });
        await fill(host, "0x5a");
        await daemon.json("DELETE", `/vms/${uuid}`, { deletestorage: true });
      }
      {
        await using daemon = await LabDaemon.start(host, { env: { VIRTX_TEST_STOP_AT: point } });
        const [entry] = await entries(daemon);
        const request = action === "restore"
          ? daemon.json("POST", `/trash/${entry?.id}/restore`, { host: "" })
          : daemon.json("DELETE", `/trash/${entry?.id}`);
        const ended = request.catch(() => {});
        await daemon.says("halted at a fault point");
        daemon.process.kill("SIGKILL");
        await daemon.process.status;
        await ended;
      }
      await using daemon = await LabDaemon.start(host);
      await until("the entry to be settled", async () => {
        return (await entries(daemon)).every(({ busy }) => !busy) || undefined;
      }, 30_000);
      const [entry] = await entries(daemon);
      assert.equal(entry === undefined, end === "after");
      assert.equal(await isThere(host, PATH), action === "restore" && end === "after");
      if (action === "restore") {
        if (entry) await daemon.json("POST", `/trash/${entry.id}/restore`, { host: "" });
        assert.ok(await has(host, "0x5a"), "with its data");
        await daemon.json("DELETE", `/vms/${uuid}`, { deletestorage: true, now: true });
      } else if (entry) await daemon.json("DELETE", `/trash/${entry.id}`);
      assert.deepEqual(await entries(daemon), []);
    });
  }
});
