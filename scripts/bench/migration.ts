import { MigrationCluster, Traveller } from "../../tests/lab/support/migration_cluster.ts";
import type { Bench } from "./row.ts";
import { isBuilt } from "./support/executable.ts";
import { percentile } from "./support/stall.ts";

/** Round trips of the guest by each of the two. */
const ROUNDS = 5;
const MOST = 1.1;

/**
 * Two real hosts and an idle guest that goes there and back while it runs: by virtxd, from the request until the host that
 * was asked says that it is there; and by virsh, from its start to its end. The two take turns.
 */
const bench: Bench = async ({ skip }) => {
  if (Deno.uid() !== 0 || !await isBuilt()) {
    skip("live migration", Deno.uid() === 0 ? "run deno task build first" : "a lab needs root");
    return [];
  }
  await using up = await MigrationCluster.up(2);
  const traveller = await Traveller.create(up.cluster, "traveller");
  await traveller.boot();
  const virtxd: number[] = [];
  const virsh: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [times, migrate] of [[virtxd, byVirtxd], [virsh, byVirsh]] as const) {
      for (const [from, to] of [[1, 2], [2, 1]] as const) {
        times.push(await migrate(traveller, from, to));
        await traveller.cluster.settled();
      }
    }
  }
  const [value, comparedValue] = [percentile(virtxd, 0.5), percentile(virsh, 0.5)];
  return [{
    name: "live migration, p50",
    value,
    unit: "ms",
    comparedTo: "virsh migrate",
    comparedValue,
    ratio: value / comparedValue,
    target: `≤ ${MOST} ×`,
    ok: value / comparedValue <= MOST,
  }];
};
export default bench;

async function byVirtxd(traveller: Traveller, from: number, to: number): Promise<number> {
  const began = performance.now();
  await traveller.begin(to, {}, from);
  while (await traveller.whereabouts(from) !== to) await new Promise((resolve) => setTimeout(resolve, 5));
  return performance.now() - began;
}

/** With the flags that virtxd gives libvirt. */
async function byVirsh(traveller: Traveller, from: number, to: number): Promise<number> {
  const target = traveller.cluster.host(to).address;
  const began = performance.now();
  await traveller.cluster.host(from).exec([
    ...["virsh", "migrate", "--live", "--p2p", "--persistent", "--undefinesource", "--abort-on-error"],
    ...["--migrateuri", `tcp://${target}`, "--listen-address", target],
    ...[traveller.vm, `qemu+tcp://${target}/system`],
  ]);
  return performance.now() - began;
}
