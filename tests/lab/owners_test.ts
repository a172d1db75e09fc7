import assert from "node:assert/strict";
import { VirtxError } from "../../lib/model/error.ts";
import type { Vmdef } from "../../lib/model/vm.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

const MADE = { man: 1, prov: 1, size: 8 } as const;
const ROUNDS = 20;

function vmdef(path: string, but: { man: 1; prov?: 1; size?: number } = MADE): Vmdef {
  return { ...SMALL_VMDEF, name: "own1", osdisk: disk(path, but) };
}

/** The files below /vms/ds, with their inodes. */
async function images(cluster: LabCluster): Promise<Map<string, string>> {
  const printed = await cluster.host(1).exec(["find", "/vms/ds", "-type", "f", "-printf", "%p %i\\n"]);
  const lines = printed.trim().split("\n").filter(Boolean);
  return new Map(lines.map((line) => line.split(" ")).map(([path = "", inode = ""]) => [path, inode]));
}

async function journals(cluster: LabCluster): Promise<string> {
  return (await cluster.host(1).exec(["find", "/vms/xml", "-path", "*/.journal/*.json"])).trim();
}

/** Makes all records older than the time for which they count by themselves. */
async function age(cluster: LabCluster): Promise<void> {
  await cluster.host(1).exec([
    "find",
    "/vms/.virtxd",
    "-name",
    "*.json",
    "-exec",
    "touch",
    "-d",
    "10 minutes ago",
    "{}",
    "+",
  ]);
}

function isConflict(error: unknown): error is VirtxError {
  return error instanceof VirtxError && error.kind === "conflict";
}

Deno.test("of two hosts that want one disk at the same instant exactly one gets it, and nothing is left of the other", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  for (let round = 0; round < ROUNDS; round++) {
    const path = `/vms/ds/round${round}/os.qcow2`;
    const exists = round % 2 === 1; // the file is made by hand before, and is to be used as it is
    if (exists) {
      await cluster.host(1).exec(["mkdir", `/vms/ds/round${round}`]);
      await cluster.host(1).exec(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"]);
    }
    const wanted = vmdef(path, exists ? { man: 1 } : MADE);
    const answers = await Promise.allSettled(
      cluster.numbers.map((n) =>
        cluster.daemon(n).json<string>("POST", "/vms", { vmdef: wanted, host: cluster.uuid(n) })
      ),
    );
    const made = answers.flatMap((answer) => answer.status === "fulfilled" ? [answer.value] : []);
    const refused = answers.flatMap((answer) => answer.status === "rejected" ? [answer.reason] : []);
    assert.equal(made.length, 1, `round ${round}: ${refused.map(String).join("; ")}`);
    assert.ok(isConflict(refused[0]) || /already exists/.test(String(refused[0])), String(refused[0]));
    assert.deepEqual([...(await images(cluster)).keys()], [path]);
    assert.equal(await journals(cluster), "");
    const winner = 1 + answers.findIndex(({ status }) => status === "fulfilled");
    await cluster.daemon(winner).json("DELETE", `/vms/${made[0]}`, { deletestorage: true });
    assert.deepEqual([...(await images(cluster)).keys()], []);
  }
});

Deno.test("a host that finishes a deletion late deletes nothing that another host's VM has by then", async () => {
  const path = "/vms/ds/own1.qcow2";
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  await cluster.startDaemon(1, { env: { VIRTX_TEST_STOP_AT: "delete.deleted" } });
  await cluster.complete();
  const [one, two] = [cluster.daemon(1), cluster.daemon(2)];
  const old = await one.json<string>("POST", "/vms", { vmdef: vmdef(path), host: cluster.uuid(1) });
  const request = one.json("DELETE", `/vms/${old}`, { deletestorage: true }).catch(() => {});
  await one.says("halted at a fault point");
  await cluster.killDaemon(1);
  await request;
  assert.deepEqual([...(await images(cluster)).keys()], []);

  const again = { vmdef: vmdef(path), host: cluster.uuid(2) };
  await assert.rejects(two.json("POST", "/vms", again), isConflict); // it may be that host 1 has only just taken it
  await age(cluster);
  const vm = await two.json<string>("POST", "/vms", again);
  await two.json("POST", `/vms/${vm}/runstate/boot`, null);
  const before = await images(cluster);
  assert.deepEqual([...before.keys()], [path]);

  await cluster.startDaemon(1);
  await cluster.daemon(1).says("keeping a disk that another VM has by now");
  assert.equal(await journals(cluster), "");
  assert.deepEqual(await images(cluster), before);
  await two.json("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 });
  await two.json("DELETE", `/vms/${vm}`, { deletestorage: true });
  assert.deepEqual([...(await images(cluster)).keys()], []);
});
