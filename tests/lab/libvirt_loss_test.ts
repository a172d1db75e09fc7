import assert from "node:assert/strict";
import { VirtxError } from "../../lib/model/error.ts";
import { Runstate } from "../../lib/model/enums.ts";
import type { Vm } from "../../lib/model/vm.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { installGuestImage, LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

const IMAGE = "/vms/ds/guest.qcow2";
const GUEST = { ...SMALL_VMDEF, name: "guest", osdisk: disk(IMAGE) };

async function libvirtdPid(host: LabHost): Promise<string> {
  return (await host.exec(["cat", "/run/libvirtd.pid"])).trim();
}

/** For how many seconds the API says that it answers from memory; undefined: its answers are fresh. */
async function staleness(daemon: LabDaemon): Promise<string | null> {
  return (await daemon.api.request("GET", "/vms")).headers.get("x-virtx-stale");
}

async function lastRunstate({ api }: LabDaemon, uuid: string): Promise<number> {
  return ((await api.request("GET", `/vms/${uuid}/runstate`)).body as { lastrunstate: number }).lastrunstate;
}

async function bootedGuest(daemon: LabDaemon): Promise<string> {
  await installGuestImage(daemon.host, IMAGE);
  const uuid = await daemon.json<string>("POST", "/vms", { vmdef: GUEST, host: "" });
  await daemon.json("POST", `/vms/${uuid}/runstate/boot`);
  return uuid;
}

function unavailable(error: unknown): boolean {
  assert.ok(error instanceof VirtxError);
  assert.equal(error.kind, "unavailable", error.message);
  assert.ok(error.retryAfterS !== undefined && error.retryAfterS > 0);
  return true;
}

Deno.test("without libvirt virtxd does not start, says why and what to do, and exits 69", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await host.exec(["kill", "-9", await libvirtdPid(host)]);
  await using daemon = await LabDaemon.launch(host, { args: ["--log-format", "text"] });
  assert.equal((await daemon.process.status).code, 69);
  assert.match(daemon.process.output, /libvirt-sock.*Connection refused|Failed to connect socket/);
  assert.match(daemon.process.output, /is libvirtd running/);
});

Deno.test("while libvirt is away reads go on from memory and say so, changes wait; then the truth is back at once", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using daemon = await LabDaemon.start(host);
  const uuid = await bootedGuest(daemon);
  assert.equal(await staleness(daemon), null);

  await host.exec(["kill", "-9", await libvirtdPid(host)]);
  await until("answers to be marked as stale", async () => await staleness(daemon) ?? undefined, 10_000);
  assert.equal(await lastRunstate(daemon, uuid), Runstate.running);
  assert.equal((await daemon.json<Vm>("GET", `/vms/${uuid}`)).def.name, "guest");
  await assert.rejects(daemon.json("POST", `/vms/${uuid}/runstate/pause`), unavailable);
  await assert.rejects(
    daemon.json("POST", "/vms", { vmdef: { ...GUEST, name: "other" }, host: "" }),
    unavailable,
  );
  await assert.rejects(daemon.json("GET", "/readyz"), /libvirt is away/);
  assert.equal((await daemon.api.request("GET", "/healthz")).status, 200);

  // What happens meanwhile is not told by events: the guest ends.
  const qemu = (await host.exec(["cat", `/run/libvirt/qemu/${uuid}.pid`])).trim();
  await host.exec(["kill", "-9", qemu]);
  await lab.lab.boot(host); // starts libvirtd again
  await until("answers to be fresh", async () => await staleness(daemon) === null || undefined, 15_000);
  const known = () => daemon.runstate(uuid).then((runstate) => runstate || undefined);
  const runstate = await until("the state to be known again", known, 5_000);
  assert.ok([Runstate.poweroff, Runstate.crashed].includes(runstate as 2 | 9));
  await daemon.json("POST", `/vms/${uuid}/runstate/boot`);
  assert.equal(await daemon.runstate(uuid), Runstate.running);
});

Deno.test("a change that libvirt's death cuts off half-way is undone as soon as libvirt is back", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using daemon = await LabDaemon.start(host);
  // With libvirtd stopped the definition hangs until its death, when the disk is there already.
  const pid = await libvirtdPid(host);
  await host.exec(["kill", "-STOP", pid]);
  const vmdef = { ...GUEST, osdisk: disk("/vms/ds/half.qcow2", { man: 1, prov: 1, size: 8 }) };
  const creation = daemon.json("POST", "/vms", { vmdef, host: "" }).then(() => "created", String);
  await until("the disk to be made", async () => {
    return (await host.run(["test", "-e", "/vms/ds/half.qcow2"])).code === 0 || undefined;
  }, 10_000);
  await host.exec(["kill", "-9", pid]);
  assert.match(await creation, /half-way/);
  await lab.lab.boot(host);
  await until("the disk to be gone", async () => {
    return (await host.run(["test", "-e", "/vms/ds/half.qcow2"])).code !== 0 || undefined;
  }, 20_000);
  assert.equal((await host.exec(["virsh", "list", "--all", "--uuid"])).trim(), "");
  const left = await host.exec(["find", "/vms", "-type", "f", "!", "-path", "/vms/.virtxd/*"]);
  assert.equal(left.trim(), "");
  // The records of whose the disk is and which host has the VM stay, and say: nobody's.
  const records = ["/vms/.virtxd/disks", "/vms/.virtxd/vms"];
  const said = await host.exec([
    "grep",
    "--recursive",
    "--no-filename",
    "--only-matching",
    '"value":.*',
    ...records,
  ]);
  assert.deepEqual(said.trim().split("\n"), records.map(() => '"value":null}'));
});

Deno.test("domains that others define, start and remove by virsh are seen at once", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using daemon = await LabDaemon.start(host);
  const uuid = await bootedGuest(daemon);
  await host.exec(["virsh", "suspend", uuid]);
  await daemon.until(uuid, Runstate.paused, 2_000);
  await host.exec(["virsh", "destroy", uuid]);
  await daemon.until(uuid, Runstate.poweroff, 2_000);
  await host.exec(["virsh", "desc", uuid, "--config", "--title", "renamed"]);
  await until("the new title", async () => {
    return (await daemon.json<Vm>("GET", `/vms/${uuid}`)).def.name === "renamed" || undefined;
  }, 2_000);
  await host.exec(["virsh", "undefine", uuid]);
  await until("the ghost to vanish", async () => {
    const answer = await daemon.api.request("GET", `/vms/${uuid}/runstate`).then(() => undefined, String);
    return answer?.includes("no such VM") || undefined;
  }, 2_000);
});
