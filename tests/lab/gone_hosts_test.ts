import assert from "node:assert/strict";
import { Runstate } from "../../lib/model/enums.ts";
import type { Vm } from "../../lib/model/vm.ts";
import { kill } from "../../scripts/lab/faults/processes.ts";
import { aliveMembers, startSerf } from "../../scripts/lab/services.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { ageRecords } from "./support/age_records.ts";
import { CliHost } from "./support/cli_host.ts";
import { LabCluster, type Listed } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

/** Generous: Serf looks for whom to forget every 15 s. */
const PATIENCE_MS = 120_000;
const FAILED = 3;

/** Has the agents forget who has failed or left as soon as they look, rather than after a day. */
async function forgetSoon(lab: TestLab): Promise<void> {
  for (const host of lab.lab.hosts) {
    const path = `${host.disk}/etc/serf/agent.json`;
    const agent = JSON.parse(await Deno.readTextFile(path));
    await Deno.writeTextFile(
      path,
      JSON.stringify({ ...agent, tombstone_timeout: "1s", reconnect_timeout: "24h" }),
    );
    await host.stopDaemon("serf");
    await startSerf(host);
  }
}

async function create(cluster: LabCluster, n: number, name: string): Promise<string> {
  const osdisk = disk(`/vms/ds/${name}.qcow2`, { man: 1, prov: 1, size: 8 });
  return await cluster.daemon(n).json<string>("POST", "/vms", {
    vmdef: { ...SMALL_VMDEF, name, osdisk },
    host: cluster.uuid(n),
  });
}

interface ListedHost extends Listed {
  readonly fields: Listed["fields"] & { readonly gone?: boolean };
}

async function listedHost(
  cluster: LabCluster,
  n: number,
  other: number,
): Promise<ListedHost["fields"] | undefined> {
  const hosts: readonly ListedHost[] = await cluster.hosts(n);
  return hosts.find(({ uuid }) => uuid === cluster.uuid(other))?.fields;
}

/** Waits until all these list a host as gone, and by its name. */
async function gone(cluster: LabCluster, numbers: readonly number[], other: number): Promise<void> {
  for (const n of numbers) {
    await until(`host ${n} to list host ${other} as gone`, async () => {
      const { name, cstate, gone } = await listedHost(cluster, n, other) ?? {};
      return (gone === true && cstate === FAILED && name === `virt${other}`) || undefined;
    }, PATIENCE_MS);
  }
}

async function removed(cluster: LabCluster, numbers: readonly number[], other: number): Promise<void> {
  for (const n of numbers) {
    await until(
      `host ${n} to forget host ${other}`,
      async () => await listedHost(cluster, n, other) === undefined || undefined,
      PATIENCE_MS,
    );
  }
}

/** Waits until a host lists a VM there in that state. */
async function listed(
  cluster: LabCluster,
  n: number,
  vm: string,
  on: number,
  runstate: number,
): Promise<void> {
  await until(`host ${n} to list the VM on host ${on} in state ${runstate}`, async () => {
    const found = await cluster.vm(n, vm);
    return (found?.host === cluster.uuid(on) && found.runstate === runstate) || undefined;
  }, PATIENCE_MS);
}

Deno.test("a host that Serf forgets stays with its VMs until it is removed", async (t) => {
  await using lab = await TestLab.up({ hosts: 3 });
  await forgetSoon(lab);
  await using cluster = await LabCluster.start(lab);
  const [web, db] = [await create(cluster, 3, "web"), await create(cluster, 3, "db")];
  const desk = await CliHost.set(cluster);
  const rest = [1, 2];
  for (const n of rest) await listed(cluster, n, web, 3, Runstate.poweroff);

  await t.step("it is listed as gone by those who knew it", async () => {
    await cluster.killDaemon(3);
    await cluster.host(3).crash();
    await until("virt3 to fail", async () => await cluster.cstate(1, 3) === FAILED || undefined, PATIENCE_MS);
    await cluster.host(1).exec(["serf", "force-leave", "virt3"]);
    await gone(cluster, rest, 3);
    for (const n of rest) {
      for (const vm of [web, db]) await listed(cluster, n, vm, 3, Runstate.none);
    }
  });

  await t.step("those who start afresh know it, too", async () => {
    for (const n of rest) await cluster.killDaemon(n);
    for (const n of rest) await cluster.startDaemon(n);
    await gone(cluster, rest, 3);
    for (const n of rest) {
      for (const vm of [web, db]) await listed(cluster, n, vm, 3, Runstate.none);
      assert.deepEqual((await cluster.vms(n)).map(({ fields }) => fields.name).toSorted(), ["db", "web"]);
    }
  });

  await t.step("it stays gone while Serf runs there without virtxd", async () => {
    await lab.lab.boot(cluster.host(3));
    await until(
      "Serf to know virt3 again",
      async () => (await aliveMembers(cluster.host(1))).includes("virt3") || undefined,
      PATIENCE_MS,
    );
    await cluster.killDaemon(2);
    await cluster.startDaemon(2);
    await gone(cluster, rest, 3);
    for (const n of rest) await listed(cluster, n, web, 3, Runstate.none);
  });

  await t.step("a user sees what is, and what to do", async () => {
    const { def, runinfo } = await cluster.daemon(2).json<Vm>("GET", `/vms/${web}`);
    assert.equal(def.osdisk.path, "/vms/ds/web.qcow2");
    assert.deepEqual(runinfo, { runstate: Runstate.none, host: cluster.uuid(3), reason: "host_away" });
    assert.match(await desk.must("virtx host list"), /virt3 +gone/);
    assert.match(await desk.must("virtx host get virt3"), /gone: .*virtx host remove virt3/);
    assert.match(await desk.must("virtx vm list"), /web +unknown +virt3/);
    assert.match(await desk.must("virtx vm get web"), /unknown: its host is away/);
    assert.match((await desk.sh("virtx cluster status")).stdout, /Gone +virt3/);
    const verified = await desk.sh("virtx cluster verify");
    assert.deepEqual(
      [verified.code === 0, /host virt3 is gone/.test(verified.stderr)],
      [false, true],
      verified.stderr,
    );
    const started = await desk.sh("virtx vm start web");
    assert.match(started.stderr, /host "virt3" is gone: .* virtx vm register/);
    const refused = await desk.sh("virtx host remove virt3 --yes");
    assert.match(refused.stderr, /2 VMs are registered there: .*virtx vm register.*--force/);
    assert.match((await desk.sh("virtx host remove virt2 --yes --force")).stderr, /it is active/);
  });

  await t.step("its VM is registered on another host, and runs there", async () => {
    assert.match(
      (await desk.sh("virtx vm register web --host virt1")).stderr,
      /nobody can tell whether web runs there/,
    );
    await desk.must("virtx vm register web --host virt1 --yes");
    await desk.must("virtx vm start web");
    for (const n of rest) await listed(cluster, n, web, 1, Runstate.running);
    const files = await cluster.host(1).exec(["find", "/vms/xml", "-name", `${web}.xml`]);
    assert.equal(files.trim(), `/vms/xml/${cluster.uuid(1)}/${web}.xml`);
  });

  await t.step("it is removed on all hosts, and stays so", async () => {
    const answers = await Promise.allSettled(
      rest.map((n) => cluster.daemon(n).json("DELETE", `/hosts/${cluster.uuid(3)}?force=true`)),
    );
    assert.deepEqual(answers.map(({ status }) => status), ["fulfilled", "fulfilled"]);
    await removed(cluster, rest, 3);
    await cluster.killDaemon(2);
    await cluster.startDaemon(2);
    assert.match(await desk.must(`virtx host remove ${cluster.uuid(3)} --yes 2>&1`), /removed/);
    await removed(cluster, rest, 3);
    assert.deepEqual((await cluster.vms(1)).map(({ fields }) => fields.name), ["web"]);
    assert.equal((await desk.sh("virtx cluster verify")).code, 0);
  });

  await t.step("it comes back, and does not start what another host has by now", async () => {
    await cluster.boot(3);
    await cluster.complete();
    for (const n of cluster.numbers) await listed(cluster, n, db, 3, Runstate.poweroff);
    for (const n of cluster.numbers) await listed(cluster, n, web, 1, Runstate.running);
    await assert.rejects(
      cluster.daemon(3).json("POST", `/vms/${web}/runstate/boot`, null),
      { kind: "conflict", message: /host virt1 has it, running/ },
    );
  });
});

Deno.test("a VM that its host's libvirt has lost is listed by all and reported, until it is defined again", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const desk = await CliHost.set(cluster, 2);
  const [web, db] = [await create(cluster, 1, "web"), await create(cluster, 1, "db")];
  await cluster.killDaemon(1);
  for (const vm of [web, db]) await cluster.host(1).exec(["virsh", "undefine", vm]);
  await cluster.startDaemon(1);
  for (const n of [1, 2]) {
    for (const vm of [web, db]) await listed(cluster, n, vm, 1, Runstate.none);
  }
  assert.match(await desk.must("virtx vm list"), /web +not defined +virt1/);
  assert.match(await desk.must("virtx vm get web"), /libvirt on its host does not have it/);
  const verified = await desk.sh("virtx cluster verify");
  assert.notEqual(verified.code, 0);
  assert.match(verified.stderr, new RegExp(`VM "web" .*virtx vm register ${web}`));
  assert.match((await desk.sh("virtx vm start web")).stderr, /only its file in the registry is left/);

  await desk.must("virtx vm register web");
  await ageRecords(cluster.host(1)); // else virt1 might be about to define it
  await desk.must("virtx vm register db --host virt2");
  await listed(cluster, 2, web, 1, Runstate.poweroff);
  await listed(cluster, 1, db, 2, Runstate.poweroff);
  await until("nothing to be wrong any more", async () => {
    return (await desk.sh("virtx cluster verify")).code === 0 || undefined;
  }, PATIENCE_MS);
  await desk.must("virtx vm start web");
  await desk.must("virtx vm delete db --storage --yes");
});

Deno.test("a VM whose host has lost its Serf agent alone is not taken over, since the host tells that it has it", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const desk = await CliHost.set(cluster, 2);
  const web = await create(cluster, 1, "web");
  await listed(cluster, 2, web, 1, Runstate.poweroff);
  await desk.must("virtx vm start web");
  await kill(cluster.host(1), "serf");
  await until("virt1 to fail", async () => await cluster.cstate(2, 1) === FAILED || undefined, PATIENCE_MS);
  await ageRecords(cluster.host(1)); // else virt1 might be about to define it
  const refused = await desk.sh("virtx vm register web --host virt2 --yes");
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /host virt1 has it, running/);
  assert.doesNotMatch(await cluster.host(2).exec(["virsh", "list", "--all", "--uuid"]), new RegExp(web));
  const files = await cluster.host(1).exec(["find", "/vms/xml", "-name", `${web}.xml`]);
  assert.equal(files.trim(), `/vms/xml/${cluster.uuid(1)}/${web}.xml`);

  // Of one that no list has any more it is asked as well.
  await desk.must("virtx host remove virt1 --force --yes");
  const unsure = await desk.sh(`virtx vm register ${web} --host virt2`);
  assert.equal(unsure.code, 64);
  assert.match(unsure.stderr, /No host says that it has .*, and nobody can tell whether it runs somewhere/);
  assert.match((await desk.sh(`virtx vm register ${web} --host virt2 --yes`)).stderr, /has it, running/);
});
