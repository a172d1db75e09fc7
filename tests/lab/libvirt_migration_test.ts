import assert from "node:assert/strict";
import { JobOperation, JobType } from "../../lib/libvirt/constants.ts";
import type { DomainJob } from "../../lib/libvirt/job.ts";
import { VirtxError } from "../../lib/model/error.ts";
import { GuestConsole } from "../../scripts/lab/guest_console.ts";
import { until } from "../../scripts/lab/until.ts";
import { MigrationLab } from "./support/migration_lab.ts";

const MIB = 2 ** 20;
/** The guest's memory; what its devices have is moved too. */
const MEMORY = 128 * MIB;
/** A migration that takes seconds, to have time for something in the middle of it. */
const SLOWLY = { bandwidthMiBps: 10 };

Deno.test("a guest that writes memory moves while it runs, its progress is told, and it goes on there", async () => {
  await using lab = await MigrationLab.up();
  const { hypervisor, guest } = lab;
  {
    await using terminal = await GuestConsole.open(lab.source, guest);
    await terminal.send("dirty 16 20");
    await terminal.expect(/guest dirty: 16 MiB/);
  }
  await hypervisor.setMaxDowntime(guest, 1_000);
  const jobs: DomainJob[] = [];
  const outcome = lab.migrate(lab.options({ bandwidthMiBps: 50, autoConverge: {} }));
  for (let sent = 0; sent < MEMORY / 4; sent = jobs.at(-1)?.memoryProcessed ?? 0) {
    jobs.push(await lab.progress(sent + 1));
  }
  assert.equal(await outcome, "completed");
  for (const job of jobs) {
    assert.deepEqual([job.type, job.operation], [JobType.unbounded, JobOperation.migrationOut]);
    assert.ok((job.memoryTotal ?? 0) >= MEMORY && (job.memoryTotal ?? 0) < 2 * MEMORY, `${job.memoryTotal}`);
    assert.ok((job.memoryRemaining ?? 0) <= (job.memoryTotal ?? 0), `${job.memoryRemaining}`);
  }
  assert.deepEqual(await lab.whereabouts(), ["virt2: running, 1 QEMU"]);
  assert.equal(
    (await lab.target.exec(["virsh", "dominfo", guest])).match(/Persistent: +(\w+)/)?.[1],
    "yes",
  );

  const ended = lab.seen.filter((event) => event.kind === "job_completed");
  assert.equal(ended.length, 1);
  assert.equal(ended[0]?.job.type, JobType.completed);
  assert.ok((ended[0].job.downtimeMs ?? 0) > 0 && (ended[0].job.memoryProcessed ?? 0) >= MEMORY / 4);
  const passes = lab.seen.filter((event) => event.kind === "migration_iteration");
  assert.deepEqual(passes.map((event) => event.iteration), passes.map((_, index) => index + 1));
  assert.ok(passes.length >= 2);

  await using terminal = await GuestConsole.open(lab.target, guest);
  const written = async () => {
    await terminal.send("status");
    return Number((await terminal.expect(/dirty 16 MiB at 20 MiB\/s, (\d+) MiB written/))[1]);
  };
  const before = await written();
  await until("more memory to be written", async () => await written() > before || undefined, 10_000, 200);
});

Deno.test("a migration that is aborted, or whose target or link goes, leaves the guest running where it was", async () => {
  await using lab = await MigrationLab.up();
  const { source, target } = lab;
  const here = ["virt1: running, 1 QEMU"];
  const settled = async () => {
    const alone = async () => (await lab.whereabouts()).length === 1 || undefined;
    await until("the target to have nothing of the guest left", alone, 20_000);
    assert.deepEqual(await lab.whereabouts(), here);
  };

  const controller = new AbortController();
  const aborted = lab.migrate(lab.options(SLOWLY), controller.signal);
  await lab.progress(5 * MIB);
  controller.abort();
  assert.equal(await aborted, "aborted");
  assert.deepEqual(await lab.whereabouts(), here);

  const targetKilled = lab.migrate(lab.options(SLOWLY));
  await lab.progress(5 * MIB);
  await target.exec(["kill", "-9", (await target.exec(["cat", "/run/libvirtd.pid"])).trim()]);
  assert.match(
    (await failure(targetKilled)).message,
    /client socket is closed|Lost connection to destination/,
  );
  await lab.lab.lab.boot(target);
  await settled();

  const linkLost = lab.migrate(lab.options(SLOWLY));
  await lab.progress(5 * MIB);
  await source.exec(["iptables", "-A", "INPUT", "-s", target.address, "-j", "DROP"]);
  await source.exec(["iptables", "-A", "OUTPUT", "-d", target.address, "-j", "DROP"]);
  assert.match((await failure(linkLost)).message, /client socket is closed|Lost connection to destination/);
  await source.exec(["iptables", "-F"]);
  await settled();

  assert.equal(await lab.migrate(lab.options({ paused: true })), "completed");
  assert.deepEqual(await lab.whereabouts(), ["virt2: paused, 1 QEMU"]);
});

Deno.test("a domain that is off moves as a definition; what hosts have is comparable before", async () => {
  await using lab = await MigrationLab.up();
  const { hypervisor, guest } = lab;
  assert.deepEqual(await hypervisor.activeNetworks(), ["default"]);
  const pc = { arch: "x86_64", machine: "pc", virttype: "qemu" };
  const cpu = (model: string) => `<cpu match="exact"><model>${model}</model></cpu>`;
  assert.notEqual((await hypervisor.compareCpu(cpu("qemu64"), pc)).verdict, "incompatible");
  const comparison = await hypervisor.compareCpu(cpu("Skylake-Server"), pc);
  assert.ok(comparison.verdict === "incompatible");
  assert.match(comparison.reason, /does not provide required features: .*avx512f/);
  assert.match(await hypervisor.migratableXml(guest), /<domain type='qemu'>/);
  assert.match(await hypervisor.xmlWithProcessor(guest), /<cpu mode='maximum'/);

  await assert.rejects(lab.migrate(lab.options()), /It is not off/);
  assert.deepEqual(await lab.whereabouts(), ["virt1: running, 1 QEMU"]);
  await hypervisor.destroy(guest, { graceful: false });
  const off = await failure(lab.migrate(lab.options({})));
  assert.match(off.message, /domain is not running/);
  assert.equal(await lab.migrate(lab.options()), "completed");
  assert.deepEqual(await lab.whereabouts(), ["virt2: shut off, 0 QEMU"]);
});

Deno.test("post-copy lets a guest run at the target before its memory is there", async () => {
  await using lab = await MigrationLab.up();
  const { hypervisor, guest, target } = lab;
  const outcome = lab.migrate(lab.options({ ...SLOWLY, postCopy: true }));
  const job = await lab.progress(5 * MIB);
  assert.ok((job.memoryRemaining ?? 0) > MEMORY / 4);
  await hypervisor.startPostCopy(guest);
  assert.equal(await outcome, "completed");
  assert.deepEqual(await lab.whereabouts(), ["virt2: running, 1 QEMU"]);
  await using terminal = await GuestConsole.open(target, guest);
  await terminal.send("say still here");
  await terminal.expect(/guest says: still here/);
});

/** The failure that libvirt gives the reason for. */
async function failure(migration: Promise<unknown>): Promise<VirtxError> {
  try {
    await migration;
  } catch (error) {
    assert.ok(error instanceof VirtxError, String(error));
    assert.equal(error.kind, "refused", error.message);
    assert.ok(error.libvirt);
    return error;
  }
  assert.fail("The migration did not fail");
}
