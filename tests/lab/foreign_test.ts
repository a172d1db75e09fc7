import assert from "node:assert/strict";
import type { CommandOutput } from "../../scripts/command.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

/** A domain as another tool would define it. */
interface Foreign {
  readonly name: string;
  readonly uuid: string;
  readonly xml: string;
  /** Whether QEMU can run it here. */
  readonly starts: boolean;
  /** What `vm get` says of it, beside its name. */
  readonly says: readonly RegExp[];
}

function foreign(
  name: string,
  devices: string,
  o: { readonly starts?: boolean; readonly says?: readonly RegExp[]; readonly cpu?: string } = {},
): Foreign {
  const uuid = crypto.randomUUID();
  // libvirt 11 wants it.
  const shared = devices.includes("vhostuser")
    ? "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
    : "";
  const xml = `<domain type='qemu'>
    <name>${name}</name><uuid>${uuid}</uuid>
    <memory unit='MiB'>64</memory>${shared}<vcpu>${o.cpu?.includes("threads") ? 2 : 1}</vcpu>
    <os><type arch='x86_64' machine='pc'>hvm</type></os>
    ${o.cpu ?? "<cpu mode='maximum'/>"}
    <devices>${devices}</devices></domain>`;
  return { name, uuid, xml, starts: o.starts ?? true, says: o.says ?? [] };
}

const file = (path: string, target = "<target dev='vda' bus='virtio'/>") =>
  `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${path}'/>${target}</disk>`;

const VMS: readonly Foreign[] = [
  foreign(
    "own1",
    `${file("/vms/ds/own1.qcow2")}
    <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
    <serial type='pty'/><console type='pty'/>`,
    { cpu: "<cpu><topology sockets='1' cores='1' threads='2'/></cpu>" },
  ),
  foreign("instance-00000a1b-production-customer-4711-database-primary", file("/vms/ds/long.qcow2")),
  foreign("legacy", file("/var/lib/libvirt/images/legacy.qcow2"), {
    says: [/legacy\.qcow2 .*kept as it is/],
  }),
  foreign(
    "nickinds",
    `${file("/vms/ds/kiosk.qcow2")}
    <interface type='user'><mac address='52:54:00:00:b1:51'/><model type='virtio'/></interface>
    <interface type='direct'><mac address='52:54:00:00:b1:52'/><source dev='eth0' mode='bridge'/><model type='virtio'/></interface>
    <interface type='hostdev' managed='yes'><mac address='52:54:00:00:b1:53'/>
      <source><address type='pci' domain='0x0000' bus='0x08' slot='0x10' function='0x6'/></source></interface>
    <interface type='vhostuser'><mac address='52:54:00:00:b1:54'/><source type='unix' path='/run/v.sock' mode='client'/>
      <model type='virtio'/></interface>
    <interface type='ethernet'><mac address='52:54:00:00:b1:55'/><model type='virtio'/></interface>
    <serial type='file'><source path='/var/log/serial.log'/></serial>`,
    { starts: false },
  ),
  foreign(
    "ceph-vm",
    `
    <disk type='network' device='disk'><driver name='qemu' type='raw'/>
      <auth username='libvirt'><secret type='ceph' uuid='b1000000-0000-4000-8000-0000000000ff'/></auth>
      <source protocol='rbd' name='vmpool/disk1'><host name='mon1' port='6789'/></source>
      <target dev='vda' bus='virtio'/></disk>
    <disk type='volume' device='disk'><driver name='qemu' type='qcow2'/><source pool='default' volume='data.qcow2'/>
      <target dev='vdb' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/vms/ds/secret.qcow2'>
      <encryption format='luks'><secret type='passphrase' uuid='b1000000-0000-4000-8000-0000000000fe'/></encryption></source>
      <target dev='vdc' bus='virtio'/></disk>
    <disk type='file' device='floppy'><driver name='qemu' type='raw'/><source file='/vms/ds/f.raw'/>
      <target dev='fda' bus='fdc'/></disk>`,
    { starts: false },
  ),
];

const TRANSIENT = foreign("passing", "<serial type='pty'/>");

async function virtx(host: LabHost, line: string): Promise<CommandOutput> {
  return await host.run(["bash", "-c", `cd /tmp; export HOME=/tmp\nvirtx ${line}`], { timeoutMs: 120_000 });
}

async function must(host: LabHost, line: string): Promise<string> {
  const { code, stdout, stderr } = await virtx(host, line);
  assert.equal(code, 0, `${line}: ${stderr}`);
  return stdout;
}

async function bring(host: LabHost, { xml }: Foreign, verb: "define" | "create"): Promise<void> {
  await host.exec(["tee", "/tmp/foreign.xml"], { stdin: xml });
  await host.exec(["virsh", verb, "/tmp/foreign.xml"]);
}

async function linesOf(host: LabHost, uuid: string): Promise<string[]> {
  return (await host.exec(["virsh", "dumpxml", "--inactive", uuid])).split("\n");
}

Deno.test("VMs that other tools have made are listed, told, changed, started and stopped like others", async (t) => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await host.exec(["mkdir", "-p", "/var/lib/libvirt/images"]);
  for (const path of ["ds/own1", "ds/long", "ds/kiosk", "ds/secret"]) {
    await host.exec(["qemu-img", "create", "-q", "-f", "qcow2", `/vms/${path}.qcow2`, "8M"]);
  }
  await host.exec(["qemu-img", "create", "-q", "-f", "qcow2", "/var/lib/libvirt/images/legacy.qcow2", "8M"]);
  for (const vm of VMS) await bring(host, vm, "define");
  await bring(host, TRANSIENT, "create");
  await using _daemon = await LabDaemon.start(host);
  await host.exec(["ln", "-sf", "virtxd", "/usr/local/bin/virtx"]);

  for (const { name, uuid, xml, starts, says } of VMS) {
    await t.step(name, async () => {
      assert.match(await must(host, "vm list -o name"), new RegExp(`^${name}$`, "m"));
      const told = await must(host, `vm get ${name}`);
      for (const pattern of says) assert.match(told, pattern);
      await must(host, `vm export ${name}`);

      const before = await linesOf(host, uuid);
      await must(host, `vm update ${name} --memory 96MiB`);
      const expected = before.map((line) => line.replace(/(emory unit='KiB'>)65536</, "$198304<"));
      assert.deepEqual(await linesOf(host, uuid), expected);

      if (!starts) return;
      await must(host, `vm start ${name}`);
      if (!xml.includes("<serial type='pty'/>")) {
        const { stderr } = await virtx(host, `vm console ${name} < /dev/null`);
        assert.match(stderr, /Cannot open the console of VM ".*": it has none; add a serial device/);
      }
      await must(host, `vm kill ${name} --yes`);
      assert.equal((await must(host, `vm get ${name} --state -o 'template={state}'`)).trim(), "poweroff");
    });
  }

  await t.step("one with a title goes by that, and by its name in libvirt", async () => {
    const [one, other] = [foreign("web-7", ""), foreign("web-8", "")];
    for (const vm of [one, other]) {
      await bring(
        host,
        { ...vm, xml: vm.xml.replace("<memory", "<title>Shop &amp; till</title><memory") },
        "define",
      );
    }
    await until("both to be there", async () => {
      return (await must(host, "vm list -o name")).match(/^Shop & till$/gm)?.length === 2 || undefined;
    }, 30_000);
    assert.match(
      await must(host, "vm get web-7"),
      new RegExp(`Name +Shop & till\n *UUID +${one.uuid}\n *In libvirt +web-7`),
    );
    assert.equal((await must(host, "vm get web-8 -o 'template={uuid}'")).trim(), other.uuid);
    const { code, stderr } = await virtx(host, "vm get 'Shop & till'");
    assert.notEqual(code, 0);
    assert.match(stderr, /could be any of 2 VMs/);
    await must(host, "vm update web-7 --memory 96MiB");
    await must(host, "vm start web-8 web-7");
    await must(host, "vm kill web-8 web-7 --yes");
    assert.match((await virtx(host, "vm get web-")).stderr, /There is no VM "web-"/);
  });

  await t.step("a transient one", async () => {
    await must(host, "vm get passing");
    await must(host, "vm export passing");
    await must(host, "vm pause passing");
    await must(host, "vm resume passing");
    await must(host, "vm kill passing --yes");
    assert.doesNotMatch(await must(host, "vm list -o name"), /passing/);
  });
});
