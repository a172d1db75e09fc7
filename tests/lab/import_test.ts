import assert from "node:assert/strict";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { CliHost } from "./support/cli_host.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

const UUID = "b1000000-0000-4000-8000-000000000031";
const MAC = "52:54:00:0a:0b:0c";
const OUTSIDE = "/var/lib/libvirt/images/legacy.qcow2";

function disk(path: string, target: string): string {
  return `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${path}'/>
    <target dev='${target}' bus='virtio'/></disk>`;
}

const LEGACY = `<domain type='qemu'><name>legacy</name><uuid>${UUID}</uuid><title>Till 7</title>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os><cpu mode='maximum'/>
  <devices>${disk("/vms/ds/legacy.qcow2", "vda")}${disk(OUTSIDE, "vdb")}
  <interface type='bridge'><mac address='${MAC}'/><source bridge='br0'/><model type='virtio'/></interface>
  <hostdev mode='subsystem' type='usb' managed='yes'><source><vendor id='0x1234'/><product id='0xbeef'/></source></hostdev>
  <graphics type='vnc' port='-1' passwd='s3cr3t'/></devices></domain>`;

async function image(host: LabHost, path: string): Promise<void> {
  await host.exec(["mkdir", "-p", path.slice(0, path.lastIndexOf("/"))]);
  await host.exec(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"]);
}

Deno.test("a VM of another tool is imported from its host or from a file, and what that means is said before", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  const host = lab.host(1);
  for (const path of ["/vms/ds/legacy.qcow2", OUTSIDE]) await image(host, path);
  await host.exec(["tee", "/tmp/legacy.xml"], { stdin: LEGACY });
  await host.exec(["virsh", "define", "/tmp/legacy.xml"]);
  await using cluster = await LabCluster.start(lab);
  const desk = await CliHost.set(cluster, 2);
  const dumped = () => host.exec(["virsh", "dumpxml", "--inactive", "--security-info", UUID]);
  const before = await dumped();

  await t.step("a dry run says what is kept and changed", async () => {
    const told = await desk.must("virtx vm import legacy --dry-run");
    const words = told.replaceAll(/\s+/g, " ");
    assert.match(words, /keeps its definition in libvirt, all of it, and its name there, legacy/);
    assert.match(words, /keeps disk \/vms\/ds\/legacy.qcow2/);
    assert.match(
      words,
      /legacy.qcow2, where it is: it is not below \/vms\/ds, so the VM cannot leave this host/,
    );
    assert.match(words, /what ties it to host "virt1": <hostdev> is of the host/);
    assert.match(words, /changes disk \/vms\/ds\/legacy.qcow2 is recorded as its own/);
    const lines = JSON.parse(await desk.must("virtx vm import legacy --dry-run -o json"));
    assert.ok(
      lines.every(({ what }: { what: string }) => ["keeps", "changes"].includes(what)),
      JSON.stringify(lines),
    );
  });

  await t.step("without --yes nobody is there to be asked", async () => {
    const { code, stderr } = await desk.sh("virtx vm import legacy < /dev/null");
    assert.notEqual(code, 0);
    assert.match(stderr, /Import Till 7 on host virt1\? Nobody can be asked here: give --yes/);
  });

  await t.step("it is adopted as it is", async () => {
    assert.match(await desk.must("virtx vm import legacy --yes"), new RegExp(`Till 7: imported, ${UUID}`));
    assert.equal(await dumped(), before);
    const registered = await host.exec(["cat", `/vms/xml/${cluster.uuid(1)}/${UUID}.xml`]);
    assert.match(registered, /<name>legacy</);
    assert.doesNotMatch(registered, /s3cr3t/);
    const { stderr } = await desk.sh(
      "virtx vm create --name thief --memory 64MiB --disk path=/vms/ds/legacy.qcow2",
    );
    assert.match(stderr, /"\/vms\/ds\/legacy.qcow2" is one of VM "Till 7"/);
  });

  await t.step("its file elsewhere is refused for what it clashes with and reaches for", async () => {
    await host.exec(["cp", "/tmp/legacy.xml", "/vms/legacy.xml"]);
    const { code, stdout } = await desk.sh("virtx vm import -f /vms/legacy.xml --host virt2 --dry-run");
    assert.equal(code, 1);
    const words = stdout.replaceAll(/\s+/g, " ");
    assert.match(words, /refused uuid: VM "Till 7" on host "virt1" has the UUID/);
    assert.match(words, /refused xml: <source file="\/var\/lib[^>]*"> is not for guests/);
  });

  await t.step("a copy of it with ids of its own is defined elsewhere, and starts", async () => {
    await image(host, "/vms/ds/copy.qcow2");
    const xml = LEGACY.replace("/vms/ds/legacy.qcow2", "/vms/ds/copy.qcow2").replace("Till 7", "Till 8")
      .replace(disk(OUTSIDE, "vdb"), "").replace(/<hostdev[^]*<\/hostdev>/, "");
    await host.exec(["tee", "/vms/copy.xml"], { stdin: xml });
    const said = await desk.must("virtx vm import -f - --host virt2 --new-ids --yes < /vms/copy.xml");
    assert.match(said, /Till 8: imported, [0-9a-f-]{36}/);
    const uuid = (await desk.must("virtx vm get 'Till 8' -o 'template={uuid}'")).trim();
    const made = await lab.host(2).exec(["virsh", "dumpxml", "--inactive", "--security-info", uuid]);
    assert.match(made, new RegExp(`<name>${uuid}</name>[^]*passwd='s3cr3t'`));
    assert.doesNotMatch(made, new RegExp(MAC));
    await desk.must("virtx vm start 'Till 8'");
    await desk.must("virtx vm kill 'Till 8' --yes");
  });
});

Deno.test("a copy by export and create shares nothing with the VM; a deletion without storage leaves UEFI variables", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  await using cluster = await LabCluster.start(lab);
  const desk = await CliHost.set(cluster, 1);
  const host = lab.host(1);
  const flags =
    "--memory 192MiB --cpu-model maximum --firmware uefi --genid auto --net bridge=br0 --disk size=8MiB";
  await desk.must(`virtx vm create --name db1 ${flags} --disk size=4MiB`);
  await desk.must("virtx vm export db1 | virtx vm create --name db2 -f -");
  const uuids = new Map<string, string>();
  const unique = async (name: string) => {
    const uuid = (await desk.must(`virtx vm get ${name} -o 'template={uuid}'`)).trim();
    uuids.set(name, uuid);
    const xml = await host.exec(["virsh", "dumpxml", "--inactive", uuid]);
    const found = (pattern: RegExp) => Array.from(xml.matchAll(pattern), ([, value]) => value);
    return [
      ...found(/<source file='([^']+)'/g),
      ...found(/<mac address='([^']+)'/g),
      ...found(/<genid>([^<]+)</g),
      ...found(/<nvram[^>]*>([^<]+)</g),
    ];
  };
  const [one, other] = [await unique("db1"), await unique("db2")];
  assert.equal(one.length, 5, one.join());
  assert.equal(new Set([...one, ...other]).size, 10, [...one, ...other].join());

  await desk.must("virtx vm start db1 db2");
  const variables = `/vms/ds/nvram/${uuids.get("db1")}.fd`;
  await until("firmware to write its variables", async () => {
    return (await host.run(["test", "-s", variables])).code === 0 || undefined;
  }, 60_000);
  await desk.must("virtx vm kill db1 db2 --yes");
  await desk.must("virtx vm delete db1 --yes");
  await host.exec(["test", "-s", variables]);
  await desk.must("virtx vm delete db2 --storage --yes");
  assert.notEqual((await host.run(["test", "-e", `/vms/ds/nvram/${uuids.get("db2")}.fd`])).code, 0);
});
