import assert from "node:assert/strict";
import { MigrationState, MigrationType, Runstate } from "../../lib/model/enums.ts";
import type { Disk } from "../../lib/model/vm.ts";
import { powerFailure } from "../../scripts/lab/faults/power.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import type { LabCluster } from "./support/lab_cluster.ts";
import { MigrationCluster, Traveller } from "./support/migration_cluster.ts";

const COLD = { migration_type: MigrationType.cold };
const NEW = { man: 1, prov: 1, size: 8 } as const;

/** What hosts say is wrong while a task runs. */
async function degradedDuring(cluster: LabCluster, task: () => Promise<void>): Promise<string[]> {
  const found = new Set<string>();
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) {
      for (const n of cluster.numbers) for (const reason of await degraded(cluster, n)) found.add(reason);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  })();
  try {
    await task();
  } finally {
    over.abort();
    await watching;
  }
  return [...found];
}

async function degraded(cluster: LabCluster, n: number): Promise<readonly string[]> {
  return (await cluster.daemon(n).json<{ degraded: string[] }>("GET", "/readyz")).degraded;
}

/** Works on VMs of a cluster, each step at once after the other, by the host that has the VM: others hear of it later. */
class Desk {
  constructor(readonly cluster: LabCluster) {}

  async create(n: number, name: string, osdisk: Disk, disks: readonly Disk[] = []): Promise<string> {
    const body = { vmdef: { ...SMALL_VMDEF, name, osdisk, disks }, host: this.cluster.uuid(n) };
    return await this.cluster.daemon(n).json<string>("POST", "/vms?duplicate_name=allow", body);
  }

  async update(
    n: number,
    vm: string,
    name: string,
    osdisk: Disk,
    disks: readonly Disk[] = [],
  ): Promise<void> {
    const body = { vmdef: { ...SMALL_VMDEF, name, osdisk, disks }, deletestorage: false };
    await this.cluster.daemon(n).json("PUT", `/vms/${vm}`, body);
  }

  async delete(n: number, vm: string, deletestorage: boolean): Promise<void> {
    await this.cluster.daemon(n).json("DELETE", `/vms/${vm}`, { deletestorage });
  }

  async start(n: number, vm: string): Promise<void> {
    await this.cluster.daemon(n).json("POST", `/vms/${vm}/runstate/boot`);
  }

  async end(n: number, vm: string): Promise<void> {
    await this.cluster.daemon(n).json("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 });
  }
}

Deno.test("an ordinary life meets no refusal and no alarm", async (t) => {
  await using up = await MigrationCluster.up(2);
  const { cluster, lab } = up;
  const desk = new Desk(cluster);
  const quiet = async (name: string, task: () => Promise<void>) => {
    await t.step(name, async () => assert.deepEqual(await degradedDuring(cluster, task), []));
  };

  await quiet("there and back, running and off, and started where it is at once", async () => {
    const web = await Traveller.create(cluster, "web");
    const moves = async (to: number, options = {}) => {
      await web.begin(to, options, 3 - to);
      const { state, reason } = await web.ended(3 - to);
      assert.deepEqual([state, reason], [MigrationState.completed, ""]);
    };
    for (let round = 0; round < 2; round++) {
      await web.boot(1);
      await moves(2);
      await web.powerOff(2);
      await desk.start(2, web.vm);
      await moves(1);
      await web.powerOff(1);
      await moves(2, COLD);
      await desk.start(2, web.vm);
      await web.powerOff(2);
      await moves(1, COLD);
    }
    await web.restsOn(1, Runstate.poweroff);
    await desk.delete(1, web.vm, true);
  });

  await quiet("a disk goes from VM to VM and from host to host", async () => {
    const [os1, os2, data] = ["os1", "os2", "data"].map((name) => disk(`/vms/ds/${name}.qcow2`, NEW));
    assert.ok(os1 && os2 && data);
    const found = disk(data.path, { man: 1 });
    const one = await desk.create(1, "one", os1, [data]);
    await desk.update(1, one, "one", os1);
    const two = await desk.create(2, "two", os2, [found]);
    await desk.start(2, two);
    await desk.end(2, two);
    await desk.update(2, two, "two", os2);
    await desk.update(1, one, "one", os1, [found]);
    await desk.delete(1, one, false);
    await desk.update(2, two, "two", os2, [found]);
    const again = await desk.create(1, "one", disk(os1.path, { man: 1 }));
    await desk.delete(1, again, true);
    await desk.delete(2, two, true);
  });

  await quiet("a path is free again at once, after a deletion and after a creation that failed", async () => {
    const path = disk("/vms/ds/again/os.qcow2", NEW);
    for (const n of [1, 2, 1]) {
      const lacking = disk("/vms/ds/lacking.qcow2", { man: 1 });
      await assert.rejects(desk.create(3 - n, "again", path, [lacking]), /does not exist/);
      const vm = await desk.create(n, "again", path);
      await desk.start(n, vm);
      await desk.end(n, vm);
      await desk.delete(n, vm, true);
    }
  });

  await quiet("a deleted VM comes back, on the other host, and goes on", async () => {
    const vm = await desk.create(1, "back", disk("/vms/ds/back.qcow2", NEW));
    await desk.delete(1, vm, true);
    const { items } = await cluster.daemon(2).json<{ items: { id: string; vm: string }[] }>("GET", "/trash");
    const entry = items.find((item) => item.vm === vm);
    await cluster.daemon(2).json("POST", `/trash/${entry?.id}/restore`, { host: cluster.uuid(2) });
    await desk.start(2, vm);
    await desk.end(2, vm);
    await desk.delete(2, vm, true);
  });

  await t.step(
    "a VM of a host that has failed goes on elsewhere, and that host does not start it again",
    async () => {
      const vm = await desk.create(1, "ha", disk("/vms/ds/ha.qcow2", NEW));
      await desk.start(1, vm);
      const definition = `${vm}.xml`;
      {
        await using _dark = await powerFailure(lab.lab, cluster.host(1));
        await until("host 2 to see that host 1 is away", async () => {
          return await cluster.cstate(2, 1) !== await cluster.cstate(2, 2) || undefined;
        }, 60_000);
        const [from, to] = [1, 2].map((n) => `/vms/xml/${cluster.uuid(n)}/${definition}`);
        await cluster.host(2).exec(["mv", from ?? "", to ?? ""]);
        await cluster.daemon(2).json("PUT", `/vms/${vm}/register`, { host: cluster.uuid(2) });
        await desk.start(2, vm);
      }
      await cluster.startDaemon(1);
      await cluster.complete();
      const back = cluster.daemon(1).json("POST", `/vms/${vm}/runstate/boot`, null);
      await assert.rejects(back, { kind: "conflict", message: /host virt2 has it, running/ });
      await cluster.host(1).exec(["virsh", "undefine", vm]);
      await cluster.settled();
      await desk.end(2, vm);
      await desk.start(2, vm);
      await desk.end(2, vm);
      await desk.delete(2, vm, true);
      assert.deepEqual(await Promise.all(cluster.numbers.map((n) => degraded(cluster, n))), [[], []]);
    },
  );
});
