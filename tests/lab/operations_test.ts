import assert from "node:assert/strict";
import { Runstate } from "../../lib/model/enums.ts";
import { until } from "../../scripts/lab/until.ts";
import { EventReader } from "../support/event_reader.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import type { LabCluster } from "./support/lab_cluster.ts";
import { MigrationCluster, Traveller } from "./support/migration_cluster.ts";

/** What GET /operations/{id} answers, as far as it is looked at. */
interface Operation {
  readonly state: string;
  readonly error?: { readonly detail: string };
  readonly result?: unknown;
  readonly progress?: { readonly total: number; readonly done: number; readonly rate: number };
}

/** Slow enough for something to happen meanwhile, MiB/s. */
const SLOWLY = { bandwidth: 8 };

/** Asks a host for a change, without waiting for it; the id of its operation. */
async function ask(cluster: LabCluster, by: number, path: string, body: unknown): Promise<string> {
  const { status, headers } = await cluster.daemon(by).api.request("POST", path, body, {
    headers: { prefer: "respond-async" },
  });
  assert.equal(status, 202);
  return headers.get("x-virtx-operation") ?? "";
}

async function operation(cluster: LabCluster, by: number, id: string): Promise<Operation> {
  return await cluster.daemon(by).json<Operation>("GET", `/operations/${id}`);
}

async function cancel(cluster: LabCluster, by: number, id: string): Promise<Operation> {
  return await cluster.daemon(by).json<Operation>("DELETE", `/operations/${id}`);
}

async function ended(cluster: LabCluster, by: number, id: string): Promise<Operation> {
  return await until("the operation to end", async () => {
    const found = await operation(cluster, by, id);
    return found.state === "running" ? undefined : found;
  }, 120_000);
}

Deno.test("operations last as long as what they do, and are cancelled from any host", async (t) => {
  await using up = await MigrationCluster.up(2);
  const { cluster } = up;
  const web = await Traveller.create(cluster, "web");
  await web.boot();
  const path = `/vms/${web.vm}/runstate/migrate`;
  const begin = async (by: number) => await ask(cluster, by, path, web.request(2, SLOWLY));
  const moved = async (by: number, id: string, mib: number) =>
    await until(`${mib} MiB to be moved`, async () => {
      const { state, progress } = await operation(cluster, by, id);
      assert.equal(state, "running");
      return progress && progress.done >= mib ? progress : undefined;
    }, 60_000);

  await t.step("a migration tells its progress, is cancelled, and the VM stays", async () => {
    const id = await begin(2);
    const { total, done, rate } = await moved(2, id, 8);
    assert.ok(total >= 128 && done <= total && rate > 0, `${done} of ${total} MiB at ${rate} MiB/s`);
    const cancelled = await cancel(cluster, 2, id);
    assert.deepEqual([cancelled.state, cancelled.progress], ["cancelled", undefined]);
    assert.match(cancelled.error?.detail ?? "", /^Cannot migrate VM "web": aborted on request$/);
    await assert.rejects(cancel(cluster, 1, id), { kind: "conflict", message: /ended already/ });
    await web.restsOn(1);
  });

  await t.step("a migration goes on without virtxd, and its operation with the next one", async () => {
    const id = await begin(1);
    await moved(1, id, 8);
    await cluster.killDaemon(1);
    await cluster.startDaemon(1);
    assert.equal((await operation(cluster, 1, id)).state, "running");
    await moved(1, id, 16);
    assert.deepEqual((await ended(cluster, 2, id)).result, { host: cluster.uuid(2) });
    await web.restsOn(2);
  });

  await t.step("a migration that ends while virtxd is away has ended for the next one", async () => {
    const followed = await fetch(`${cluster.daemon(1).url}/events?types=operation`);
    await using events = await new EventReader(followed).opened();
    const id = await ask(cluster, 1, path, web.request(1, { bandwidth: 48 }));
    await moved(1, id, 1);
    const [begun] = await events.take(1);
    assert.deepEqual([begun?.name, JSON.parse(begun?.data ?? "").id], ["operation", id]);
    await cluster.killDaemon(2);
    await until("the guest to be on host 1 alone", async () => {
      return (await web.guests()).join() === "1" || undefined;
    }, 60_000);
    await cluster.startDaemon(2);
    assert.equal((await ended(cluster, 2, id)).state, "completed");
    assert.equal((await events.take(1))[0]?.name, "resync");
    await web.restsOn(1);
  });

  await t.step("a creation is given up while its disk is made, and nothing is left of it", async () => {
    const host = cluster.host(1);
    const slow = "/usr/local/bin/slow-qemu-img";
    await host.exec(["sh", "-c", `printf '#!/bin/sh\\nexec sleep 300\\n' > ${slow} && chmod 755 ${slow}`]);
    await host.exec(["mount", "--bind", slow, "/usr/bin/qemu-img"]);
    const vmdef = {
      ...SMALL_VMDEF,
      name: "slow",
      osdisk: disk("/vms/ds/slow/os.raw", { man: 1, prov: 2, size: 8 }),
    };
    const id = await ask(cluster, 2, "/vms", { vmdef, host: cluster.uuid(1) });
    await until("its temporary file", async () => {
      return (await host.run(["sh", "-c", "ls /vms/ds/slow/.os.raw.*"])).code === 0 || undefined;
    }, 10_000);
    assert.deepEqual((await operation(cluster, 2, id)).progress, { total: 8, done: 0, rate: 0, timeleft: 0 });
    const cancelled = await cancel(cluster, 2, id);
    assert.equal(cancelled.state, "cancelled");
    assert.match(cancelled.error?.detail ?? "", /^Cannot create disk .*: it was cancelled$/);
    await host.exec(["umount", "/usr/bin/qemu-img"]);
    assert.notEqual((await host.run(["ls", "/vms/ds/slow"])).code, 0);
    assert.deepEqual((await cluster.vms(2)).map(({ fields }) => fields.name), ["web"]);
    await web.restsOn(1, Runstate.running);
  });
});
