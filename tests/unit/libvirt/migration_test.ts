import assert from "node:assert/strict";
import {
  ErrorCode,
  JobOperation,
  JobType,
  MigrateFlag,
  TypedParameterType,
} from "../../../lib/libvirt/constants.ts";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import {
  migrationFlags,
  type MigrationOptions,
  migrationParameters,
} from "../../../lib/libvirt/migration.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { refusal } from "../../support/libvirt_connections.ts";
import { LibvirtServer, Procedure, SERVED_DOMAIN } from "../../support/libvirt_server.ts";
import { testDomainXml } from "../../support/test_driver.ts";
import { XdrWriter } from "../../support/xdr.ts";

const log = silentLogger;
const { uuid } = SERVED_DOMAIN;
const DESTINATION = "qemu+tcp://10.0.0.2/system";
const LIVE: MigrationOptions = { destination: DESTINATION, live: { address: "10.0.0.2" } };
const { boolean, int, ullong, string, uint } = TypedParameterType;

Deno.test("a live migration takes the definition along, a definition alone moves offline, and neither is unsafe", () => {
  const { live, peer2peer, persistDestination, undefineSource, abortOnError, offline } = MigrateFlag;
  assert.equal(migrationFlags(LIVE), live | peer2peer | persistDestination | undefineSource | abortOnError);
  assert.equal(
    migrationFlags({ destination: DESTINATION }),
    offline | peer2peer | persistDestination | undefineSource,
  );
  assert.deepEqual(migrationParameters({ destination: DESTINATION }), []);
});

Deno.test("every option of a migration becomes libvirt's flag and parameters", () => {
  const options: MigrationOptions = {
    destination: DESTINATION,
    persistentXml: "<domain>kept</domain>",
    live: {
      address: "fd00::2",
      xml: "<domain/>",
      parallelConnections: 4,
      autoConverge: { initialPercent: 30, incrementPercent: 15 },
      postCopy: true,
      resumePostCopy: true,
      paused: true,
      bandwidthMiBps: 100,
    },
  };
  const { parallel, autoConverge, postCopy, postCopyResume, paused } = MigrateFlag;
  const added = parallel | autoConverge | postCopy | postCopyResume | paused;
  assert.equal(migrationFlags(options), migrationFlags(LIVE) | added);
  assert.deepEqual(migrationParameters(options).map(({ name, type, value }) => [name, type, value]), [
    ["migrate_uri", string, "tcp://[fd00::2]"],
    ["listen_address", string, "fd00::2"],
    ["destination_xml", string, "<domain/>"],
    ["persistent_xml", string, "<domain>kept</domain>"],
    ["parallel.connections", int, 4],
    ["auto_converge.initial", int, 30],
    ["auto_converge.increment", int, 15],
    ["bandwidth", ullong, 100],
  ]);
});

Deno.test("a migration that libvirt says went well has completed, one that fails has libvirt's reason", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  assert.equal(await hypervisor.migrate(uuid, LIVE), "completed");
  server.failures.set(Procedure.migrate, { code: ErrorCode.operationFailed, message: "no memory there" });
  const error = await refusal(hypervisor.migrate(uuid, LIVE));
  assert.equal(error.kind, "refused");
  assert.equal(error.libvirt?.code, ErrorCode.operationFailed);
  assert.equal(error.message, `Cannot migrate domain ${uuid} to ${DESTINATION}: no memory there`);
});

Deno.test("the signal aborts a migration, however long libvirt has no job yet that it could abort", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  server.hold(Procedure.migrate);
  server.failures.set(Procedure.abortJob, { code: ErrorCode.operationInvalid, message: "no job is active" });
  const controller = new AbortController();
  const outcome = hypervisor.migrate(uuid, LIVE, controller.signal);
  await untilCalled(server, Procedure.migrate, 1);
  controller.abort();
  await untilCalled(server, Procedure.abortJob, 3);
  server.failures.delete(Procedure.abortJob);
  await untilCalled(server, Procedure.abortJob, 4);
  server.failures.set(Procedure.migrate, { code: ErrorCode.operationAborted, message: "canceled by client" });
  server.release(Procedure.migrate);
  assert.equal(await outcome, "aborted");
  assert.equal(server.calls(Procedure.abortJob), 4);
});

Deno.test("an abort that comes too late leaves the migration completed; one before the start keeps it from starting", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  server.hold(Procedure.migrate);
  const controller = new AbortController();
  const outcome = hypervisor.migrate(uuid, LIVE, controller.signal);
  await untilCalled(server, Procedure.migrate, 1);
  controller.abort();
  await untilCalled(server, Procedure.abortJob, 1);
  server.release(Procedure.migrate);
  assert.equal(await outcome, "completed");
  assert.equal(await hypervisor.migrate(uuid, LIVE, controller.signal), "aborted");
  assert.equal(server.calls(Procedure.migrate), 1);
});

Deno.test("post-copy over parallel connections, which QEMU does not survive, is not even tried", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  const live = { address: "10.0.0.2", postCopy: true, parallelConnections: 2 };
  const error = await refusal(hypervisor.migrate(uuid, { destination: DESTINATION, live }));
  assert.equal(error.kind, "invalid");
  assert.equal(server.calls(Procedure.migrate), 0);
});

Deno.test("a migration has no deadline, and no part in other calls' connections", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({
    uri: server.uri,
    log,
    queryTimeoutMs: 100,
    operationTimeoutMs: 100,
  });
  server.hold(Procedure.migrate);
  const outcomes = Array.from({ length: 4 }, () => hypervisor.migrate(uuid, LIVE));
  await untilCalled(server, Procedure.migrate, 4);
  const giveUp = new AbortController();
  const fifth = hypervisor.migrate(uuid, LIVE, giveUp.signal); // waits for its turn
  giveUp.abort();
  assert.equal(await fifth, "aborted");
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal((await hypervisor.state(uuid)).state, 5);
  await hypervisor.start(uuid);
  server.release(Procedure.migrate);
  assert.deepEqual(await Promise.all(outcomes), Array(4).fill("completed"));
});

Deno.test("when libvirt goes away during a migration, its end is unknown, and that is said at once", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  server.hold(Procedure.migrate);
  const outcome = refusal(hypervisor.migrate(uuid, LIVE));
  await untilCalled(server, Procedure.migrate, 1);
  await server.die();
  assert.equal((await outcome).kind, "unavailable");
});

Deno.test("a domain's job is told in bytes, bytes per second and milliseconds", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  assert.equal(await hypervisor.job(uuid), undefined);
  server.job = {
    type: JobType.unbounded,
    figures: [
      ["operation", int, JobOperation.migrationOut],
      ["time_elapsed", ullong, 1500],
      ["data_total", ullong, 2 ** 40],
      ["data_processed", ullong, 2 ** 39],
      ["data_remaining", ullong, 2 ** 38],
      ["memory_bps", ullong, 1_000_000],
      ["memory_dirty_rate", ullong, 50],
      ["memory_page_size", ullong, 4096],
      ["memory_iteration", ullong, 3],
      ["downtime", ullong, 300],
      ["setup_time", ullong, 2],
      ["auto_converge_throttle", int, 20],
      ["from_the_future", uint, 1],
    ],
  };
  assert.deepEqual(await hypervisor.job(uuid), {
    type: JobType.unbounded,
    operation: JobOperation.migrationOut,
    timeElapsedMs: 1500,
    timeRemainingMs: undefined,
    dataTotal: 2 ** 40,
    dataProcessed: 2 ** 39,
    dataRemaining: 2 ** 38,
    memoryTotal: undefined,
    memoryProcessed: undefined,
    memoryRemaining: undefined,
    memoryRate: 1_000_000,
    memoryDirtyRate: 204_800,
    iteration: 3,
    postCopyRequests: undefined,
    downtimeMs: 300,
    setupMs: 2,
    autoConvergeThrottle: 20,
    error: undefined,
  });
});

Deno.test("a job's end and each pass over memory arrive as events", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  await server.emit(Procedure.migrationIteration, 20, new XdrWriter().int(2));
  await server.emit(
    Procedure.jobCompleted,
    21,
    figures([["success", boolean, 0], ["errmsg", string, "lost"]]),
  );
  await server.emit(Procedure.jobCompleted, 21, figures([["success", boolean, 1], ["downtime", ullong, 40]]));
  const seen: unknown[] = [];
  for await (const event of hypervisor.events) {
    if (event.kind === "migration_iteration") seen.push([event.uuid, event.iteration]);
    if (event.kind === "job_completed") seen.push([event.job.type, event.job.error, event.job.downtimeMs]);
    if (seen.length === 3) break;
  }
  assert.deepEqual(seen, [[uuid, 2], [JobType.failed, "lost", undefined], [
    JobType.completed,
    undefined,
    40,
  ]]);
});

Deno.test("what a driver cannot do is refused with its reason; networks and migratable XML it has; nothing leaks", async () => {
  const errors: string[] = [];
  {
    await using hypervisor = await Hypervisor.open({
      uri: "test:///default",
      log: { ...log, error: (message) => errors.push(message) },
    });
    assert.deepEqual(await hypervisor.activeNetworks(), ["default"]);
    const domain = await hypervisor.define(testDomainXml({ uuid, name: "web" }));
    assert.match(await hypervisor.migratableXml(domain), /<name>web<\/name>/);
    const refused: [what: string, call: Promise<unknown>][] = [
      ["migrate domain", hypervisor.migrate(domain, LIVE)],
      ["compare processors", hypervisor.compareCpu("<cpu/>", {})],
      ["get the processor of domain", hypervisor.xmlWithProcessor(domain)],
      ["abort the job of domain", hypervisor.abortJob(domain)],
      ["set the downtime of domain", hypervisor.setMaxDowntime(domain, 100)],
      ["start post-copy of domain", hypervisor.startPostCopy(domain)],
    ];
    const reasons = await Promise.all(refused.map(([, call]) => refusal(call)));
    for (const [index, error] of reasons.entries()) {
      assert.equal(error.kind, "refused", error.message);
      assert.ok(error.message.startsWith(`Cannot ${refused[index]?.[0]}`), error.message);
      assert.ok(error.libvirt);
    }
    await hypervisor.undefine(domain);
  }
  assert.deepEqual(errors, []);
});

/** Typed parameters as an event carries them. */
function figures(all: readonly [name: string, type: number, value: number | string][]): XdrWriter {
  const body = new XdrWriter().int(all.length);
  for (const [name, type, value] of all) {
    body.string(name).int(type);
    if (typeof value === "string") body.string(value);
    else if (type === ullong) body.hyper(value);
    else body.int(value);
  }
  return body;
}

async function untilCalled(server: LibvirtServer, procedure: number, times: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (server.calls(procedure) < times) {
    if (performance.now() > deadline) {
      assert.fail(`${server.calls(procedure)} calls of ${procedure}, never ${times}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
