import assert from "node:assert/strict";
import { HostState, Runstate } from "../../lib/model/enums.ts";
import type { Vm, Vmdef } from "../../lib/model/vm.ts";
import { HostBackup } from "../../scripts/lab/faults/backup.ts";
import { skewedClock } from "../../scripts/lab/faults/clock.ts";
import { losePackets, losePacketsAmong, partition } from "../../scripts/lab/faults/packets.ts";
import { powerFailure } from "../../scripts/lab/faults/power.ts";
import { freeze, kill } from "../../scripts/lab/faults/processes.ts";
import { aliveMembers } from "../../scripts/lab/services.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { CliHost } from "./support/cli_host.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

/** How long a lost host, or one that is back, may go unnoticed by Serf, with its default settings. */
const SERF_MS = 60_000;
/** In which time all must agree after they can speak with each other again. */
const REPAIR_MS = 5_000;
/** A change is heard of in this time, if nothing is lost. */
const NEWS_MS = 5_000;

/** A VM without anything to boot; its disk is there from its creation on. */
function vmdef(name: string): Vmdef {
  return { ...SMALL_VMDEF, name, osdisk: disk(`/vms/ds/${name}.qcow2`, { man: 1, prov: 1, size: 8 }) };
}

/** Creates a VM on a host, by asking another one. */
async function create(cluster: LabCluster, name: string, on: number, by = on): Promise<string> {
  return await cluster.daemon(by).json<string>("POST", "/vms", {
    vmdef: vmdef(name),
    host: cluster.uuid(on),
  });
}

async function rename(
  cluster: LabCluster,
  uuid: string,
  was: string,
  name: string,
  by: number,
): Promise<void> {
  const { osdisk } = vmdef(was);
  await cluster.daemon(by).json("PUT", `/vms/${uuid}`, {
    vmdef: { ...vmdef(name), osdisk },
    deletestorage: false,
  });
}

async function remove(cluster: LabCluster, uuid: string, by: number): Promise<void> {
  await cluster.daemon(by).json("DELETE", `/vms/${uuid}`, { deletestorage: true });
}

/** Waits until a host lists a VM as it should be. */
async function sees(
  cluster: LabCluster,
  n: number,
  uuid: string,
  wanted: { name?: string; runstate?: number },
  timeoutMs = NEWS_MS,
): Promise<void> {
  await until(`host ${n} to see ${JSON.stringify(wanted)} of VM ${uuid}`, async () => {
    const seen = await cluster.vm(n, uuid);
    const fits = seen && (wanted.name ?? seen.name) === seen.name &&
      (wanted.runstate ?? seen.runstate) === seen.runstate;
    return fits || undefined;
  }, timeoutMs);
}

async function becomes(cluster: LabCluster, n: number, other: number, cstate: HostState): Promise<void> {
  await until(
    `host ${n} to see host ${other} in state ${cstate}`,
    async () => {
      return await cluster.cstate(n, other) === cstate || undefined;
    },
    SERF_MS,
    100,
  );
}

/** Waits until all agents know that all are alive; what is said of virtxd's repair begins there. */
async function serfHealed(cluster: LabCluster): Promise<void> {
  await until(
    "Serf to see all members alive",
    async () => {
      const seen = await Promise.all(cluster.numbers.map((n) => aliveMembers(cluster.host(n))));
      return seen.every((names) => names.length === cluster.numbers.length) || undefined;
    },
    SERF_MS,
    50,
  );
}

Deno.test("what was answered by a host is what that host shows", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const vms: string[] = [];
  await t.step("created on another", async () => {
    for (let round = 0; round < 25; round++) {
      const uuid = await create(cluster, `web${round}`, 1, 2);
      vms.push(uuid);
      assert.equal((await cluster.daemon(2).json<Vm>("GET", `/vms/${uuid}`)).def.name, `web${round}`);
      assert.equal((await cluster.vm(2, uuid))?.host, cluster.uuid(1));
    }
  });
  const [first = ""] = vms;
  await t.step("another state", async () => {
    const steps: [string, string, unknown, Runstate][] = [
      ["POST", "boot", undefined, Runstate.running],
      ["POST", "pause", undefined, Runstate.paused],
      ["DELETE", "pause", undefined, Runstate.running],
      ["DELETE", "boot", { force: 2 }, Runstate.poweroff],
    ];
    for (const [method, path, body, runstate] of steps) {
      await cluster.daemon(2).json(method, `/vms/${first}/runstate/${path}`, body);
      assert.equal(await cluster.daemon(2).runstate(first), runstate, `${method} ${path}`);
    }
    await rename(cluster, first, "web0", "shop", 2);
    assert.equal((await cluster.vm(2, first))?.name, "shop");
  });
  await t.step("moved to another host", async () => {
    for (const [from, to] of [[1, 2], [2, 1]] as const) {
      const { headers } = await cluster.daemon(2).api.request("POST", `/vms/${first}/runstate/migrate`, {
        host: cluster.uuid(to),
        migration_type: 0,
      });
      const operation = `/operations/${headers.get("x-virtx-operation")}`;
      await until(`the migration from ${from} to end`, async () => {
        const { state } = await cluster.daemon(2).json<{ state: string }>("GET", operation);
        return state !== "running" || undefined;
      }, 30_000);
      assert.equal((await cluster.vm(2, first))?.host, cluster.uuid(to));
    }
  });
  await t.step("deleted", async () => {
    for (const uuid of vms) {
      await remove(cluster, uuid, 2);
      assert.equal(await cluster.vm(2, uuid), undefined);
    }
  });
});

Deno.test("a host that has just started does not take a VM for gone that it does not know yet", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const desk = await CliHost.set(cluster);
  const vm = await create(cluster, "web", 2);
  const url = cluster.daemon(1).url;

  /** What host 1 says of the VM until it is ready, as fast as it can be asked. */
  async function whileStarting(): Promise<ReadonlySet<number>> {
    const statuses = new Set<number>();
    await cluster.killDaemon(1);
    let isReady = false;
    const started = cluster.startDaemon(1).finally(() => isReady = true);
    const waits: Promise<void>[] = [];
    while (!isReady) {
      const answers = await Promise.all([`/vms/${vm}`, `/vms/${vm}/runstate`, "/vms"].map(async (path) => {
        const response = await fetch(url + path).catch(() => undefined); // it does not listen yet
        return response && { response, body: await response.json() };
      }));
      for (const answer of answers) statuses.add(answer?.response.status ?? 0);
      const list = answers[2];
      if (list && !list.response.headers.has("x-virtx-incomplete")) assert.equal(list.body.items.length, 1);
      if (list && waits.length < 3) waits.push(isNotGone());
    }
    await started;
    await Promise.all(waits);
    return statuses;
  }

  async function isNotGone(): Promise<void> {
    for (const word of [vm, "web"]) {
      const { code, stdout } = await desk.sh(`virtx vm wait ${word} --for deleted --timeout 1s`);
      assert.ok(code !== 0 && code !== 4, `${word}: ${code} ${stdout}`);
    }
  }

  await t.step("all are there", async () => {
    for (let round = 0; round < 3; round++) {
      const statuses = await whileStarting();
      assert.deepEqual([...statuses].filter((status) => ![0, 200, 503].includes(status)), []);
      assert.equal((await cluster.vm(1, vm))?.name, "web");
    }
    await assert.rejects(cluster.daemon(1).json("GET", `/vms/${cluster.uuid(1)}`), { kind: "not_found" });
  });
  await t.step("one does not tell", async () => {
    await cluster.killDaemon(2);
    const began = performance.now();
    const statuses = await whileStarting();
    assert.ok(!statuses.has(404) && performance.now() - began < 25_000);
    await assert.rejects(cluster.daemon(1).json("GET", `/vms/${vm}`), {
      kind: "unavailable",
      message: /"virt2"/,
    });
    const { degraded } = await cluster.daemon(1).json<{ degraded: string[] }>("GET", "/readyz");
    assert.match(degraded.join(), /the VMs of host "virt2" are not known yet/);
    const list = await desk.sh("virtx vm list");
    assert.match(list.stderr, /VMs may be missing: the VMs of host "virt2" are not known yet/);
    await isNotGone();
  });
  await t.step("until it does", async () => {
    await cluster.startDaemon(2);
    await sees(cluster, 1, vm, { name: "web" }, 10_000);
    // It tells its VMs in parts; that these were all is the last that it tells.
    await until("all to be known", async () => {
      const { code, stderr } = await desk.sh("virtx vm list");
      assert.equal(code, 0, stderr);
      return stderr === "" || undefined;
    }, 30_000);
  });
});

Deno.test("any host answers for all", async (t) => {
  await using lab = await TestLab.up({ hosts: 3 });
  await using cluster = await LabCluster.start(lab);
  let uuid = "";

  await t.step("created on one by another, listed by all, read by way of a third", async () => {
    uuid = await create(cluster, "web", 1, 2);
    for (const n of cluster.numbers) {
      await sees(cluster, n, uuid, { name: "web", runstate: Runstate.poweroff });
    }
    const vm = await cluster.daemon(3).json<Vm>("GET", `/vms/${uuid}`);
    assert.deepEqual([vm.def.name, vm.runinfo.host], ["web", cluster.uuid(1)]);
    assert.match(await cluster.host(1).exec(["virsh", "list", "--all", "--uuid"]), new RegExp(uuid));
    await cluster.settled();
  });
  await t.step("changed by any, and seen by all", async () => {
    await rename(cluster, uuid, "web", "shop", 3);
    for (const n of cluster.numbers) await sees(cluster, n, uuid, { name: "shop" });
    await cluster.daemon(2).json("POST", `/vms/${uuid}/runstate/boot`);
    for (const n of cluster.numbers) await sees(cluster, n, uuid, { runstate: Runstate.running });
    await cluster.daemon(3).json("POST", `/vms/${uuid}/runstate/pause`);
    for (const n of cluster.numbers) await sees(cluster, n, uuid, { runstate: Runstate.paused });
    await cluster.settled();
  });
  await t.step("ended and deleted by any", async () => {
    await cluster.daemon(2).json("DELETE", `/vms/${uuid}/runstate/boot`, { force: 2 });
    for (const n of cluster.numbers) await sees(cluster, n, uuid, { runstate: Runstate.poweroff });
    await remove(cluster, uuid, 3);
    await cluster.settled();
    assert.deepEqual(await cluster.vms(2), []);
  });
  await t.step("what nobody has, nobody answers for", async () => {
    await assert.rejects(cluster.daemon(2).json("GET", `/vms/${uuid}`), { kind: "not_found" });
    await create(cluster, "web", 1, 2);
    // The reason is that of the host that refused, whoever was asked.
    await assert.rejects(
      cluster.daemon(2).json("POST", "/vms", {
        vmdef: { ...vmdef("thief"), osdisk: vmdef("web").osdisk },
        host: cluster.uuid(3),
      }),
      /Cannot create VM "thief": disk "\/vms\/ds\/web\.qcow2" is one of VM "web" .* of host virt1/,
    );
    await cluster.settled();
  });
  await t.step("fifty changes at once arrive", async () => {
    await Promise.all(Array.from({ length: 25 }, async (_, at) => {
      const vm = await create(cluster, `many${at}`, 1 + at % 3, 1 + (at + 1) % 3);
      await rename(cluster, vm, `many${at}`, `more${at}`, 1 + at % 3);
    }));
    await cluster.settled();
    assert.equal((await cluster.vms(3)).filter(({ fields }) => fields.name.startsWith("more")).length, 25);
  });
  await t.step("nothing but log lines has been written", () => {
    for (const n of cluster.numbers) {
      const lines = cluster.daemon(n).process.output.trim().split("\n");
      assert.ok(lines.length > 10);
      for (const line of lines) assert.match(line, /^\{"time":".*\}$/);
    }
  });
});

Deno.test("hosts and links die, and the picture stays true", async (t) => {
  await using lab = await TestLab.up({ hosts: 3 });
  await using cluster = await LabCluster.start(lab);
  const [one, two, three] = [cluster.host(1), cluster.host(2), cluster.host(3)];
  const kept = await create(cluster, "kept", 3);
  await cluster.daemon(3).json("POST", `/vms/${kept}/runstate/boot`);
  await cluster.settled();

  await t.step("a host without power is failed and its VMs unknown; then it is back", async () => {
    {
      await using _dark = await powerFailure(lab.lab, three);
      for (const n of [1, 2]) await becomes(cluster, n, 3, HostState.failed);
      await cluster.settled();
      assert.equal((await cluster.vm(1, kept))?.runstate, Runstate.none);
      // What it is, any host tells from what is registered.
      const { def, runinfo } = await cluster.daemon(1).json<Vm>("GET", `/vms/${kept}`);
      assert.deepEqual([def.name, runinfo.runstate], ["kept", Runstate.none]);
      await assert.rejects(cluster.daemon(1).json("POST", `/vms/${kept}/runstate/pause`), {
        kind: "unavailable",
      });
      await create(cluster, "meanwhile", 1, 2);
    }
    await cluster.startDaemon(3);
    await serfHealed(cluster);
    await cluster.settled(REPAIR_MS);
    assert.equal((await cluster.vm(1, kept))?.runstate, Runstate.poweroff);
  });

  await t.step("a partition of 2 | 1: each side goes on, and both agree when it is over", async () => {
    {
      await using _cut = await partition([one, two], [three]);
      await becomes(cluster, 1, 3, HostState.failed);
      await becomes(cluster, 3, 1, HostState.failed);
      const [left, right] = [await create(cluster, "left", 2, 1), await create(cluster, "right", 3)];
      await rename(cluster, kept, "kept", "renamed", 3);
      assert.deepEqual([await cluster.vm(3, left), await cluster.vm(1, right)], [undefined, undefined]);
    }
    await serfHealed(cluster);
    await cluster.settled(REPAIR_MS);
    assert.equal((await cluster.vm(2, kept))?.name, "renamed");
  });

  await t.step("one way only: news find another way", async () => {
    await using _cut = await losePackets({ from: [one], to: [three] });
    const onOne = await create(cluster, "on-one", 1);
    const onThree = await create(cluster, "on-three", 3);
    await sees(cluster, 3, onOne, {}, 20_000);
    await sees(cluster, 1, onThree, {}, 20_000);
    await assert.rejects(cluster.daemon(1).json("GET", `/vms/${onThree}`), (error: Error) => {
      assert.match(error.message, /virt3/);
      return true;
    });
  });
  await t.step("and when it is over, all is well", async () => {
    await serfHealed(cluster);
    await cluster.settled(REPAIR_MS);
  });

  await t.step("30 % loss: changes arrive all the same", async () => {
    await using _loss = await losePacketsAmong([one, two, three], { probability: 0.3 });
    const vms = await Promise.all([1, 2, 3].map((n) => create(cluster, `lossy${n}`, n)));
    for (const [at, vm] of vms.entries()) {
      for (const name of ["a", "b", "c"]) await rename(cluster, vm, `lossy${at + 1}`, `${name}${at}`, at + 1);
    }
    for (const n of cluster.numbers) {
      for (const [at, vm] of vms.entries()) await sees(cluster, n, vm, { name: `c${at}` }, 20_000);
    }
  });
  await t.step("and when it is over, all is well", async () => {
    await serfHealed(cluster);
    await cluster.settled(REPAIR_MS);
  });
});

Deno.test("programs die and hang, and the picture stays true", async (t) => {
  await using lab = await TestLab.up({ hosts: 3 });
  await using cluster = await LabCluster.start(lab);
  const [, two] = [cluster.host(1), cluster.host(2)];
  const vm = await create(cluster, "web", 2);
  await cluster.settled(); // What dies now has told of it.

  await t.step("Serf killed: the host is failed, reads there go on; then it joins again", async () => {
    await kill(two, "serf");
    await becomes(cluster, 1, 2, HostState.failed);
    await sees(cluster, 1, vm, { runstate: Runstate.none });
    await sees(cluster, 2, vm, { runstate: Runstate.poweroff });
    await rename(cluster, vm, "web", "without-serf", 2);
    await lab.lab.boot(two);
    await serfHealed(cluster);
    await cluster.complete();
    await cluster.settled(REPAIR_MS + 5_000); // the client connects every 5 s
    await sees(cluster, 1, vm, { name: "without-serf" });
  });
  await t.step("Serf hangs for a moment", async () => {
    {
      await using _frozen = await freeze(two, "serf");
      await rename(cluster, vm, "web", "during", 2);
    }
    await serfHealed(cluster);
    await cluster.settled();
  });
  await t.step("libvirtd killed, and what happened meanwhile", async () => {
    await cluster.daemon(1).json("POST", `/vms/${vm}/runstate/boot`);
    await sees(cluster, 3, vm, { runstate: Runstate.running });
    await kill(two, "libvirtd");
    await kill(two, { guest: vm });
    await lab.lab.boot(two);
    await cluster.settled();
  });
  await t.step("virtxd killed while another has news", async () => {
    await cluster.killDaemon(2);
    await two.exec(["virsh", "desc", vm, "--config", "--title", "by-virsh"]);
    await create(cluster, "other", 1);
    await cluster.startDaemon(2);
    await cluster.settled();
    await sees(cluster, 3, vm, { name: "by-virsh" });
  });
  await t.step("virtxd hangs while others have news", async () => {
    {
      using _frozen = cluster.freezeDaemon(2);
      await create(cluster, "hung", 1);
      await two.exec(["virsh", "desc", vm, "--config", "--title", "by-virsh-too"]);
    }
    await cluster.settled();
    await sees(cluster, 3, vm, { name: "by-virsh-too" });
  });
  await t.step("a storm of restarts", async () => {
    for (let round = 0; round < 3; round++) {
      await Promise.all([1, 3].map(async (n) => {
        await cluster.killDaemon(n);
        await cluster.startDaemon(n);
      }));
      await rename(cluster, vm, "web", `round${round}`, 2);
    }
    await cluster.complete();
    await cluster.settled();
    await sees(cluster, 1, vm, { name: "round2" });
  });
});

Deno.test("clocks and old states do not decide what is true", async (t) => {
  await using lab = await TestLab.up({ hosts: 3 });
  await using cluster = await LabCluster.start(lab);
  const vm = await create(cluster, "web", 2);
  for (const hours of [1, -1]) {
    await t.step(`a clock that is ${hours} h off`, async () => {
      await cluster.startDaemon(2, { env: skewedClock(hours * 3_600_000) });
      await cluster.complete();
      await rename(cluster, vm, "web", `skewed${hours}`, 1);
      await sees(cluster, 3, vm, { name: `skewed${hours}` });
      await cluster.settled();
    });
  }
  await t.step("a host that is back with an old state, and a clock that is behind", async () => {
    await using backup = await HostBackup.take(cluster.host(2));
    await rename(cluster, vm, "web", "forgotten", 2);
    await sees(cluster, 1, vm, { name: "forgotten" });
    await cluster.host(2).crash();
    await backup.restore();
    await cluster.boot(2, { env: skewedClock(-24 * 3_600_000) });
    await cluster.complete();
    // What libvirt has is the truth, old as it is.
    for (const n of cluster.numbers) await sees(cluster, n, vm, { name: "skewed-1" });
    await cluster.settled();
  });
  await t.step("another host with the same UUID is refused, and changes nothing", async () => {
    const [two, three] = [cluster.host(2), cluster.host(3)];
    await cluster.killDaemon(3);
    await kill(three, "libvirtd");
    const config = `${three.disk}/etc/libvirt/libvirtd.conf`;
    const text = await Deno.readTextFile(config);
    await Deno.writeTextFile(config, text.replace(three.record.uuid, two.record.uuid));
    await three.exec(["/usr/sbin/libvirtd", "--daemon", "--listen", "--pid-file=/run/libvirtd.pid"]);
    const refused = await cluster.refusal(3);
    assert.equal(refused.code, 69);
    assert.match(refused.output, /virt2/);
    assert.match(refused.output, new RegExp(two.record.uuid));
    assert.equal(await cluster.cstate(1, 2), HostState.active);
    await sees(cluster, 1, vm, { name: "skewed-1" });
    await kill(three, "libvirtd");
    await cluster.boot(3);
    await cluster.complete();
    await cluster.settled();
  });
});
