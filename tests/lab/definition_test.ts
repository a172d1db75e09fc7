import assert from "node:assert/strict";
import type { CommandOutput } from "../../scripts/command.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

/** Runs a line of the client on the host, by the socket that it finds for itself. */
async function virtx(host: LabHost, line: string): Promise<CommandOutput> {
  return await host.run(["bash", "-c", `cd /tmp; export HOME=/tmp\n${line}`], { timeoutMs: 120_000 });
}

async function must(host: LabHost, line: string): Promise<string> {
  const { code, stdout, stderr } = await virtx(host, line);
  assert.equal(code, 0, `${line}: ${stderr}`);
  return stdout;
}

Deno.test("an export makes a second VM beside the first, and both run, with nothing in common on the network", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using _daemon = await LabDaemon.start(host);
  await host.exec(["ln", "-sf", "virtxd", "/usr/local/bin/virtx"]);
  const flags = "--cpu-model maximum --memory 64MiB --disk size=16MiB --net bridge=br0 --genid auto";
  await must(host, `virtx vm create --name db1 ${flags}`);
  await must(host, "virtx vm export db1 > db1.yaml && virtx vm create db1.yaml --name db2");
  await must(host, "virtx vm start db1 db2");
  assert.equal((await must(host, "virtx vm list --state running -o name")).trim(), "db1\ndb2");
  const [one, two] = await Promise.all(["db1", "db2"].map(async (name) => {
    const { def } = JSON.parse(await must(host, `virtx vm get ${name} -o json`));
    return { mac: def.nets[0].mac, genid: def.genid, disk: def.disks[0].path, size: def.disks[0].size };
  }));
  assert.ok(one && two);
  assert.deepEqual([one.disk, two.disk, one.size, two.size], [
    "/vms/ds/db1/disk0.qcow2",
    "/vms/ds/db2/disk0.qcow2",
    "16MiB",
    "16MiB",
  ]);
  for (const key of ["mac", "genid"] as const) {
    assert.match(String(one[key]), /^[0-9a-f:-]{17,36}$/);
    assert.notEqual(one[key], two[key]);
  }
  // The same without the other name would take what db1 has, and says whose it is.
  const again = await virtx(host, "virtx vm create db1.yaml");
  assert.equal(again.code, 5);
  assert.match(again.stderr, /osdisk\.path VM "db1" \([0-9a-f-]+\) uses disk "\/vms\/ds\/db1\/disk0\.qcow2"/);
  assert.match(again.stderr, /^ {2}vmdef\.name VM [0-9a-f-]+ on host "virt1" has that name; choose another/m);
  await must(
    host,
    "virtx vm create --name db1 --memory 64MiB --disk size=16MiB,path=/vms/ds/o.qcow2 --allow-duplicate-name",
  );
  const which = await virtx(host, "virtx vm stop db1");
  assert.equal(which.code, 5);
  const [, uuid] = /^ {2}([0-9a-f-]{36}) {2}virt1\/db1 {2}poweroff$/m.exec(which.stderr) ?? [];
  await must(host, `virtx vm delete ${uuid?.slice(0, 9)} --yes`);
  await must(host, "virtx vm kill virt1/db1 --yes");
});

Deno.test("a dry run says what the host, its libvirt and its storage would say, and nothing is written", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using _daemon = await LabDaemon.start(host);
  await host.exec(["ln", "-sf", "virtxd", "/usr/local/bin/virtx"]);
  // Whoever looks whether a disk has a record of its owner makes the directory of these.
  // A host looks at the records of hosts now and then, for which it makes a name and removes it.
  const listing = ["find", "/vms", "!", "-path", "/vms/.virtxd/disks", "!", "-path", "/vms/.virtxd/hosts*"];
  const before = await host.exec(listing);
  const wrong =
    "virtx vm create --name a --cpu-model Westmeer --memory 900GiB --disk /vms/ds/missing.qcow2 " +
    "--disk size=64TiB,prov=thick --net bridge=br77 --net network=nonet";
  const { code, stderr } = await virtx(host, `${wrong} --dry-run`);
  assert.equal(code, 1, stderr);
  for (
    const line of [
      /^refused: osdisk\.path: .*missing\.qcow2.*$/m,
      /^refused: disks\[0\]\.size: 67108864 MiB are to be written at once \(thick\), and \d+ MiB are free/m,
      /^refused: cpudef\.model: libvirt here knows no CPU model "Westmeer" \(did you mean "Westmere"\?\)$/m,
      /^warning: memory\.total: it can never start here: this host has \d+ MiB/m,
      /^warning: nets\[0\]\.name: .*no bridge "br77"/m,
      /^warning: nets\[1\]\.name: .*no active network "nonet"/m,
      /^Host .* would refuse this\.$/m,
    ]
  ) assert.match(stderr, line);
  const real = await virtx(host, wrong);
  assert.equal(real.code, 64);
  assert.match(real.stderr, /for 3 reasons/);
  assert.equal(await host.exec(listing), before);
  const unknown = await virtx(
    host,
    "virtx vm create --name a --memory 64MiB --disk size=8MiB --host virt9 --dry-run",
  );
  assert.equal(unknown.code, 4);
  assert.match(unknown.stderr, /There is no host "virt9"/);
  const fine = await virtx(
    host,
    "virtx vm create --name a --cpu-model maximum --memory 64MiB --disk size=8MiB --net bridge=br0 --dry-run",
  );
  assert.deepEqual(
    [fine.code, fine.stderr.includes("can do this; nothing was done")],
    [0, true],
    fine.stderr,
  );
  assert.equal(await host.exec(listing), before);
  assert.match(await must(host, "virtx host get virt1"), /Storage left +[\d.]+ [MGT]iB/);
  assert.match(await must(host, "virtx cluster status"), /Storage left +[\d.]+ [MGT]iB/);
});
