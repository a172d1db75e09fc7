import assert from "node:assert/strict";
import { Runstate } from "../../lib/model/enums.ts";
import { partition } from "../../scripts/lab/faults/packets.ts";
import { until } from "../../scripts/lab/until.ts";
import { refusal } from "../support/libvirt_connections.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { TestLab } from "./support/test_lab.ts";

/** Longer than a change may be on its way. */
const LATE_MS = 12_000;
/** TCP sends again what it has sent in vain after 13 s, and after 26 s. */
const AGAIN_MS = 90_000;

Deno.test("a change that a broken link has held back is not carried out when the link is whole again", async () => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const [asked, target] = [cluster.daemon(1), cluster.daemon(2)];
  const vm = await asked.json<string>("POST", "/vms", {
    vmdef: { ...SMALL_VMDEF, osdisk: disk("/vms/ds/web.qcow2", { man: 1, prov: 1, size: 8 }) },
    host: cluster.uuid(2),
  });
  await asked.json("POST", `/vms/${vm}/runstate/boot`); // over a connection that is kept

  {
    await using _cut = await partition([cluster.host(1)], [cluster.host(2)]);
    const sent = performance.now();
    const error = await refusal(asked.json("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 }));
    assert.match(error.message, /whether it was done is not known/);
    const rest = LATE_MS - (performance.now() - sent);
    await new Promise((resolve) => setTimeout(resolve, rest));
  }
  await until(
    "the request to arrive at last",
    () =>
      target.process.output.includes("was on its way for more than 10 s, and nothing was done") || undefined,
    AGAIN_MS,
  );
  assert.equal(await target.runstate(vm), Runstate.running);
  await cluster.complete();
  await asked.json("DELETE", `/vms/${vm}/runstate/boot`, { force: 2 });
  assert.equal(await target.runstate(vm), Runstate.poweroff);
});
