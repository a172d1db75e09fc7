import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { run } from "../../scripts/command.ts";
import { LabHost } from "../../scripts/lab/host.ts";
import { Lab } from "../../scripts/lab/lab.ts";
import { aliveMembers } from "../../scripts/lab/services.ts";
import { labDirectory, readLab } from "../../scripts/lab/state.ts";
import { until } from "../../scripts/lab/until.ts";
import { silentProgress } from "../../scripts/progress.ts";
import { TestLab } from "./support/test_lab.ts";
import { exists, LabTraces } from "./support/traces.ts";

const LAB_SCRIPT = fileURLToPath(new URL("../../scripts/lab.ts", import.meta.url));

/** The pids, on the host, of its libvirtd and Serf agent. */
async function services(host: LabHost): Promise<string> {
  return await host.exec(["cat", "/run/libvirtd.pid", "/run/serf.pid"]);
}

async function pidOf(host: LabHost): Promise<number> {
  return (await host.realm()).pid;
}

Deno.test("up changes nothing that is in order, and adds the hosts that are wanted more", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const before = [await pidOf(lab.host()), await services(lab.host()), lab.host().record];
  await Lab.up({ name: lab.name, hosts: 2, progress: silentProgress });
  const larger = await Lab.find(lab.name);
  assert.ok(larger);
  assert.deepEqual(
    [await pidOf(lab.host()), await services(lab.host()), larger.host("virt1").record],
    before,
  );
  assert.deepEqual(larger.hosts.map((host) => host.name), ["virt1", "virt2"]);
  assert.deepEqual((await aliveMembers(larger.host("virt2"))).sort(), ["virt1", "virt2"]);
  await Lab.up({ name: lab.name, hosts: 1, progress: silentProgress });
  assert.equal((await readLab(lab.name))?.hosts.length, 2);
});

Deno.test("up brings back a host that crashed, with its files, and a libvirtd that was killed", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  const [first, second] = [lab.host(1), lab.host(2)];
  await first.exec(["tee", "/etc/virtxd.toml", "/vms/shared", "/run/volatile"], { stdin: "here" });
  await first.crash();
  assert.equal((await first.status()).pid, undefined);
  await second.exec(["kill", "-9", (await second.exec(["cat", "/run/libvirtd.pid"])).trim()]);
  await Lab.up({ name: lab.name, hosts: 2, progress: silentProgress });
  for (const host of [first, second]) {
    const { libvirtd, serf } = await host.status();
    assert.ok(libvirtd && serf, host.name);
    assert.equal(await host.exec(["cat", "/vms/shared"]), "here");
  }
  assert.equal(await first.exec(["cat", "/etc/virtxd.toml"]), "here");
  assert.notEqual((await first.run(["cat", "/run/volatile"])).code, 0);
});

Deno.test("a host is its own: identity, files, processes; and it has neither Deno nor Node", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  const host = lab.host();
  const capabilities = await host.exec(["virsh", "capabilities"]);
  assert.match(capabilities, new RegExp(`<uuid>${host.record.uuid}</uuid>`));
  assert.equal((await host.exec(["virsh", "hostname"])).trim(), "virt1");
  assert.notEqual((await host.run(["touch", "/root/file"])).code, 0);
  for (const program of ["deno", "node", "npm", "npx"]) {
    assert.notEqual((await host.run(["which", program])).code, 0, program);
  }
  assert.equal((await host.run(["test", "-e", "/work"])).code, 1);
  await host.exec(["touch", "/vms/file"]);
  assert.equal(await exists("/vms/file"), false);
  const programs = await lab.host(2).exec(["sh", "-c", "cat /proc/[0-9]*/comm"]);
  assert.deepEqual(programs.match(/^(libvirtd|serf)$/gm)?.sort(), ["libvirtd", "serf"]);
});

Deno.test("the machine reaches a host by its address, and hosts each other by name", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  (await Deno.connect({ hostname: lab.host().address, port: 16509 })).close();
  const uri = await lab.host(1).exec(["virsh", "--connect=qemu+tcp://virt2/system", "uri"]);
  assert.equal(uri.trim(), "qemu+tcp://virt2/system");
});

Deno.test("hosts still reach each other when the interface of a guest that moves is on both", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  const [one, two] = [lab.host(1), lab.host(2)];
  for (const host of [one, two]) {
    await host.exec(["ip", "link", "add", "guest", "address", "02:00:00:00:00:01", "type", "veth"]);
    await host.exec(["ip", "link", "set", "guest", "master", "br0", "up"]);
  }
  await one.exec(["virsh", `--connect=qemu+tcp://${two.address}/system`, "uri"]);
});

Deno.test("two labs side by side do not know each other", async () => {
  await using one = await TestLab.up({ hosts: 1 });
  await using two = await TestLab.up({ hosts: 1 });
  assert.notEqual(one.host().address, two.host().address);
  assert.notEqual(
    (await one.host().run(["virsh", `--connect=qemu+tcp://${two.host().address}/system`, "uri"])).code,
    0,
  );
  assert.deepEqual(await aliveMembers(two.host()), ["virt1"]);
  await one.host().exec(["touch", "/vms/of-one"]);
  assert.notEqual((await two.host().run(["ls", "/vms/of-one"])).code, 0);
  await Lab.down(one.name);
  assert.ok((await two.host().status()).libvirtd);
});

Deno.test("down leaves nothing behind", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  const hosts = [lab.host(1), lab.host(2)];
  await hosts[0]?.exec(["setsid", "--fork", "sleep", "1000"], { discard: true });
  const traces = await LabTraces.of(lab.lab.record, await Promise.all(hosts.map(pidOf)));
  assert.ok((await traces.left()).length >= 8, "the search finds a running lab");
  await Lab.down(lab.name);
  assert.deepEqual(await traces.left(), []);
});

/** How far `up` is let before it is killed, from what can be seen of its progress. */
const MOMENTS: Record<string, (name: string) => Promise<boolean>> = {
  "its record is written": (name) => exists(`${labDirectory(name)}/lab.json`),
  "the switch is being made": (name) => exists(`${labDirectory(name)}/switch`),
  "a host is being made": (name) => exists(`${labDirectory(name)}/virt1`),
  "a host's services start": (name) => exists(`${labDirectory(name)}/virt1/ready`),
};

for (const [moment, reached] of Object.entries(MOMENTS)) {
  Deno.test(`down undoes what an up left that was killed when ${moment}`, async () => {
    const name = `test-kill-${crypto.randomUUID().slice(0, 8)}`;
    const args = ["run", "--allow-all", LAB_SCRIPT, "up", "--name", name, "--hosts", "2"];
    const up = new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "null" }).spawn();
    try {
      await until(moment, async () => await reached(name) || undefined, 30_000, 1);
      up.kill("SIGKILL");
      await up.status;
      const record = await readLab(name);
      assert.ok(record);
      const pids = await Promise.all(
        record.hosts.map((host) => new LabHost(record, host).status().then((status) => status.pid)),
      );
      const traces = await LabTraces.of(record, pids.filter((pid) => pid !== undefined));
      await Lab.down(name);
      assert.deepEqual(await traces.left(), []);
    } finally {
      await Lab.down(name);
    }
  });
}

Deno.test("the command line starts a lab, shows it, runs commands on it, and ends it", async () => {
  const name = `test-cli-${crypto.randomUUID().slice(0, 8)}`;
  const lab = (...args: string[]) => run([Deno.execPath(), "run", "--allow-all", LAB_SCRIPT, ...args]);
  try {
    assert.equal((await lab("up", "--name", name)).code, 0);
    assert.match((await lab("status", "--name", name)).stdout, /^virt1 .* runs +runs +0$/m);
    const exec = await lab("exec", "--name", name, "virt1", "sh", "-c", "hostname; exit 7");
    assert.deepEqual(exec, { code: 7, stdout: "virt1\n", stderr: "" });
    assert.match((await lab("logs", "--name", name, "virt1")).stdout, /Serf agent running/);
    assert.match((await lab("exec", "--name", name, "virt9", "true")).stdout, /has no host "virt9"/);
    assert.equal((await lab("down", "--name", name)).code, 0);
    assert.match((await lab("exec", "--name", name, "virt1", "true")).stdout, /There is no lab/);
  } finally {
    await Lab.down(name);
  }
});
