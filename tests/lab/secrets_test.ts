import assert from "node:assert/strict";
import { Runstate } from "../../lib/model/enums.ts";
import type { Vm } from "../../lib/model/vm.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { until } from "../../scripts/lab/until.ts";
import { LabCluster, type Listed } from "./support/lab_cluster.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

const UUID = "b1000000-0000-4000-8000-000000000021";
const PASSWORD = "s3cr3t";
const XML =
  `<domain type='qemu'><name>desk</name><uuid>${UUID}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os><cpu mode='maximum'/>
  <devices><graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1' passwd='${PASSWORD}'/></devices></domain>`;
const KEPT = "/var/lib/virtxd/secrets";

async function define(host: LabHost, xml: string): Promise<void> {
  await host.exec(["tee", "/tmp/secret.xml"], { stdin: xml });
  await host.exec(["virsh", "define", "/tmp/secret.xml"]);
}

async function definition(host: LabHost): Promise<string> {
  return await host.exec(["virsh", "dumpxml", "--inactive", "--security-info", UUID]);
}

async function change(daemon: LabDaemon, memory: number): Promise<void> {
  const { def } = await daemon.json<Vm>("GET", `/vms/${UUID}`);
  const vmdef = { ...def, memory: { ...def.memory, total: memory } };
  await daemon.json("PUT", `/vms/${UUID}`, { vmdef, deletestorage: false });
}

/** That no password is on shared storage. */
async function assertUnshared(host: LabHost): Promise<void> {
  const { stdout } = await host.run(["grep", "-rl", PASSWORD, "/vms"]);
  assert.equal(stdout, "");
}

Deno.test("a definition with a password is changed in place, and the password stays, whenever the daemon is killed", async (t) => {
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await define(host, XML);
  const [before, state] = [await definition(host), () => host.run(["ls", KEPT])];
  {
    await using daemon = await LabDaemon.start(host);
    await change(daemon, 96);
  }
  const after = before.replace(/(emory unit='KiB'>)65536</g, "$198304<");
  assert.equal(await definition(host), after);
  await assertUnshared(host);

  const undone = [
    "secrets.written",
    "journal.renamed",
    "update.prepared",
    "update.defined",
    "update.registered",
  ];
  const done = ["update.committed", "journal.removed", "secrets.removed"];
  for (const point of [...undone, ...done]) {
    await t.step(point, async () => {
      await define(host, XML);
      {
        await using daemon = await LabDaemon.launch(host, { env: { VIRTX_TEST_STOP_AT: point } });
        await daemon.ready();
        const answer = change(daemon, 96).catch(() => {});
        await daemon.says("halted at a fault point");
        if (point === "update.prepared") {
          const modes = await host.exec(["bash", "-c", `stat -c %a ${KEPT} ${KEPT}/*`]);
          assert.deepEqual(modes.trim().split("\n"), ["700", "600"]);
        }
        await assertUnshared(host);
        daemon.process.kill("SIGKILL");
        await daemon.process.status;
        await answer;
      }
      await using _daemon = await LabDaemon.start(host);
      assert.equal(await definition(host), undone.includes(point) ? before : after);
      const { stdout } = await state();
      // What no change needs goes after a day.
      assert.equal(stdout === "", !["secrets.written", "journal.removed"].includes(point), stdout);
      await host.exec(["bash", "-c", `rm -f ${KEPT}/*`]);
      await assertUnshared(host);
    });
  }
});

Deno.test("a password goes along with its VM, or the screen lets nobody in", async (t) => {
  await using lab = await TestLab.up({ hosts: 2 });
  await define(lab.host(1), XML);
  await using cluster = await LabCluster.start(lab);
  const migrate = async (from: number, to: number, live: boolean) => {
    await cluster.daemon(from).json("POST", `/vms/${UUID}/runstate/migrate`, {
      host: cluster.uuid(to),
      migration_type: live ? 1 : 0,
    });
    await until("the VM to be there", async () => {
      const { stdout } = await cluster.host(to).run(["virsh", "list", "--all", "--persistent", "--uuid"]);
      const left = await cluster.host(from).run(["virsh", "list", "--all", "--uuid"]);
      return (stdout.includes(UUID) && !left.stdout.includes(UUID)) || undefined;
    }, 60_000);
    await cluster.settled();
  };

  await t.step("a cold migration takes it along", async () => {
    await migrate(1, 2, false);
    assert.match(await definition(cluster.host(2)), new RegExp(`passwd='${PASSWORD}'`));
    await assertUnshared(cluster.host(2));
  });
  await t.step("a live one, too", async () => {
    const daemon = cluster.daemon(2);
    await daemon.json("POST", `/vms/${UUID}/runstate/boot`);
    await daemon.until(UUID, Runstate.running);
    await migrate(2, 1, true);
    assert.match(await definition(cluster.host(1)), new RegExp(`passwd='${PASSWORD}'`));
    const live = await cluster.host(1).exec(["virsh", "dumpxml", "--security-info", UUID]);
    assert.match(live, new RegExp(`passwd='${PASSWORD}'`));
    await cluster.host(1).exec(["virsh", "destroy", UUID]);
  });
  await t.step("from the registry it is defined with a screen that lets nobody in", async () => {
    await cluster.settled();
    await cluster.host(1).exec(["virsh", "undefine", UUID]);
    await until("host 1 not to have it", async () => {
      const { items } = await cluster.daemon(2).json<{ items: readonly Listed[] }>("GET", "/vms");
      return items.every(({ uuid }) => uuid !== UUID) || undefined;
    }, 30_000);
    const daemon = cluster.daemon(1);
    await until("the registry to tell it", async () => {
      const { stdout } = await cluster.host(2).run(["bash", "-c", `grep -l 1970 /vms/xml/*/${UUID}.xml`]);
      return stdout !== "" || undefined;
    }, 30_000);
    const { headers } = await daemon.api.request("PUT", `/vms/${UUID}/register`, { host: cluster.uuid(1) });
    assert.match(headers.get("warning") ?? "", /lets nobody in/);
    assert.match(await definition(cluster.host(1)), /passwd='withheld' passwdValidTo='1970-01-01T00:00:01'/);
    await daemon.json("POST", `/vms/${UUID}/runstate/boot`);
    await daemon.until(UUID, Runstate.running);
    const monitor = ["virsh", "qemu-monitor-command", UUID, "--hmp", "info vnc"];
    assert.match(await cluster.host(1).exec(monitor), /Auth: vnc/);
  });
});
