import assert from "node:assert/strict";
import type { Vmdef } from "../../lib/model/vm.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

const PATH = "/vms/ds/own1.qcow2";

function vmdef(name: string, but: { man: 1; prov?: 1; size?: number }): Vmdef {
  return { ...SMALL_VMDEF, name, osdisk: disk(PATH, but) };
}

Deno.test("the disk of a VM that runs on another host is neither given away nor deleted", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const [one, two] = [cluster.daemon(1), cluster.daemon(2)];
  const host = cluster.uuid(1);
  const vm = await one.json<string>("POST", "/vms", {
    vmdef: vmdef("own1", { man: 1, prov: 1, size: 8 }),
    host,
  });
  await one.json("POST", `/vms/${vm}/runstate/boot`, null);
  const thief = { vmdef: vmdef("thief", { man: 1 }), host: cluster.uuid(2) };
  await assert.rejects(one.json("POST", "/vms", thief), {
    kind: "conflict",
    message: new RegExp(`is one of VM "own1" \\(${vm}\\) of host virt1`),
  });
  await cluster.host(1).exec(["test", "-e", PATH]);
  await one.json("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 });
  await two.json("DELETE", `/vms/${vm}`, { deletestorage: true });
  assert.notEqual((await cluster.host(1).run(["test", "-e", PATH])).code, 0);
  const again = await two.json<string>("POST", "/vms", {
    vmdef: vmdef("own1", { man: 1, prov: 1, size: 8 }),
    host: cluster.uuid(2),
  });
  await two.json("DELETE", `/vms/${again}`, { deletestorage: true });
});
