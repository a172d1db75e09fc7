import assert from "node:assert/strict";
import { freeze, kill } from "../../scripts/lab/faults/processes.ts";
import { until } from "../../scripts/lab/until.ts";
import { HostState, Runstate } from "../../lib/model/enums.ts";
import type { HostCondition } from "../../lib/model/host_condition.ts";
import { EventReader } from "../support/event_reader.ts";
import { CliHost } from "./support/cli_host.ts";
import { FuseStorage } from "./support/fuse_storage.ts";
import { defineIdleGuest } from "./support/idle_guest.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

/** On a quiet machine it is 20 s. */
const SEEN_MS = 90_000;

/** The host that is without something, and those that have to see it. */
const SUBJECT = 2;
const OBSERVERS = [1, 3];

/** What a host shows of the subject. */
interface Shown {
  readonly name: string;
  readonly cstate: number;
  readonly conditions: readonly HostCondition[];
}

async function shown(cluster: LabCluster, observer: number): Promise<Shown> {
  const { items } = await cluster.daemon(observer).json<{ items: { uuid: string; fields: Shown }[] }>(
    "GET",
    "/hosts",
  );
  const found = items.find(({ uuid }) => uuid === cluster.uuid(SUBJECT));
  assert.ok(found);
  return found.fields;
}

/** Waits until these hosts show the subject to be without just that; undefined: nothing. */
async function seen(
  cluster: LabCluster,
  part: string | undefined,
  observers: readonly number[] = OBSERVERS,
): Promise<void> {
  for (const observer of observers) {
    await until(
      `host ${observer} to show host ${SUBJECT} without ${part}`,
      async () => {
        const { conditions, cstate } = await shown(cluster, observer);
        const isThere = part !== undefined || cstate === HostState.active;
        return (isThere && conditions.map(({ part }) => part).join() === (part ?? "")) || undefined;
      },
      SEEN_MS,
      200,
    );
  }
}

/** The degraded part of an observer's /readyz, or all that it says. */
async function health(cluster: LabCluster, observer: number): Promise<string> {
  return await (await fetch(`${cluster.daemon(observer).url}/readyz`)).text();
}

/** What the commands say of a host that is without something, and that they say it by their exit codes. */
async function told(desk: CliHost, reason: RegExp): Promise<void> {
  const status = await desk.sh("virtx cluster status");
  assert.equal(status.code, 1, status.stdout + status.stderr);
  assert.match(status.stdout, /Not in order +virt2: /);
  assert.match(status.stdout, reason);
  const verify = await desk.sh("virtx cluster verify");
  assert.equal(verify.code, 1, verify.stdout + verify.stderr);
  assert.match(verify.stdout + verify.stderr, /host virt2 is not in order: /);
  const list = await desk.must("virtx host list -o wide");
  assert.match(list, reason);
  assert.match(await desk.must("virtx host get virt2"), reason);
}

async function allIsWell(cluster: LabCluster, desks: readonly CliHost[], vm: string): Promise<void> {
  for (const observer of cluster.numbers) {
    await until(`host ${observer} to know the VM's state`, async () => {
      return (await cluster.vm(observer, vm))?.runstate === Runstate.running || undefined;
    }, SEEN_MS);
  }
  for (const desk of desks) {
    const { stdout } = await until("cluster status to find nothing", async () => {
      const status = await desk.sh("virtx cluster status");
      return status.code === 0 ? status : undefined;
    }, SEEN_MS);
    assert.doesNotMatch(stdout, /Not in order|Amiss/);
  }
  const [desk] = desks;
  await until("cluster verify to find nothing", async () => {
    return (await desk?.sh("virtx cluster verify"))?.code === 0 || undefined;
  }, SEEN_MS);
}

Deno.test("what a host is without is seen from all others, in all places, and no longer than it lasts", async (t) => {
  await using lab = await TestLab.up({ hosts: 3 });
  await using storage = await FuseStorage.mount(lab.host(SUBJECT));
  await using cluster = await LabCluster.start(lab);
  const desks = [await CliHost.set(cluster, 1), await CliHost.set(cluster, 3)];
  const [desk] = desks;
  assert.ok(desk);
  const subject = cluster.host(SUBJECT);
  const vm = await defineIdleGuest(subject);
  await subject.exec(["virsh", "start", vm]);
  const vmIs = async (runstate: Runstate) => {
    for (const observer of OBSERVERS) {
      const shown = await cluster.daemon(observer).json<{ runstate: number; lastrunstate: number }>(
        "GET",
        `/vms/${vm}/runstate`,
      );
      assert.deepEqual([shown.runstate, shown.lastrunstate], [runstate, Runstate.running]);
    }
  };
  await allIsWell(cluster, desks, vm);

  await t.step("libvirtd is stopped, and started again", async () => {
    const response = await fetch(`${cluster.daemon(3).url}/events?types=host`);
    await using events = await new EventReader(response).opened();
    const eventOf = async (count: number) => {
      for (;;) {
        const [event] = await events.take(1);
        const { uuid, fields } = JSON.parse(event?.data ?? "{}");
        if (uuid === cluster.uuid(SUBJECT) && fields.conditions.length === count) return fields;
      }
    };
    await kill(subject, "libvirtd");
    await seen(cluster, "libvirt", cluster.numbers);
    assert.equal((await eventOf(1)).conditions[0].part, "libvirt");
    await vmIs(Runstate.none);
    for (const observer of OBSERVERS) {
      assert.match(
        await health(cluster, observer),
        /"ready":true.*host virt2 is not in order: libvirt on it is away/,
      );
    }
    await told(desk, /libvirt on it is away or hangs/);
    assert.match(await desk.must("virtx host list"), /virt2 +active, libvirt away/);
    assert.match(await desk.must("virtx vm list"), /idle +unknown \(was running\) +virt2/);
    const refused = await desk.sh(`virtx vm pause ${vm}`);
    assert.notEqual(refused.code, 0);
    for (const word of [/idle/, /virt2/, /libvirt/]) assert.match(refused.stderr, word);
    await lab.lab.boot(subject);
    await seen(cluster, undefined, cluster.numbers);
    assert.equal((await eventOf(0)).conditions.length, 0);
    await allIsWell(cluster, desks, vm);
  });

  await t.step("libvirtd hangs, and goes on", async () => {
    {
      await using _frozen = await freeze(subject, "libvirtd");
      await seen(cluster, "libvirt", cluster.numbers);
      await vmIs(Runstate.none);
    }
    await seen(cluster, undefined, cluster.numbers);
    await allIsWell(cluster, desks, vm);
  });

  await t.step("the Serf agent is killed, and started again", async () => {
    await kill(subject, "serf");
    await seen(cluster, "serf");
    await seen(cluster, "serf", [SUBJECT]);
    assert.equal((await shown(cluster, 1)).cstate, HostState.failed);
    await vmIs(Runstate.none);
    await told(desk, /Serf does not reach it/);
    const here = await CliHost.set(cluster, SUBJECT);
    assert.equal((await here.sh("virtx cluster status")).code, 1);
    const verify = await here.sh("virtx cluster verify");
    assert.equal(verify.code, 1);
    assert.match(verify.stderr, /Serf's agent on this host is away/);
    await lab.lab.boot(subject);
    await seen(cluster, undefined, cluster.numbers);
    await allIsWell(cluster, desks, vm);
  });

  await t.step("the storage hangs, and answers again", async () => {
    {
      using _hung = storage.hang();
      await seen(cluster, "storage", cluster.numbers);
      await vmIs(Runstate.running);
      await told(desk, /it cannot use the shared storage, and says why/);
    }
    await seen(cluster, undefined, cluster.numbers);
    await allIsWell(cluster, desks, vm);
  });

  await t.step("virtxd hangs with Serf alive, and goes on", async () => {
    {
      using _frozen = cluster.freezeDaemon(SUBJECT);
      await seen(cluster, "virtxd");
      assert.equal((await shown(cluster, 3)).cstate, HostState.active);
      await vmIs(Runstate.none);
      await told(desk, /virtxd on it does not answer/);
      const refused = await desk.sh(`virtx vm pause ${vm}`);
      assert.notEqual(refused.code, 0);
      for (const word of [/idle/, /virt2/, /virtxd on it does not answer/]) {
        assert.match(refused.stderr, word);
      }
    }
    await seen(cluster, undefined, cluster.numbers);
    await allIsWell(cluster, desks, vm);
  });

  await t.step("virtxd is stopped with Serf alive, and started again", async () => {
    cluster.daemon(SUBJECT).process.kill("SIGTERM");
    await cluster.daemon(SUBJECT).process.status;
    await seen(cluster, "virtxd");
    await vmIs(Runstate.none);
    await told(desk, /virtxd on it does not answer/);
    assert.match(await desk.must("virtx vm list"), /idle +unknown \(was running\) +virt2/);
    await cluster.startDaemon(SUBJECT);
    await seen(cluster, undefined, cluster.numbers);
    await allIsWell(cluster, desks, vm);
  });
});
