import assert from "node:assert/strict";
import { HostBackup } from "../../scripts/lab/faults/backup.ts";
import { limitBandwidth } from "../../scripts/lab/faults/bandwidth.ts";
import { skewedClock } from "../../scripts/lab/faults/clock.ts";
import { losePackets, losePacketsAmong, partition } from "../../scripts/lab/faults/packets.ts";
import { powerFailure } from "../../scripts/lab/faults/power.ts";
import { freeze, kill } from "../../scripts/lab/faults/processes.ts";
import { fillStorage, smallSharedStorage } from "../../scripts/lab/faults/storage.ts";
import { HostProcess } from "../../scripts/lab/host_process.ts";
import { until } from "../../scripts/lab/until.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { defineIdleGuest } from "./support/idle_guest.ts";
import { TestLab } from "./support/test_lab.ts";

/** How many of so many datagrams arrive. */
async function arrivals(from: LabHost, to: LabHost, count: number, port = 4444): Promise<number> {
  // A rule that does nothing but count, behind those that drop.
  const rule = ["INPUT", "-s", from.address, "-p", "udp", "--dport", `${port}`];
  await to.exec(["iptables", "-A", ...rule]);
  await from.exec(["bash", "-c", `for i in {1..${count}}; do echo >/dev/udp/${to.address}/${port}; done`]);
  const counters = await to.exec(["iptables", "-nvxL", "INPUT"]);
  await to.exec(["iptables", "-D", ...rule]);
  return Number(counters.trim().split("\n").at(-1)?.trim().split(/\s+/)[0]);
}

async function reaches(from: LabHost, to: LabHost, port?: number): Promise<boolean> {
  return await arrivals(from, to, 1, port) === 1;
}

Deno.test("packet loss: by direction, by port, by chance, and no more when it is over", async (t) => {
  await using lab = await TestLab.up({ hosts: 3 });
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  const reached = async () => [
    await reaches(one, three),
    await reaches(three, one),
    await reaches(two, three),
    await reaches(three, two),
    await reaches(one, two),
  ];
  const ALL = [true, true, true, true, true];

  await t.step("a partition of 2 | 1", async () => {
    {
      await using _cut = await partition([one, two], [three]);
      assert.deepEqual(await reached(), [false, false, false, false, true]);
    }
    assert.deepEqual(await reached(), ALL);
  });
  await t.step("one way", async () => {
    {
      await using _cut = await losePackets({ from: [one], to: [three] });
      assert.deepEqual(await reached(), [false, true, true, true, true]);
    }
    assert.deepEqual(await reached(), ALL);
  });
  await t.step("one port", async () => {
    await using _cut = await partition([one, two], [three], { port: 4445 });
    assert.deepEqual(await reached(), ALL);
    assert.equal(await reaches(one, three, 4445), false);
  });
  await t.step("30 % among all", async () => {
    await using _loss = await losePacketsAmong([one, two, three], { probability: 0.3 });
    for (const [from, to] of [[one, two], [three, two]] as const) {
      const arrived = await arrivals(from, to, 400);
      assert.ok(arrived > 200 && arrived < 360, `${arrived} of 400`); // more than six standard deviations
    }
  });
  await t.step("of a host that crashes meanwhile", async () => {
    {
      await using _cut = await partition([one, two], [three]);
      await three.crash();
    }
    await lab.lab.boot(three);
    assert.deepEqual(await reached(), ALL);
  });
});

/** How long a megabyte takes from a host to this machine, in milliseconds. */
async function megabyte(lab: TestLab, host: LabHost): Promise<number> {
  using listener = Deno.listen({ hostname: `${lab.lab.record.subnet}.1`, port: 0 });
  const began = performance.now();
  const command = `head -c 1000000 /dev/zero >/dev/tcp/${listener.addr.hostname}/${listener.addr.port}`;
  const sending = host.exec(["bash", "-c", command]);
  using connection = await listener.accept();
  for await (const _bytes of connection.readable.values({ preventCancel: true }));
  await sending;
  return performance.now() - began;
}

Deno.test("a limited link is slow, and no longer than that", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  {
    await using _limit = await limitBandwidth(lab.host(), 8);
    assert.ok(await megabyte(lab, lab.host()) > 800);
  }
  assert.ok(await megabyte(lab, lab.host()) < 800);
});

Deno.test("processes: frozen they do not answer, thawed they do; killed they are gone until the host is repaired", async (t) => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  const asks = {
    serf: ["timeout", "1", "serf", "info"],
    libvirtd: ["timeout", "1", "virsh", "list"],
  };
  const answers = async (argv: readonly string[]) => (await host.run(argv)).code === 0;
  for (const service of ["serf", "libvirtd"] as const) {
    await t.step(service, async () => {
      {
        await using _frozen = await freeze(host, service);
        assert.equal(await answers(asks[service]), false);
      }
      assert.equal(await answers(asks[service]), true);
      await kill(host, service);
      assert.equal((await host.status())[service], false);
      await lab.lab.boot(host);
      assert.equal(await answers(asks[service]), true);
    });
  }
  await t.step("a program of the test's own", async () => {
    for (const last of ["SIGCONT", "SIGKILL"] as const) {
      await using process = await HostProcess.spawn(host, ["sleep", "1000"]);
      process.kill("SIGSTOP");
      await until("it to stop", async () => {
        return /^State:\s+T/m.test(await Deno.readTextFile(`/proc/${process.pid}/status`)) || undefined;
      }, 5_000);
      process.kill(last);
      process.kill("SIGTERM");
      assert.equal((await process.status).success, false);
    }
  });
  await t.step("a guest", async () => {
    const guest = await defineIdleGuest(host);
    await host.exec(["virsh", "start", guest]);
    const pid = (await host.exec(["cat", `/run/libvirt/qemu/${guest}.pid`])).trim();
    const isFrozen = async () => /^State:\s+T/m.test(await host.exec(["cat", `/proc/${pid}/status`]));
    {
      await using _frozen = await freeze(host, { guest });
      await until("the guest to stand still", async () => await isFrozen() || undefined, 5_000);
    }
    await until("the guest to go on", async () => !await isFrozen() || undefined, 5_000);
    await kill(host, { guest });
    assert.equal((await host.status()).guests, 0);
  });
});

Deno.test("a host without power is gone, and boots with an old disk as the same host in an old state", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  const [host, other] = [lab.host(1), lab.host(2)];
  const old = await defineIdleGuest(host);
  await using backup = await HostBackup.take(host);
  await assert.rejects(backup.restore(), /is up/);
  await host.exec(["virsh", "undefine", old]);
  const late = await defineIdleGuest(host);
  {
    await using _dark = await powerFailure(lab.lab, host);
    assert.equal(await host.isUp(), false);
    assert.equal(await reachable(other, host), false);
    await backup.restore();
  }
  assert.equal(await reachable(other, host), true);
  const domains = await host.exec(["virsh", "list", "--all", "--uuid"]);
  assert.deepEqual([domains.includes(old), domains.includes(late)], [true, false]);
  assert.match(await host.exec(["virsh", "capabilities"]), new RegExp(host.record.uuid));
});

/** Whether a host's libvirtd can be connected to from another host; there is time for a packet that is lost to be sent again. */
async function reachable(from: LabHost, to: LabHost): Promise<boolean> {
  return (await from.run(["timeout", "4", "bash", "-c", `: <>/dev/tcp/${to.address}/16509`])).code === 0;
}

Deno.test("a skewed clock is that of one program, and only the wall clock", async () => {
  await using lab = await TestLab.up({ hosts: 1 });
  const skew = async (offsetMs: number) => {
    const env = Object.entries(skewedClock(offsetMs)).map(([name, value]) => `${name}=${value}`);
    const time = Number(await lab.host().exec(["env", ...env, "date", "+%s"]));
    return Math.round((time * 1000 - Date.now()) / 60_000) + 0; // no -0
  };
  assert.deepEqual([await skew(3_600_000), await skew(-3_600_000), await skew(0)], [60, -60, 0]);
});

Deno.test("small shared storage is one for all hosts, gets full, and gives way to the lab's own", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  const [one, two] = [lab.host(1), lab.host(2)];
  await assert.rejects(fillStorage(one), /not a small file system/);
  {
    await using _small = await smallSharedStorage([one, two], 16);
    await one.exec(["tee", "/vms/ds/of-one"], { stdin: "here" });
    assert.equal(await two.exec(["cat", "/vms/ds/of-one"]), "here");
    const write = ["dd", "if=/dev/zero", "of=/vms/ds/file", "bs=64k", "count=1"];
    {
      await using _full = await fillStorage(one);
      const refused = await two.run(write);
      assert.match(refused.stderr, /No space left/);
    }
    await two.exec(write);
  }
  assert.equal((await one.exec(["find", "/vms", "-type", "f"])).trim(), "");
});
