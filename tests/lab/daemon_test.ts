import assert from "node:assert/strict";
import { VirtxError } from "../../lib/model/error.ts";
import { Runstate } from "../../lib/model/enums.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { HostProcess } from "../../scripts/lab/host_process.ts";
import { EXECUTABLE, installGuestImage, LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

Deno.test("the executable runs without Deno or Node, with a read-only home, and leaves nothing there", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  assert.notEqual((await host.run(["touch", "/root/file"])).code, 0); // so the lab's promise holds
  await using daemon = await LabDaemon.start(host);
  assert.match(await host.exec(["/usr/local/bin/virtxd", "--version"]), /^virtxd \d+\.\d+\.\d+/);
  assert.match(await host.exec(["/usr/local/bin/virtxd", "--help"]), /--libvirt-uri/);
  assert.equal((await host.exec(["find", "/root", "-mindepth", "1"])).trim(), "");
  const answer = await host.exec([
    "curl",
    "-sS",
    "--unix-socket",
    "/run/virtxd/virtxd.sock",
    "http://localhost/healthz",
  ]);
  assert.ok(answer.length > 0);

  await using second = await LabDaemon.launch(host);
  assert.equal((await second.process.status).code, 69);
  assert.match(second.process.output, /already|in use/);
  assert.equal((await daemon.api.request("GET", "/readyz")).status, 200);
});

Deno.test("by default only root and the group virtx get in; anybody else is told what to do", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await host.install(EXECUTABLE, "/usr/local/bin/virtxd");
  await host.exec(["ln", "-sf", "virtxd", "/usr/local/bin/virtx"]);
  await host.exec(["groupadd", "--system", "--force", "virtx"]);
  await using process = await HostProcess.spawn(
    host,
    ["/usr/local/bin/virtxd", "--domain-type", "qemu"],
    { log: "virtxd" },
  );
  await until(
    "virtxd to be ready",
    () => Promise.resolve(process.output.includes("ready") || undefined),
    20_000,
  );
  const gid = (await host.exec(["sh", "-c", "getent group virtx | cut -d: -f3"])).trim();
  const as = (groups: string) =>
    host.run([
      ...["setpriv", "--reuid=65534", "--regid=65534", groups, "env", "HOME=/nonexistent"],
      ...["/usr/local/bin/virtx", "vm", "list", "-o", "name"],
    ]);
  const member = await as(`--groups=${gid}`);
  assert.deepEqual([member.code, member.stderr], [0, ""]);
  const stranger = await as("--clear-groups");
  assert.equal(stranger.code, 77);
  assert.match(stranger.stderr, /No server answers at unix:\/run\/virtxd\/virtxd\.sock: Permission denied/);
  assert.match(stranger.stderr, /usermod --append --groups virtx/);
  // Nobody listens at an address.
  assert.doesNotMatch(await host.exec(["cat", "/proc/net/tcp", "/proc/net/tcp6"]), /:1F90 /);
});

Deno.test("SIGTERM lets a creation that is under way end and answers it, refuses new ones, and exits 0", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using daemon = await LabDaemon.start(host);
  const big = disk("/vms/ds/big.raw", { man: 1, prov: 2, size: 4096 });
  // The definition has to wait until libvirtd goes on.
  const pid = (await host.exec(["cat", "/run/libvirtd.pid"])).trim();
  await host.exec(["kill", "-STOP", pid]);
  const creation = daemon.json<string>("POST", "/vms", { vmdef: { ...SMALL_VMDEF, osdisk: big }, host: "" });
  await until("the disk to be made", async () => {
    return (await host.run(["test", "-e", "/vms/ds/big.raw"])).code === 0 || undefined;
  }, 20_000);
  daemon.process.kill("SIGTERM");
  await until("the daemon to stop listening", async () => {
    return await daemon.api.request("GET", "/healthz").then(() => undefined, () => true as const);
  }, 10_000);
  await host.exec(["kill", "-CONT", pid]);
  const uuid = await creation;
  assert.equal((await daemon.process.status).code, 0);
  assert.ok((await host.exec(["virsh", "list", "--all", "--uuid"])).includes(uuid));
  assert.ok((await host.exec(["find", "/vms/xml", "-name", `${uuid}.xml`])).includes(uuid));
});

Deno.test("a client that goes away does not stop a creation half-way", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using daemon = await LabDaemon.start(host);
  const pid = (await host.exec(["cat", "/run/libvirtd.pid"])).trim();
  await host.exec(["kill", "-STOP", pid]);
  const vmdef = { ...SMALL_VMDEF, osdisk: disk("/vms/ds/a.qcow2", { man: 1, prov: 1, size: 8 }) };
  const gone = daemon.api.request("POST", "/vms", { vmdef, host: "" }, { signal: AbortSignal.timeout(500) });
  await assert.rejects(gone);
  await host.exec(["kill", "-CONT", pid]);
  await until("the VM to be there", async () => {
    const { items } = await daemon.json<{ items: unknown[] }>("GET", "/vms");
    return items.length === 1 || undefined;
  }, 20_000);
  await until("the journal to be empty", async () => {
    const left = await host.exec(["find", "/vms", "-path", "*/.journal/*", "-o", "-name", "*.tmp"]);
    return left.trim() === "" || undefined;
  }, 10_000);
});

Deno.test("a boot that libvirt refuses tells why, in the answer and in the operation record", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using daemon = await LabDaemon.start(host);
  await installGuestImage(host, "/vms/ds/guest.qcow2");
  const vmdef = { ...SMALL_VMDEF, osdisk: disk("/vms/ds/guest.qcow2") };
  const uuid = await daemon.json<string>("POST", "/vms", { vmdef, host: "" });
  await host.exec(["rm", "/vms/ds/guest.qcow2"]);
  await assert.rejects(daemon.json("POST", `/vms/${uuid}/runstate/boot`), (error) => {
    assert.ok(error instanceof VirtxError);
    assert.equal(error.kind, "refused");
    assert.match(error.libvirt?.message ?? "", /guest\.qcow2.*No such file/);
    return true;
  });
  assert.equal(await daemon.runstate(uuid), Runstate.poweroff);
  const { stats } = await daemon.json<{ stats: { oplog: { items: { status: string; msg: string }[] } } }>(
    "GET",
    `/vms/${uuid}`,
  );
  assert.equal(stats.oplog.items[0]?.status, "failed");
  assert.match(stats.oplog.items[0]?.msg ?? "", /No such file/);
});
