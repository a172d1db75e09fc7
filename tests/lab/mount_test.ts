import assert from "node:assert/strict";
import { DiskManagement, DiskProvisioning } from "../../lib/model/enums.ts";
import { VirtxError } from "../../lib/model/error.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { FuseStorage } from "./support/fuse_storage.ts";
import { defineIdleGuest } from "./support/idle_guest.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

const ALONE = { args: ["--serf-rpc", "none"] };
/** The storage is looked at every ten seconds. */
const KNOWN_MS = 25_000;
/** How often a cluster begins anew. */
const NEW_STORAGES = 4;
/** How many run at a time. */
const QEMU_IMGS = 2;

function vmdef(name: string) {
  const made = { man: DiskManagement.managed, prov: DiskProvisioning.thin, size: 16 };
  return { ...SMALL_VMDEF, name, osdisk: disk(`/vms/ds/${name}.qcow2`, made) };
}

function create(daemon: LabDaemon, name: string, query = ""): Promise<string> {
  return daemon.json<string>("POST", `/vms${query}`, { vmdef: vmdef(name), host: "" });
}

async function refused(task: Promise<unknown>, reason: RegExp): Promise<void> {
  const error = await task.then(() => assert.fail("it was not refused"), (error) => error);
  assert.ok(error instanceof VirtxError, String(error));
  assert.match(error.message, reason);
  assert.equal(error.kind, "unavailable");
  assert.ok(error.retryAfterS !== undefined);
}

async function unready(daemon: LabDaemon, reason: RegExp): Promise<void> {
  await says(daemon, 503, reason);
}

async function degraded(daemon: LabDaemon, reason: RegExp): Promise<void> {
  await says(daemon, 200, reason);
}

/** Waits until /readyz answers that. */
async function says(daemon: LabDaemon, status: number, reason: RegExp): Promise<void> {
  await until(`/readyz to say ${reason}`, async () => {
    const response = await fetch(`${daemon.url}/readyz`).catch(() => undefined); // it may be starting
    return response?.status === status && reason.test(await response.text()) || undefined;
  }, KNOWN_MS);
}

/** Not lazily: once nothing is being written, nothing is held open. */
async function unmount(host: LabHost): Promise<void> {
  await until(
    "/vms to be unmounted",
    async () => (await host.run(["umount", "/vms"])).code === 0 || undefined,
    10_000,
  );
}

/** All that is below a path of the host, but not what is mounted there. */
async function below(host: LabHost, path: string): Promise<string> {
  return await host.exec(["find", path, "-xdev", "-printf", "%P %s %T@\\n"]);
}

Deno.test("what is not mounted any more is not written to, and what was there goes on when it is back", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  // The lab's own /vms is what lies below; over it comes the storage.
  await host.exec(["mkdir", "-p", "/srv/one/ds", "/srv/two/ds", "/vms/ds"]);
  const before = await below(host, "/vms");
  await host.exec(["mount", "--bind", "/srv/one", "/vms"]);
  const args = [...ALONE.args, "--log-format", "text"];
  await using daemon = await LabDaemon.start(host, { args });
  const kept = await create(daemon, "kept");
  const idle = await defineIdleGuest(host);
  await until("the idle guest to be known", () => daemon.runstate(idle).catch(() => undefined), 20_000);
  await daemon.json("POST", `/vms/${idle}/runstate/boot`);

  // An administrator can unmount: nothing is held open.
  await unmount(host);
  const gone = /is not the storage [0-9a-f-]{36} that this host used: is it mounted\?/;
  const attempts: Record<string, () => Promise<unknown>> = {
    "a create": () => create(daemon, "new"),
    "its dry run": () => create(daemon, "new", "?dry_run=true"),
    "an update": () => daemon.json("PUT", `/vms/${kept}`, { vmdef: vmdef("kept"), deletestorage: false }),
    "a delete": () => daemon.json("DELETE", `/vms/${kept}`, { deletestorage: true }),
    "a registration": () => daemon.json("PUT", `/vms/${kept}/register`, { host: "" }),
    "a boot": () => daemon.json("POST", `/vms/${kept}/runstate/boot`),
  };
  for (const attempt of Object.values(attempts)) await refused(attempt(), gone);
  await unready(daemon, gone);
  // What runs goes on, and needs no storage.
  await daemon.json("POST", `/vms/${idle}/runstate/pause`);
  await daemon.json("DELETE", `/vms/${idle}/runstate/pause`);
  await daemon.json("DELETE", `/vms/${idle}/runstate/boot`, { force: 2 });
  assert.equal((await daemon.json<{ uuid: string }>("GET", `/vms/${kept}`)).uuid, kept);
  assert.equal(await below(host, "/vms"), before);

  // Another file system over it is none of ours.
  await host.exec(["mount", "--bind", "/srv/two", "/vms"]);
  await refused(create(daemon, "new"), gone);
  assert.equal((await below(host, "/srv/two")).includes("new"), false);
  await host.exec(["umount", "/vms"]);

  await host.exec(["mount", "--bind", "/srv/one", "/vms"]);
  await create(daemon, "again");
  await daemon.ready(KNOWN_MS);

  await until("nothing to be written just now", async () => {
    return (await host.run(["mount", "-o", "remount,bind,ro", "/vms"])).code === 0 || undefined;
  }, 30_000);
  await refused(create(daemon, "new"), /the storage at \/vms is mounted read-only/);
  await host.exec(["mount", "-o", "remount,bind,rw", "/vms"]);
  await host.exec(["umount", "--lazy", "/vms"]);
  for (const attempt of Object.values(attempts)) await refused(attempt(), gone);

  // So it is with a start where the mount has failed; it settles what there is when the mount is there.
  await daemon.process[Symbol.asyncDispose]();
  await using late = await LabDaemon.launch(host, { args });
  await unready(late, gone);
  await refused(create(late, "new"), gone);
  assert.equal((await late.json<{ uuid: string }>("GET", `/vms/${kept}`)).uuid, kept);
  assert.equal(await below(host, "/vms"), before);
  await host.exec(["mount", "--bind", "/srv/one", "/vms"]);
  await late.ready(KNOWN_MS);
  await late.json("DELETE", `/vms/${kept}`, { deletestorage: true });
  assert.equal((await host.run(["test", "-e", "/vms/ds/kept.qcow2"])).code, 1);
});

Deno.test("an unmount in the middle of changes leaves none of them below, and the change is settled later", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await host.exec(["mkdir", "-p", "/srv/one/ds", "/vms/ds"]);
  await host.exec(["mount", "--bind", "/srv/one", "/vms"]);
  await using daemon = await LabDaemon.start(host, ALONE);
  const creates = Array.from({ length: 40 }, (_, n) =>
    create(daemon, `new${n}`).then(
      () => true,
      (error) => assert.ok(error instanceof VirtxError, String(error)),
    ));
  await Promise.race(creates);
  await host.exec(["umount", "--lazy", "/vms"]);
  await Promise.all(creates);
  // qemu-img opens by path, and makes what is not there: one that was just being started may do so below.
  const left = (await host.exec(["find", "/vms", "-xdev", "-type", "f"])).split("\n").filter(Boolean);
  assert.ok(left.length <= QEMU_IMGS && left.every((path) => path.endsWith(".tmp")), left.join(" "));
  await host.exec(["mount", "--bind", "/srv/one", "/vms"]);
  await daemon.ready(KNOWN_MS);
  await until("all to be settled", async () => {
    const { items } = await daemon.json<{ items: unknown[] }>("GET", "/vms");
    const images = (await host.exec(["find", "/vms/ds", "-type", "f"])).split("\n").length - 1;
    return images === items.length || undefined;
  }, KNOWN_MS);
});

Deno.test("storage by way of a server that dies is told, and is good again when it is mounted again", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const storage = await FuseStorage.mount(host);
  await using daemon = await LabDaemon.start(host, ALONE);
  await create(daemon, "kept");
  storage.server.kill("SIGKILL");
  // ENOTCONN, or ECONNABORTED of what it was just asked.
  await refused(create(daemon, "new"), /the storage at \/vms cannot be used: .*(ENOTCONN|ECONNABORTED)/);
  await unready(daemon, /cannot be used/);
  await storage[Symbol.asyncDispose]();
  await using _again = await FuseStorage.mount(host);
  await create(daemon, "new");
  await daemon.ready(KNOWN_MS);
});

Deno.test("two hosts with different storage of the same age say so, and nothing migrates between them", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  const [one, two] = [lab.host(1), lab.host(2)];
  for (const host of [one, two]) {
    await host.exec(["mkdir", "-p", "/srv/own/ds"]);
    await host.exec(["mount", "--bind", "/srv/own", "/vms"]);
    await using _alone = await LabDaemon.start(host, ALONE);
  }
  await using cluster = await LabCluster.start(lab);
  const different = /hosts virt[12] and virt[12] have different storage at \/vms/;
  for (const n of [1, 2]) await degraded(cluster.daemon(n), different);
  const vm = await create(cluster.daemon(1), "web");
  // The same name, and by a link(2) elsewhere the same inode would do no better.
  await two.exec(["qemu-img", "create", "-q", "-f", "qcow2", "/vms/ds/web.qcow2", "16M"]);
  const options = { host: cluster.uuid(2), migration_type: 0 };
  const reason = /the storage at \/vms is another one here/;
  const verdicts = await cluster.daemon(1).json("POST", `/vms/${vm}/runstate/migrate?dry_run=true`, options);
  assert.match(JSON.stringify(verdicts), reason);
  await assert.rejects(cluster.daemon(1).json("POST", `/vms/${vm}/runstate/migrate`, options), reason);
});

Deno.test("of a cluster that has storage, a host whose mount has failed does not begin another one", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  const [one, two] = [lab.host(1), lab.host(2)];
  await two.exec(["mkdir", "-p", "/srv/empty/ds"]);
  await two.exec(["mount", "--bind", "/srv/empty", "/vms"]);
  await using _first = await LabDaemon.start(one);
  await using second = await LabDaemon.launch(two);
  const reason = /\/vms is not the cluster's storage, which is [0-9a-f-]{36} on virt1: is it mounted\?/;
  await unready(second, reason);
  await refused(create(second, "new"), reason);
  assert.equal((await below(two, "/srv/empty")).includes(".virtxd"), false);
  await two.exec(["umount", "/vms"]);
  await second.ready(KNOWN_MS);
  await create(second, "new");
});

Deno.test("hosts that start at the same instant begin new storage once, also in the place of another one", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  const hosts = [lab.host(1), lab.host(2)];
  const ids = new Set<string>();
  for (let round = 1; round <= NEW_STORAGES; round++) {
    // Of the storage before, the agents of both still tell.
    await lab.host(1).exec(["bash", "-c", "rm -rf /vms/.virtxd /vms/xml /vms/ds && mkdir /vms/ds"]);
    for (const host of hosts) await host.exec(["rm", "-rf", "/var/lib/virtxd"]);
    await using daemons = new AsyncDisposableStack();
    const started = await Promise.all(hosts.map((host) => LabDaemon.launch(host)));
    for (const daemon of started) daemons.use(daemon);
    await Promise.all(started.map((daemon) => daemon.ready(KNOWN_MS)));
    for (const host of hosts) {
      const { id } = JSON.parse(await host.exec(["cat", "/var/lib/virtxd/storage.json"]));
      assert.equal(id, JSON.parse(await host.exec(["cat", "/vms/.virtxd/storage.json"])).id);
      ids.add(id);
    }
    assert.equal(ids.size, round);
  }
});
