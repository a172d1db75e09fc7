import assert from "node:assert/strict";
import { DiskManagement, DiskProvisioning, Runstate } from "../../lib/model/enums.ts";
import { VirtxError } from "../../lib/model/error.ts";
import { until } from "../../scripts/lab/until.ts";
import { disk, SMALL_VMDEF } from "../support/vmdef_examples.ts";
import { CliHost } from "./support/cli_host.ts";
import { LabCluster } from "./support/lab_cluster.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

const FORMAT = "/vms/.virtxd/format";
const NEWER =
  /\/vms\/\.virtxd\/format says format 2, and the virtxd of host \S+ writes 1: install a later version there/;
/** The storage is looked at every ten seconds. */
const KNOWN_MS = 40_000;

function vmdef(name: string) {
  const made = { man: DiskManagement.managed, prov: DiskProvisioning.thin, size: 16 };
  return { ...SMALL_VMDEF, name, osdisk: disk(`/vms/ds/${name}.qcow2`, made) };
}

Deno.test("hosts that find a newer format on the storage change nothing, say so, and go on when it is theirs again", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  await using cluster = await LabCluster.start(lab);
  const host = cluster.host(1);
  let daemon = cluster.daemon(1);
  const create = (name: string) =>
    daemon.json<string>("POST", "/vms", { vmdef: vmdef(name), host: cluster.uuid(1) });
  const off = await create("off");
  const runs = await create("runs");
  await daemon.json("POST", `/vms/${runs}/runstate/boot`);
  await daemon.until(runs, Runstate.running);
  // What is written just now is not there yet.
  const files = () => host.exec(["find", "/vms/ds", "/vms/xml", "-type", "f", "!", "-name", "*.tmp"]);
  const before = await files();
  const format = (content: string) => host.exec(["sh", "-c", `printf '%s' '${content}' > ${FORMAT}`]);
  const readyz = async (status: number, reason: RegExp) => {
    for (const n of cluster.numbers) {
      await until(`host ${n} to answer ${status}`, async () => {
        const response = await fetch(`${cluster.daemon(n).url}/readyz`);
        return response.status === status && reason.test(await response.text()) || undefined;
      }, KNOWN_MS);
    }
  };
  const change = { host: cluster.uuid(2), migration_type: 0 };
  const attempts: Record<string, () => Promise<unknown>> = {
    create: () => create("new"),
    update: () => daemon.json("PUT", `/vms/${off}`, { vmdef: vmdef("renamed"), deletestorage: false }),
    delete: () => daemon.json("DELETE", `/vms/${off}`, { deletestorage: true }),
    migrate: () => daemon.json("POST", `/vms/${off}/runstate/migrate`, change),
    register: () => daemon.json("PUT", `/vms/${off}/register`, { host: "" }),
    boot: () => daemon.json("POST", `/vms/${off}/runstate/boot`),
  };
  const refusesAll = async (reason: RegExp) => {
    for (const [name, attempt] of Object.entries(attempts)) {
      await assert.rejects(attempt(), (error) => {
        assert.ok(error instanceof VirtxError, name);
        assert.equal(error.kind, "unavailable", name);
        assert.match(error.message, reason, name);
        return true;
      });
    }
  };

  await t.step("a newer one", async () => {
    await format("2\n");
    await refusesAll(NEWER); // at once, since each change looks first
    await readyz(503, NEWER);
    const { code, stdout } = await (await CliHost.set(cluster)).sh("virtx cluster status");
    assert.match(stdout.replace(/\s+/g, " "), /Amiss .*says format 2/);
    assert.equal(code, 1);
  });
  await t.step("what needs no storage goes on: lists, and the power of guests", async () => {
    assert.deepEqual((await cluster.vms(2)).map(({ uuid }) => uuid).sort(), [off, runs].sort());
    await daemon.json("POST", `/vms/${runs}/runstate/pause`);
    await daemon.json("DELETE", `/vms/${runs}/runstate/pause`);
    await daemon.json("DELETE", `/vms/${runs}/runstate/boot`, { force: 2 });
    await daemon.until(runs, Runstate.poweroff);
    assert.equal(await files(), before);
  });
  await t.step("so it is of a host that starts then, and until the format is this version's", async () => {
    await cluster.killDaemon(1);
    await using late = await LabDaemon.launch(host);
    daemon = late;
    await until("it to list", async () => {
      const vms = await late.json<{ items: unknown[] }>("GET", "/vms").catch(() => undefined);
      return vms?.items.length === 2 || undefined;
    }, KNOWN_MS);
    await refusesAll(NEWER);
    await format("garbage");
    await refusesAll(/has no format number in it.*write 1 into it/);
    assert.equal(await files(), before);
    await format("1\n");
    await late.ready(KNOWN_MS);
    const made = await create("new");
    await late.json("DELETE", `/vms/${made}`, { deletestorage: true });
    await late.json("DELETE", `/vms/${off}`, { deletestorage: true });
    await host.exec(["rm", FORMAT]);
    await late.json("POST", `/vms/${runs}/runstate/boot`);
  });
});
