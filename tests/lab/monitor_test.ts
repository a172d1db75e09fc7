import assert from "node:assert/strict";
import { Runstate } from "../../lib/model/enums.ts";
import { until } from "../../scripts/lab/until.ts";
import { eventually, MonitoredHost } from "../support/monitored_host.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { numberedUuid } from "../support/vm_info.ts";
import { TestLab } from "./support/test_lab.ts";

const KEPT = numberedUuid(1);
const GHOST = numberedUuid(2);
const NEW = numberedUuid(3);

/** A guest without a disk: its firmware finds nothing to boot, and waits. */
function xml(uuid: string, title: string): string {
  return `<domain type="qemu"><name>${uuid}</name><uuid>${uuid}</uuid><title>${title}</title>
    <memory unit="MiB">64</memory><vcpu>1</vcpu>
    <os><type arch="x86_64" machine="pc">hvm</type></os>
    <devices><interface type="bridge"><source bridge="br0"/></interface></devices></domain>`;
}

async function virsh(host: LabHost, ...args: string[]): Promise<string> {
  return await host.exec(["virsh", "--connect=qemu:///system", ...args]);
}

async function define(host: LabHost, uuid: string, title: string): Promise<void> {
  await host.exec(["tee", `/tmp/${uuid}.xml`], { stdin: xml(uuid, title) });
  await virsh(host, "define", `/tmp/${uuid}.xml`);
}

async function monitorOf(host: LabHost): Promise<MonitoredHost> {
  return await MonitoredHost.start(
    `qemu+unix:///system?socket=${await host.path("/run/libvirt/libvirt-sock")}`,
  );
}

Deno.test("a disk that virsh attaches without an event is noticed when the next sample is taken", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await define(host, KEPT, "off");
  await define(host, NEW, "on");
  await virsh(host, "start", NEW);
  const uri = `qemu+unix:///system?socket=${await host.path("/run/libvirt/libvirt-sock")}`;
  await using monitored = await MonitoredHost.start(uri, 500);
  const { monitor, inventory } = monitored;
  await host.exec(["qemu-img", "create", "-q", "-f", "qcow2", "/vms/ds/extra.qcow2", "1M"]);
  for (const uuid of [KEPT, NEW]) {
    const ts = inventory.vm(uuid)?.ts ?? 0;
    await virsh(host, "attach-disk", uuid, "/vms/ds/extra.qcow2", "vdb", "--subdriver", "qcow2", "--config");
    await eventually("noticed", () => monitor.domain(uuid)?.xml?.includes("/vms/ds/extra.qcow2") === true);
    assert.ok((inventory.vm(uuid)?.ts ?? 0) > ts, "others are told, the registry too");
  }
});

Deno.test("what others do by virsh is seen", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using monitored = await monitorOf(host);
  const { inventory, monitor } = monitored;
  const runstate = () => inventory.vm(KEPT)?.runstate;
  assert.equal(monitor.uuid, host.record.uuid);

  await define(host, KEPT, "old");
  await eventually("defined", () => runstate() === Runstate.poweroff);
  await virsh(host, "desc", KEPT, "--title", "--config", "new");
  await eventually("renamed", () => inventory.vm(KEPT)?.name === "new");
  await virsh(host, "start", KEPT);
  await eventually("running", () => runstate() === Runstate.running);
  await virsh(host, "suspend", KEPT);
  await eventually("paused", () => runstate() === Runstate.paused);
  await virsh(host, "resume", KEPT);
  await eventually("running again", () => runstate() === Runstate.running);
  const [pid = ""] = (await host.exec(["pgrep", "-f", `guest=${KEPT}`])).split("\n");
  await host.exec(["kill", "-SEGV", pid]);
  await eventually("crashed", () => runstate() === Runstate.crashed);

  await host.exec(["tee", "/tmp/transient.xml"], { stdin: xml(GHOST, "transient") });
  await virsh(host, "create", "/tmp/transient.xml");
  await eventually("transient seen", () => inventory.vm(GHOST)?.runstate === Runstate.running);
  await virsh(host, "destroy", GHOST);
  await eventually("transient gone", () => inventory.vm(GHOST) === undefined);
  await virsh(host, "undefine", KEPT);
  await eventually("undefined", () => inventory.vm(KEPT) === undefined);
});

Deno.test("while libvirt is away all stays readable; when it is back, ghosts vanish and new VMs are there", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await define(host, KEPT, "kept");
  await define(host, GHOST, "ghost");
  await virsh(host, "start", KEPT);
  await using monitored = await monitorOf(host);
  const { inventory, monitor } = monitored;
  const before = inventory.vm(GHOST);

  const pid = (await host.exec(["cat", "/run/libvirtd.pid"])).trim();
  await host.exec(["kill", "-KILL", pid]);
  await eventually("away", () => monitor.staleSince !== undefined);
  assert.ok((monitor.staleSince ?? 0) <= Date.now());
  await assert.rejects(monitor.refresh(KEPT), { kind: "unavailable" });
  assert.equal(inventory.vm(GHOST), before);
  assert.equal(inventory.vm(KEPT)?.runstate, Runstate.running);
  assert.equal([...monitor.domains()].length, 2);

  // Behind libvirt's back, so that no event can tell.
  await host.exec(["rm", `/etc/libvirt/qemu/${GHOST}.xml`]);
  await host.exec(["tee", `/etc/libvirt/qemu/${NEW}.xml`], { stdin: xml(NEW, "new") });
  await lab.lab.boot(host);
  await until("fresh", () => Promise.resolve(monitor.staleSince === undefined || undefined), 20_000);
  assert.equal(inventory.vm(GHOST), undefined);
  assert.equal(inventory.vm(NEW)?.name, "new");
  assert.equal(inventory.vm(KEPT)?.runstate, Runstate.running);
  await virsh(host, "destroy", KEPT);
  await eventually("events flow again", () => inventory.vm(KEPT)?.runstate === Runstate.poweroff);
});
