import assert from "node:assert/strict";
import { NetModel, NetType } from "../../lib/model/enums.ts";
import type { Net, Vm, Vmdef } from "../../lib/model/vm.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

const BRIDGE: Net = { name: "br0", nettype: NetType.bridge, model: NetModel.virtio, mac: "" };
const DEF: Vmdef = {
  ...SMALL_VMDEF,
  name: "own1",
  osdisk: disk("/vms/ds/own1.qcow2", { man: 1, prov: 1, size: 8 }),
  nets: [BRIDGE, BRIDGE],
};

/** What administrators and other tools add to a VM that virtxd made. */
const DEVICES = [
  "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>",
  "<hostdev mode='subsystem' type='usb' managed='yes'><source><vendor id='0x1234'/><product id='0xbeef'/></source></hostdev>",
  "<watchdog model='i6300esb' action='reset'/>",
  "<input type='tablet' bus='usb'/>",
];

async function addWhatOthersAdd(host: LabHost, uuid: string): Promise<void> {
  const virsh = (...args: string[]) => host.exec(["virsh", "--quiet", ...args]);
  for (const device of DEVICES) {
    await host.exec(["tee", "/tmp/device.xml"], { stdin: device });
    await virsh("attach-device", uuid, "/tmp/device.xml", "--config");
  }
  await virsh("desc", uuid, "--config", "Belongs to team 7: ask before you stop it");
  await virsh(
    "metadata",
    uuid,
    "--config",
    "urn:example:backup",
    "--key",
    "b",
    "--set",
    '<policy keep="30"/>',
  );
  await virsh("vcpupin", uuid, "0", "0", "--config");
  await virsh("blkdeviotune", uuid, "vda", "--total-iops-sec", "500", "--config");
  await virsh("autostart", uuid);
  const xml = (await definition(host, uuid)).replace("clock offset='utc'", "clock offset='localtime'");
  await host.exec(["tee", "/tmp/edit.xml"], { stdin: xml });
  await virsh("define", "/tmp/edit.xml");
}

async function definition(host: LabHost, uuid: string): Promise<string> {
  return await host.exec(["virsh", "dumpxml", "--inactive", uuid]);
}

/** The lines of one text that the other has not, without their indentation. */
function missing(from: string, others: string): string[] {
  const there = Map.groupBy(others.split("\n"), (line) => line.trim());
  return from.split("\n").map((line) => line.trim()).filter((line) => there.get(line)?.pop() === undefined);
}

Deno.test("an update changes what its user changed, and nothing that others have set", async (t) => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using daemon = await LabDaemon.start(host);
  const update = async (uuid: string, change: (def: Vmdef) => Vmdef) => {
    const { def } = await daemon.json<Vm>("GET", `/vms/${uuid}`);
    const before = await definition(host, uuid);
    await daemon.json("PUT", `/vms/${uuid}`, { vmdef: change(def), deletestorage: false });
    const after = await definition(host, uuid);
    return { gone: missing(before, after), new: missing(after, before) };
  };

  for (const firmware of [0, 1] as const) {
    const vmdef = { ...DEF, firmware };
    const uuid = await daemon.json<string>("POST", "/vms", { vmdef, host: "" });
    await addWhatOthersAdd(host, uuid);
    const what = firmware === 0 ? "bios" : "uefi";

    await t.step(`${what}: memory`, async () => {
      const { gone, new: young } = await update(
        uuid,
        (def) => ({ ...def, memory: { total: 384, hp: false } }),
      );
      assert.deepEqual([gone, young], [
        ["<memory unit='KiB'>131072</memory>", "<currentMemory unit='KiB'>131072</currentMemory>"],
        ["<memory unit='KiB'>393216</memory>", "<currentMemory unit='KiB'>393216</currentMemory>"],
      ]);
      assert.match(await host.exec(["virsh", "dominfo", uuid]), /Autostart: +enable/);
    });

    await t.step(`${what}: the first of two interfaces goes, and nothing moves`, async () => {
      const { gone, new: young } = await update(uuid, (def) => ({ ...def, nets: def.nets.slice(1) }));
      assert.deepEqual(young, []);
      const names = gone.map((line) => /^<\/?\w+/.exec(line)?.[0]).toSorted();
      assert.deepEqual(names, ["</interface", "<address", "<interface", "<mac", "<model", "<source"]);
    });

    await t.step(`${what}: a name, a custom field, a CPU and another disk`, async () => {
      const data = disk("/vms/ds/data.qcow2", { man: 1, prov: 1, size: 8, bus: 1 });
      const { gone } = await update(uuid, (def) => ({
        ...def,
        name: "own2",
        custom: [{ name: "owner", value: "me" }],
        cpudef: { ...def.cpudef, cores: 2 },
        disks: [data],
      }));
      const allowed = /^<(title>own1|vcpu |topology |iothreads>|\/?virtx|data-vm |.*data-vm)/;
      assert.deepEqual(gone.filter((line) => !allowed.test(line)), []);
      const { def } = await daemon.json<Vm>("GET", `/vms/${uuid}`);
      assert.deepEqual([def.name, def.cpudef.cores, def.disks.length], ["own2", 2, 1]);
    });
    await daemon.json("DELETE", `/vms/${uuid}`, { deletestorage: true });
  }
});

Deno.test("a domain that virt-install would make is changed where it is, under its own name", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const uuid = crypto.randomUUID();
  await host.exec(["qemu-img", "create", "-q", "-f", "qcow2", "/vms/ds/hers.qcow2", "8M"]);
  await host.exec(["tee", "/tmp/hers.xml"], {
    stdin: `<domain type='qemu'><name>hers</name><uuid>${uuid}</uuid>
      <metadata><libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
        <libosinfo:os id="http://debian.org/debian/12"/></libosinfo:libosinfo></metadata>
      <memory unit='MiB'>128</memory><vcpu>2</vcpu>
      <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>
      <features><acpi/><apic/></features><cpu mode='maximum'/>
      <clock offset='utc'><timer name='hpet' present='no'/></clock>
      <devices>
        <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/vms/ds/hers.qcow2'/>
          <target dev='sda' bus='sata'/><serial>S1</serial></disk>
        <interface type='bridge'><source bridge='br0'/><model type='rtl8139'/></interface>
      </devices></domain>`,
  });
  await host.exec(["virsh", "define", "/tmp/hers.xml"]);
  await using daemon = await LabDaemon.start(host);
  const { def } = await daemon.json<Vm>("GET", `/vms/${uuid}`);
  const before = await definition(host, uuid);
  const vmdef = { ...def, memory: { ...def.memory, total: 256 } };
  await daemon.json("PUT", `/vms/${uuid}`, { vmdef, deletestorage: false });
  const after = await definition(host, uuid);
  assert.deepEqual(missing(before, after), [
    "<memory unit='KiB'>131072</memory>",
    "<currentMemory unit='KiB'>131072</currentMemory>",
  ]);
  assert.equal((await host.exec(["virsh", "domname", uuid])).trim(), "hers");
});
