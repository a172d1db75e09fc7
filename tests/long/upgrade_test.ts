import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import {
  DiskManagement,
  DiskProvisioning,
  Firmware,
  MigrationState,
  MigrationType,
  Runstate,
} from "../../lib/model/enums.ts";
import type { Vmdef } from "../../lib/model/vm.ts";
import { imagesOf } from "../../scripts/lab/images.ts";
import { until } from "../../scripts/lab/until.ts";
import { CliHost } from "../lab/support/cli_host.ts";
import type { LabCluster } from "../lab/support/lab_cluster.ts";
import type { LabDaemonOptions } from "../lab/support/lab_daemon.ts";
import { MigrationCluster, Traveller } from "../lab/support/migration_cluster.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { versionBefore } from "./support/version_before.ts";

const COLD = { migration_type: MigrationType.cold };
/** Longer than a host takes to look at its storage again. */
const SETTLE_MS = 30_000;
/** What /readyz says then. */
const WELL = { ready: true, degraded: [] };

function vmdef(name: string, but: Partial<Vmdef> = {}): Vmdef {
  const made = { man: DiskManagement.managed, prov: DiskProvisioning.thin, size: 8 };
  return { ...SMALL_VMDEF, name, osdisk: disk(`/vms/ds/${name}.qcow2`, made), ...but };
}

/** Makes sure that every host is ready, and that none says of itself or of another that something is wrong. */
async function isWell(cluster: LabCluster): Promise<void> {
  for (const n of cluster.numbers) {
    let said: unknown;
    await until(`host ${n} to be well`, async () => {
      said = await (await fetch(`${cluster.daemon(n).url}/readyz`)).json();
      return isDeepStrictEqual(said, WELL) || undefined;
    }, SETTLE_MS).catch((cause) => assert.fail(`${cause}: ${JSON.stringify(said)}`));
  }
}

async function arrives(traveller: Traveller, to: number, by: number, options = {}): Promise<void> {
  await traveller.begin(to, options, by);
  const { state, reason } = await traveller.ended(by);
  assert.deepEqual([state, reason], [MigrationState.completed, ""]);
}

/** Has a VM go through its life on one host, while another is asked, and move to that and back; nothing is left of it. */
async function lives(
  cluster: LabCluster,
  { name, on, by }: { readonly name: string; readonly on: number; readonly by: number },
): Promise<void> {
  const [here, there] = [cluster.daemon(on), cluster.daemon(by)];
  const vm = await there.json<string>("POST", "/vms", { vmdef: vmdef(name), host: cluster.uuid(on) });
  const traveller = new Traveller(cluster, vm);
  await traveller.restsOn(on, Runstate.poweroff, SETTLE_MS); // the version before learns of it by gossip alone
  const { def } = await there.json<{ def: Vmdef }>("GET", `/vms/${vm}`);
  const more = { ...def, memory: { ...def.memory, total: 192 } };
  await there.json("PUT", `/vms/${vm}`, { vmdef: more, deletestorage: false });
  await arrives(traveller, by, by, COLD);
  await traveller.restsOn(by, Runstate.poweroff, SETTLE_MS);
  await here.json("PUT", `/vms/${vm}`, { vmdef: def, deletestorage: false });
  await here.json("POST", `/vms/${vm}/runstate/boot`);
  await here.json("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 });
  await arrives(traveller, on, by, COLD);
  // What virsh has removed comes back from the registry.
  await cluster.host(on).exec(["virsh", "undefine", vm]);
  await there.json("PUT", `/vms/${vm}/register`, { host: cluster.uuid(on) });
  await traveller.restsOn(on, Runstate.poweroff, SETTLE_MS);
  await there.json("DELETE", `/vms/${vm}`, { deletestorage: true });
  assert.equal(await exists(cluster, `/vms/ds/${name}.qcow2`), false);
  // The disk is nobody's, so that another VM may have it at once.
  const next = await there.json<string>("POST", "/vms", { vmdef: vmdef(name), host: cluster.uuid(on) });
  await new Traveller(cluster, next).restsOn(on, Runstate.poweroff, SETTLE_MS);
  await there.json("DELETE", `/vms/${next}`, { deletestorage: true });
  await cluster.settled(SETTLE_MS);
}

async function exists(cluster: LabCluster, path: string): Promise<boolean> {
  return (await cluster.host(1).run(["test", "-e", path])).code === 0;
}

Deno.test("a cluster is upgraded host by host while a VM runs, and taken back", async (t) => {
  const before = { executable: await versionBefore() };
  await using up = await MigrationCluster.up(3, before);
  const { cluster } = up;
  const restart = async (n: number, options: LabDaemonOptions) => {
    await cluster.startDaemon(n, options);
    await cluster.complete();
  };
  const web = await Traveller.create(cluster, "web");
  await web.boot();
  const create = async (name: string, on: number, but: Partial<Vmdef> = {}) => {
    const body = { vmdef: vmdef(name, but), host: cluster.uuid(on) };
    return new Traveller(cluster, await cluster.daemon(on).json<string>("POST", "/vms", body));
  };
  /** Starts a guest, so that its firmware writes its variables, and ends it. */
  const runsOn = async ({ vm }: Traveller, n: number) => {
    await cluster.daemon(n).json("POST", `/vms/${vm}/runstate/boot`);
    await cluster.daemon(n).json("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 });
  };
  const uefi = await create("uefi", 2, { firmware: Firmware.uefi });
  await runsOn(uefi, 2);

  await t.step("one host is of the new version", async () => {
    await restart(1, {});
    await web.restsOn(1, Runstate.running, SETTLE_MS);
    await isWell(cluster);
    await web.answersOn(1);
  });

  await t.step("a VM migrates live from one version to the other and back, whoever is asked", async () => {
    for (const [to, by] of [[2, 1], [1, 2], [2, 3], [3, 1], [1, 3]] as const) {
      await arrives(web, to, by);
      await web.restsOn(to, Runstate.running, SETTLE_MS);
    }
    await web.answersOn(1);
  });

  await t.step("VMs of either live, move and go, asked of either", async () => {
    await lives(cluster, { name: "mine", on: 1, by: 2 });
    await lives(cluster, { name: "yours", on: 2, by: 1 });
    await isWell(cluster);
  });

  await t.step("UEFI variables go along to the new version and back", async () => {
    for (const to of [1, 2]) {
      await arrives(uefi, to, 1, COLD);
      await uefi.restsOn(to, Runstate.poweroff, SETTLE_MS);
      await runsOn(uefi, to);
    }
    assert.ok(await exists(cluster, `/vms/ds/nvram/${uefi.vm}.fd`));
  });

  await t.step("the new client finds nothing wrong with either, and changes what either has", async () => {
    for (const n of [1, 2]) {
      const desk = await CliHost.set(cluster, n);
      const said = await desk.must("virtx cluster verify");
      assert.match(said, /^3 hosts agree upon 3 hosts and 2 VMs\.$/m);
    }
    const desk = await CliHost.set(cluster, 1);
    // Of a host of the version before there is no tag of a definition to go by.
    await desk.must("virtx vm update uefi --memory 192MiB");
    assert.match(await desk.must("virtx vm get uefi"), /^Memory +192 MiB$/m);
  });

  await t.step("all are", async () => {
    for (const n of [2, 3]) {
      await restart(n, {});
      await isWell(cluster);
    }
    await web.restsOn(1, Runstate.running, SETTLE_MS);
    for (const to of [2, 3, 1]) await arrives(web, to, 1);
    await lives(cluster, { name: "new", on: 1, by: 2 });
    await web.answersOn(1);
  });

  const half = await create("half", 1), whole = await create("whole", 1);
  const cutOff = async ({ vm }: Traveller, point: string, deletestorage: boolean) => {
    await restart(1, { env: { VIRTX_TEST_STOP_AT: `delete.${point}` } });
    const request = cluster.daemon(1).json("DELETE", `/vms/${vm}`, { deletestorage }).catch(() => {});
    await cluster.daemon(1).says("halted at a fault point");
    await cluster.killDaemon(1);
    await request;
  };

  await t.step("back, where a deletion was cut off nothing is lost, and that is told", async () => {
    await cutOff(half, "undefined", false);
    await restart(1, before);
    await restart(1, {});
    await cutOff(whole, "committed", true);
    for (const n of cluster.numbers) await restart(n, before);
    const { degraded } = await (await fetch(`${cluster.daemon(1).url}/readyz`)).json();
    assert.match(String(degraded), /^the journal had 2 records that cannot be read/);
    for (const name of ["half", "whole"]) assert.ok(await exists(cluster, `/vms/ds/${name}.qcow2`));
    await cluster.daemon(1).json("PUT", `/vms/${half.vm}/register`, { host: "" });
    await cluster.daemon(1).json("DELETE", `/vms/${half.vm}`, { deletestorage: true });
    await cluster.host(1).exec(["find", "/vms/xml", "-name", "*.broken", "-delete"]);
    await whole.restsOn(1, Runstate.poweroff, SETTLE_MS);
    await runsOn(whole, 1);
    await arrives(whole, 2, 1, COLD);
    await lives(cluster, { name: "back", on: 1, by: 2 });
    await arrives(web, 2, 1);
    await web.answersOn(2);
    await arrives(uefi, 3, 3, COLD);
    await uefi.restsOn(3, Runstate.poweroff, SETTLE_MS);
    await runsOn(uefi, 3);
  });

  await t.step("and forth", async () => {
    for (const n of cluster.numbers) await restart(n, {});
    await isWell(cluster);
    await lives(cluster, { name: "forth", on: 1, by: 2 });
    await arrives(web, 1, 1);
    await web.answersOn(1);
    await arrives(uefi, 1, 3, COLD);
    await runsOn(uefi, 1);
    await web.powerOff();
    for (const { vm } of [web, whole, uefi]) {
      await cluster.daemon(1).json("DELETE", `/vms/${vm}`, { deletestorage: true });
    }
    await cluster.settled(SETTLE_MS);
    assert.equal(await imagesOf(cluster.host(1)), "");
  });
});
