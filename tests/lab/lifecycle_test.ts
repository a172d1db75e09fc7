import assert from "node:assert/strict";
import { DiskManagement, DiskProvisioning, Firmware, NetType, Runstate } from "../../lib/model/enums.ts";
import type { Host } from "../../lib/model/host.ts";
import type { Vm, Vmdef } from "../../lib/model/vm.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { GuestConsole } from "../../scripts/lab/guest_console.ts";
import { installGuestImage, LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

const { managed } = DiskManagement;
const { none, thin, thick } = DiskProvisioning;
const IMAGE = "/vms/ds/web/os.qcow2";

const WEB: Vmdef = {
  ...SMALL_VMDEF,
  name: "web",
  osdisk: disk(IMAGE, { man: managed, prov: none }),
  disks: [
    disk("/vms/ds/web/data.qcow2", { man: managed, prov: thin, size: 64 }),
    disk("/vms/ds/web/log.raw", { man: managed, prov: thick, size: 16 }),
  ],
  nets: [{ name: "br0", nettype: NetType.bridge, model: 0, mac: "52:54:00:12:34:56" }],
  custom: [{ name: "owner", value: "tests" }],
};

async function exists(daemon: LabDaemon, path: string): Promise<boolean> {
  return (await daemon.host.run(["test", "-e", path])).code === 0;
}

for (const firmware of [Firmware.bios, Firmware.uefi]) {
  const name = firmware === Firmware.bios ? "BIOS" : "UEFI";
  Deno.test(`a ${name} guest is created, booted, paused, shut down by ACPI and deleted, all by REST`, async () => {
    await using lab = await TestLab.up({ hosts: 1 });
    const host = lab.host();
    await installGuestImage(host, IMAGE);
    await using daemon = await LabDaemon.start(host);
    const memory = { total: firmware === Firmware.uefi ? 192 : 128, hp: false };
    const uuid = await daemon.json<string>("POST", "/vms", { vmdef: { ...WEB, firmware, memory }, host: "" });

    await daemon.json("POST", `/vms/${uuid}/runstate/boot`, {
      cloud_init: [{ name: "ci-metadata", value: `instance-id: ${uuid}\nlocal-hostname: web\n` }],
    });
    assert.equal(await daemon.runstate(uuid), Runstate.running);
    await using terminal = await GuestConsole.open(host, uuid);
    assert.equal(await terminal.up(), "web"); // the name that the seed gives
    assert.ok(!(await host.exec(["virsh", "dumpxml", "--inactive", uuid])).includes("seed.iso"));

    await daemon.json("POST", `/vms/${uuid}/runstate/pause`);
    assert.match(await host.exec(["virsh", "domstate", uuid]), /paused/);
    assert.equal(await daemon.runstate(uuid), Runstate.paused);
    await daemon.json("DELETE", `/vms/${uuid}/runstate/pause`);
    await terminal.send("say still here");
    await terminal.expect(/guest says: still here/);

    const shutdown = await daemon.api.request("DELETE", `/vms/${uuid}/runstate/boot`, { force: 0 });
    assert.equal(shutdown.status, 202);
    await terminal.expect(/guest down: power button/);
    await daemon.until(uuid, Runstate.poweroff);

    const { def, stats } = await daemon.json<Vm>("GET", `/vms/${uuid}`);
    assert.deepEqual(def.disks, WEB.disks);
    assert.deepEqual(def.nets, WEB.nets);
    assert.equal(def.firmware, firmware);
    assert.ok(def.osdisk.size > 0);
    const records = stats.oplog.items.map(({ op, status }) => `${op} ${status}`).sort();
    assert.deepEqual(records, ["VmBoot", "VmPause", "VmResume", "VmShutdown"].map((op) => `${op} completed`));
    const registered = await host.exec(["cat", `/vms/xml/${host.record.uuid}/${uuid}.xml`]);
    assert.equal(registered.trim(), (await host.exec(["virsh", "dumpxml", "--inactive", uuid])).trim());

    assert.equal((await daemon.api.request("DELETE", `/vms/${uuid}`, { deletestorage: true })).status, 204);
    assert.ok(!(await host.exec(["virsh", "list", "--all", "--uuid"])).includes(uuid));
    for (
      const path of [IMAGE, "/vms/ds/web/data.qcow2", "/vms/ds/web/log.raw", `/vms/ds/ci/${uuid}/seed.iso`]
    ) {
      assert.ok(!await exists(daemon, path), path);
    }
    assert.ok(!await exists(daemon, `/vms/xml/${host.record.uuid}/${uuid}.xml`));
  });
}

Deno.test("force 1 and 2 end a guest that does not listen; the figures are those of virsh, /proc and QEMU", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await installGuestImage(host, IMAGE);
  await using daemon = await LabDaemon.start(host, { args: ["--sample-interval", "1s"] });
  const uuid = await daemon.json<string>("POST", "/vms", { vmdef: { ...WEB, disks: [] }, host: "" });
  await daemon.json("POST", `/vms/${uuid}/runstate/boot`);
  await using terminal = await GuestConsole.open(host, uuid);
  await terminal.up();
  await terminal.send("dirty 32 1000");
  await terminal.expect(/guest dirty/);

  // One busy virtual CPU for three cycles, by virsh's own count of it.
  const cpuSeconds = async () => {
    const stats = await host.exec(["virsh", "domstats", "--cpu-total", uuid]);
    return Number(/cpu\.time=(\d+)/.exec(stats)?.[1]) / 1e9;
  };
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const [cpu, since] = [await cpuSeconds(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const percent = 100 * (await cpuSeconds() - cpu) / ((performance.now() - since) / 1_000);
  const { stats } = await daemon.json<Vm>("GET", `/vms/${uuid}`);
  assert.ok(percent > 10, `the guest is not busy: ${percent} %`);
  assert.ok(Math.abs(stats.cpu_utilization - percent) < 40, `${stats.cpu_utilization} % is not ${percent} %`);

  const memstat = await host.exec(["virsh", "dommemstat", uuid]);
  const rssMiB = Number(/rss (\d+)/.exec(memstat)?.[1]) / 1024;
  assert.equal(stats.memory_capacity, 128);
  assert.ok(Math.abs(stats.memory_used - rssMiB) < 24, `${stats.memory_used} MiB is not ${rssMiB} MiB`);
  const block = await host.exec(["virsh", "domblkinfo", uuid, "vda"]);
  const mib = (name: string) =>
    Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(block)?.[1]) / 2 ** 20);
  assert.ok(Math.abs(stats.disk_capacity - mib("Capacity")) <= 1);
  assert.ok(Math.abs(stats.disk_physical - mib("Physical")) <= 1);

  const { resources } = await daemon.json<Host>("GET", `/hosts/${host.record.uuid}`);
  const meminfo = await host.exec(["cat", "/proc/meminfo"]);
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(meminfo)?.[1]);
  assert.ok(Math.abs(resources.memory.total - kib("MemTotal") / 1024) <= 1);
  assert.ok(Math.abs(resources.memory.free - kib("MemFree") / 1024) < 512);
  assert.equal(resources.memory.reservedvms, 128);
  // Not measured at the same instant: what VMs use can be somewhat more than what is used.
  const { used, usedvms } = resources.cpu;
  assert.ok(usedvms > 0 && used > usedvms / 2, `${usedvms} MHz of ${used} MHz`);

  await terminal.send("button ignore");
  await terminal.expect(/guest button: ignore/);
  await daemon.json("DELETE", `/vms/${uuid}/runstate/boot`, { force: 0 });
  await terminal.expect(/guest button: pressed, ignored/);
  assert.equal(await daemon.runstate(uuid), Runstate.running);
  await daemon.json("DELETE", `/vms/${uuid}/runstate/boot`, { force: 1 });
  assert.equal(await daemon.runstate(uuid), Runstate.poweroff);

  await daemon.json("POST", `/vms/${uuid}/runstate/boot`);
  await daemon.json("DELETE", `/vms/${uuid}/runstate/boot`, { force: 2 });
  assert.equal(await daemon.runstate(uuid), Runstate.poweroff);
});
