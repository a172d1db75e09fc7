import assert from "node:assert/strict";
import { Runstate } from "../../lib/model/enums.ts";
import type { Vm } from "../../lib/model/vm.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { numberedUuid } from "../support/vm_info.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

/** Definitions by other hands, each of which libvirt takes. */
const FOREIGN: Readonly<Record<string, { readonly top?: string; readonly devices?: string }>> = {
  interfaces: {
    devices: `<interface type='user'><model type='rtl8139'/></interface>
      <interface type='direct'><source dev='eth0' mode='bridge'/><model type='virtio'/></interface>
      <interface type='hostdev' managed='yes'><source>
        <address type='pci' domain='0x0000' bus='0x08' slot='0x10' function='0x6'/></source></interface>
      <interface type='ethernet'/><interface type='bridge'><source bridge='none0'/><vlan><tag id='4095'/></vlan>
        <virtualport type='openvswitch'/></interface>`,
  },
  disks: {
    devices:
      `<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='pool/disk'>
        <host name='mon1' port='6789'/></source><target dev='vda' bus='virtio'/></disk>
      <disk type='volume' device='disk'><source pool='default' volume='v'/><target dev='vdb' bus='virtio'/></disk>
      <disk type='file' device='floppy'><source file='/vms/ds/f.raw'/><target dev='fda' bus='fdc'/></disk>
      <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>
      <disk type='file' device='disk'><source file='/var/lib/other.qcow2'/><target dev='sda' bus='usb'/></disk>`,
  },
  devices: {
    devices: `<watchdog model='i6300esb' action='reset'/><input type='tablet' bus='usb'/>
      <serial type='file'><source path='/tmp/serial.log'/></serial><sound model='ich6'/>
      <hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0xbeef'/></source></hostdev>
      <filesystem type='mount'><source dir='/tmp'/><target dir='t'/></filesystem><tpm model='tpm-tis'>
        <backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>`,
  },
  none: {},
  title: { top: `<title>${"T".repeat(64 * 1024)}</title>` },
  marks: { top: `<title>\u202Egnp.\u2066x</title><description>${"d\n".repeat(9000)}</description>` },
  metadata: {
    top: `<metadata><a:a xmlns:a="urn:a">${"<a:x>&amp;</a:x>".repeat(60_000)}</a:a></metadata>`,
  },
  deep: {
    top: `<metadata><a:a xmlns:a="urn:a">${"<x>".repeat(240)}${"</x>".repeat(240)}</a:a></metadata>`,
  },
  odd: {
    top:
      `<metadata><a:ä xmlns:a="urn:a" b=">"><![CDATA[<domain>&none;]]><?p i?><!-- <name>x</name> --></a:ä></metadata>`,
  },
  fields: {
    top: `<metadata><data-vm xmlns="virtx-vm">${
      `<field name="${"n".repeat(2000)}">${"v".repeat(5000)}</field>`.repeat(70)
    }</data-vm></metadata>`,
  },
};

/** Metadata that libvirt takes, as it reads the DTD, and prints in a way that nobody can read again. */
const DISK =
  `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/vms/ds/a.qcow2'/>
  <target dev='vda' bus='virtio'/></disk>`;
const UNREADABLE = { top: "<metadata><a:a xmlns:a='urn:a'>&site;</a:a></metadata>", devices: DISK };
const UNREADABLE_UUID = numberedUuid(99);

function domainXml(
  name: string,
  uuid: string,
  { top = "", devices = "" }: { top?: string; devices?: string },
): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE domain [<!ENTITY site "Nürnberg">]>
<domain type='qemu'><name>${name}</name><uuid>${uuid}</uuid>${top}<memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><cpu mode='maximum'/><devices>${devices}</devices></domain>`;
}

async function define(
  host: LabHost,
  name: string,
  uuid: string,
  content: { top?: string; devices?: string },
): Promise<void> {
  const path = `/tmp/${name}.xml`;
  await Deno.writeTextFile(await host.path(path), domainXml(name, uuid, content));
  await host.exec(["virsh", "-q", "define", path]);
}

async function degraded(daemon: LabDaemon): Promise<string> {
  return (await daemon.json<{ degraded: readonly string[] }>("GET", "/readyz")).degraded.join();
}

Deno.test("whatever others define, the daemon starts and goes on, and all VMs are listed and told", async (t) => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const cases = Object.entries(FOREIGN);
  const half = cases.length >> 1;
  const uuidOf = (at: number) => numberedUuid(at + 1);

  for (const [at, [name, content]] of cases.slice(0, half).entries()) {
    await define(host, name, uuidOf(at), content);
  }
  await host.exec(["qemu-img", "create", "-q", "-f", "qcow2", "/vms/ds/a.qcow2", "8M"]);
  await define(host, "running", UNREADABLE_UUID, { devices: DISK });
  await host.exec(["virsh", "-q", "start", "running"]); // libvirt itself does not start what it cannot read
  await define(host, "running", UNREADABLE_UUID, UNREADABLE);
  await using daemon = await LabDaemon.start(host);
  for (const [at, [name, content]] of cases.slice(half).entries()) {
    await define(host, name, uuidOf(half + at), content);
  }

  for (const [at, [name]] of cases.entries()) {
    await t.step(`${name} is listed and got`, async () => {
      await until(`${name} to be listed`, async () => {
        const { items } = await daemon.json<{ items: { uuid: string }[] }>("GET", "/vms");
        return items.some(({ uuid }) => uuid === uuidOf(at)) || undefined;
      }, 20_000);
      const vm = await daemon.json<Vm>("GET", `/vms/${uuidOf(at)}`);
      assert.ok(vm.def.name.length > 0 && vm.def.name.length <= 255);
      assert.equal(vm.runinfo.runstate, Runstate.poweroff);
    });
  }
  await t.step(
    "the one that cannot be read is named at /readyz, got, paused and powered off, not updated",
    async () => {
      assert.match(await degraded(daemon), /"running".*&site;/);
      const vm = await daemon.json<Vm>("GET", `/vms/${UNREADABLE_UUID}`);
      assert.deepEqual([vm.def.name, vm.def.memory.total], ["running", 64]);
      const path = `/vms/${UNREADABLE_UUID}/runstate`;
      await daemon.json("POST", `${path}/pause`);
      await daemon.json("DELETE", `${path}/pause`);
      await daemon.json("DELETE", `${path}/boot`, { force: 2 });
      await daemon.until(UNREADABLE_UUID, Runstate.poweroff);
      const vmdef = { ...vm.def, memory: { total: 32, hp: false } };
      await assert.rejects(
        daemon.json("PUT", `/vms/${UNREADABLE_UUID}`, { vmdef, deletestorage: false }),
        /"running".*&site;/,
      );
    },
  );
  await t.step("redefined, it is a VM like others", async () => {
    await define(host, "running", UNREADABLE_UUID, { devices: DISK });
    await until("nothing to be degraded", async () => await degraded(daemon) === "" || undefined, 20_000);
    await daemon.json("POST", `/vms/${UNREADABLE_UUID}/runstate/boot`);
    await daemon.until(UNREADABLE_UUID, Runstate.running);
  });
  await t.step("the daemon starts with all of them", async () => {
    daemon.process.kill("SIGTERM");
    await daemon.process.status;
    await using again = await LabDaemon.start(host);
    const { items } = await again.json<{ items: { uuid: string }[] }>("GET", "/vms");
    assert.equal(items.length, cases.length + 1);
  });
});
