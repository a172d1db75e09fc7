import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { encodeVmEvent } from "../../lib/cluster/records.ts";
import type { Stamp } from "../../lib/cluster/stamp.ts";
import { Runstate } from "../../lib/model/enums.ts";
import { must } from "../../scripts/command.ts";
import { SERF_RPC } from "../../scripts/lab/services.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

const ROGUE = fileURLToPath(new URL("support/rogue.ts", import.meta.url));
const VM = "00000000-0000-4000-8000-000000000077";

interface Event {
  readonly name: string;
  readonly payload: Uint8Array;
}

/** Gossips by the agent of a host, beside its daemon. */
async function gossip(cluster: LabCluster, by: number, events: readonly Event[]): Promise<void> {
  const realm = await cluster.host(by).realm();
  const program = [Deno.execPath(), "run", "--allow-all", "--no-check", "--quiet", ROGUE, SERF_RPC];
  const stdin = events.map(({ name, payload }) => `${name} ${payload.toHex()}\n`).join("");
  await must(realm.enter(["net"], program), { stdin });
}

/** A VE that a host never said. */
function forged(host: string, origin: Stamp): Event {
  const payload = encodeVmEvent({ uuid: VM, host, runstate: Runstate.running, ts: 5 }, origin);
  assert.ok(payload);
  return { name: "VE", payload };
}

async function stampOf(cluster: LabCluster, n: number): Promise<Stamp> {
  const { origins } = await cluster.daemon(n).json<{ origins: (Stamp & { uuid: string })[] }>(
    "GET",
    "/cluster/vector",
  );
  const own = origins.find(({ uuid }) => uuid === cluster.uuid(n));
  assert.ok(own);
  return own;
}

/** A VM that is made on a host is known to the other. */
async function assertHeard(cluster: LabCluster, n: number, other: number, name: string): Promise<void> {
  const osdisk = disk(`/vms/ds/${name}.qcow2`, { man: 1, prov: 1, size: 8 });
  const vmdef = { ...SMALL_VMDEF, name, osdisk };
  const uuid = await cluster.daemon(n).json<string>("POST", "/vms", { vmdef, host: cluster.uuid(n) });
  await until(
    `host ${other} to list ${name}`,
    async () => await cluster.vm(other, uuid) ? true : undefined,
    30_000,
  );
  const vm = await cluster.daemon(other).json<{ uuid: string }>("GET", `/vms/${uuid}`);
  assert.equal(vm.uuid, uuid);
}

Deno.test("what any member of Serf gossips in a host's name does not mute that host", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const digest = "0123456789abcdef";
  const now = Date.now();

  for (const epoch of [Number.MAX_SAFE_INTEGER, 2 ** 52, now + 20 * 365 * 86_400_000, now + 86_400_000, 1]) {
    await t.step(`a record of the epoch ${epoch}`, async () => {
      await gossip(cluster, 2, [forged(cluster.uuid(1), { epoch, seq: 1, digest })]);
      await assertHeard(cluster, 1, 2, `epoch${epoch}`);
      await assertHeard(cluster, 2, 1, `other${epoch}`);
    });
  }
  await t.step("records of its present life that it never said", async () => {
    const stamp = await stampOf(cluster, 1);
    const seqs = [Number.MAX_SAFE_INTEGER, stamp.seq + 1, stamp.seq + 50];
    await gossip(cluster, 2, seqs.map((seq) => forged(cluster.uuid(1), { ...stamp, seq, digest })));
    await assertHeard(cluster, 1, 2, "present");
  });
  await t.step("a thousand of all kinds, and garbage", async () => {
    const stamp = await stampOf(cluster, 1);
    const events = Array.from({ length: 1000 }, (_, at): Event => {
      if (at % 3 === 0) return { name: "VI", payload: crypto.getRandomValues(new Uint8Array(100)) };
      if (at % 3 === 1) return forged(cluster.uuid(1), { epoch: 2 ** 53 - 1 - at, seq: at, digest });
      return forged(cluster.uuid(1), { ...stamp, seq: stamp.seq + at, digest });
    });
    await gossip(cluster, 2, events);
    await assertHeard(cluster, 1, 2, "flood");
    for (const n of cluster.numbers) {
      await until(`host ${n} to be degraded`, async () => {
        const { degraded } = await cluster.daemon(n).json<{ degraded: readonly string[] }>("GET", "/readyz");
        return degraded.join().includes("sends records that cannot be understood") || undefined;
      }, 30_000);
      const { output } = cluster.daemon(n).process;
      const lines = output.split("\n").filter((line) => /cannot be understood|add up|have been/.test(line));
      assert.ok(lines.length < 20, `${lines.length} lines`);
    }
  });
  await t.step("after a restart, too", async () => {
    await cluster.startDaemon(1);
    await assertHeard(cluster, 1, 2, "restarted");
    await cluster.settled();
  });
});
