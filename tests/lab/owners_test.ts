import assert from "node:assert/strict";
import { VirtxError } from "../../lib/model/error.ts";
import type { Vmdef } from "../../lib/model/vm.ts";
import { imagesOf } from "../../scripts/lab/images.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { ageRecords } from "./support/age_records.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

const MADE = { man: 1, prov: 1, size: 8 } as const;
const ROUNDS = 20;

function vmdef(path: string, but: { man: 1; prov?: 1; size?: number } = MADE): Vmdef {
  return { ...SMALL_VMDEF, name: "own1", osdisk: disk(path, but) };
}

/** The files below /vms/ds that are not in the trash, with their inodes. */
async function images(cluster: LabCluster): Promise<Map<string, string>> {
  const printed = await imagesOf(cluster.host(1), "%p %i\\n");
  const lines = printed.split("\n").filter(Boolean);
  return new Map(lines.map((line) => line.split(" ")).map(([path = "", inode = ""]) => [path, inode]));
}

async function journals(cluster: LabCluster): Promise<string> {
  return (await cluster.host(1).exec(["find", "/vms/xml", "-path", "*/.journal/*.json"])).trim();
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
        cluster.daemon(n).json<string>("POST", "/vms", {
          vmdef: { ...wanted, name: `own${n}` },
          host: cluster.uuid(n),
        })
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
  const create = "/vms?duplicate_name=allow"; // host 1 may not have told that the old one is gone
  await assert.rejects(two.json("POST", create, again), isConflict); // it may be that host 1 has only just taken it
  await ageRecords(cluster.host(1));
  const vm = await two.json<string>("POST", create, again);
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

/** Has a VM's registry file lie in the directories of these hosts, as after a copy by hand. */
async function putInRegistryOf(
  cluster: LabCluster,
  vm: string,
  hosts: readonly number[],
  xml: string,
): Promise<void> {
  for (const n of hosts) {
    const file = `/vms/xml/${cluster.uuid(n)}/${vm}.xml`;
    await cluster.host(n).exec([
      "sh",
      "-c",
      `mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"`,
      "sh",
      file,
      xml,
    ]);
  }
}

async function definedOn(cluster: LabCluster, vm: string): Promise<number[]> {
  const found = await Promise.all(cluster.numbers.map(async (n) => {
    const printed = await cluster.host(n).exec(["virsh", "list", "--all", "--uuid"]);
    return printed.includes(vm) ? [n] : [];
  }));
  return found.flat();
}

Deno.test("a VM is registered on one host only: not on two at the same instant, and not while another has it", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const one = cluster.daemon(1);
  const vm = await one.json<string>("POST", "/vms", {
    vmdef: vmdef("/vms/ds/own1.qcow2"),
    host: cluster.uuid(1),
  });
  const xml = await cluster.host(1).exec(["virsh", "dumpxml", "--inactive", vm]);
  const register = (n: number) =>
    cluster.daemon(n).json("PUT", `/vms/${vm}/register`, { host: cluster.uuid(n) });

  await putInRegistryOf(cluster, vm, [2], xml);
  await assert.rejects(register(2), { kind: "conflict", message: /host virt1 has it, off/ });
  await cluster.host(1).exec(["rm", "-r", "/vms/.virtxd/vms"]); // as before there were records
  await assert.rejects(register(2), { kind: "conflict", message: /host virt1 has it, off/ });
  assert.deepEqual(await definedOn(cluster, vm), [1]);

  for (let round = 0; round < 5; round++) {
    for (const n of await definedOn(cluster, vm)) await cluster.host(n).exec(["virsh", "undefine", vm]);
    await putInRegistryOf(cluster, vm, [1, 2], xml);
    await ageRecords(cluster.host(1));
    await until("both daemons to know that nobody has the VM", async () => {
      const known = await Promise.all(cluster.numbers.map((n) => cluster.vm(n, vm)));
      return known.every((entry) => entry === undefined) || undefined;
    }, 30_000);
    const answers = await Promise.allSettled(cluster.numbers.map(register));
    const won = answers.flatMap(({ status }, at) => status === "fulfilled" ? [at + 1] : []);
    assert.equal(
      won.length,
      1,
      answers.map((answer) => answer.status === "rejected" ? String(answer.reason) : "").join(),
    );
    assert.deepEqual(await definedOn(cluster, vm), won);
  }
});

Deno.test("a VM that two hosts have defined is reported by both until that is settled", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const [one, two] = [cluster.daemon(1), cluster.daemon(2)];
  const vm = await one.json<string>("POST", "/vms", {
    vmdef: vmdef("/vms/ds/own1.qcow2"),
    host: cluster.uuid(1),
  });
  const xml = await cluster.host(1).exec(["virsh", "dumpxml", "--inactive", vm]);
  await cluster.host(2).exec([
    "sh",
    "-c",
    `printf %s "$1" > /tmp/twin.xml && virsh define /tmp/twin.xml`,
    "sh",
    xml,
  ]);
  for (const daemon of [one, two]) {
    await until("both hosts to report it", async () => {
      const { degraded } = await daemon.json<{ degraded: string[] }>("GET", "/readyz");
      return degraded.some((reason) => reason.includes("is defined on hosts virt1 and virt2")) || undefined;
    }, 90_000);
  }
  await cluster.host(2).exec(["virsh", "undefine", vm]);
  await one.json("DELETE", `/vms/${vm}`, { deletestorage: true });
  assert.deepEqual([...(await images(cluster)).keys()], []);
});
