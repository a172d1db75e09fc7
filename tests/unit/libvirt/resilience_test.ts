import assert from "node:assert/strict";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { ErrorCode, TypedParameterType } from "../../../lib/libvirt/constants.ts";
import { Health } from "../../../lib/model/health.ts";
import { type Logger, silentLogger } from "../../../lib/model/log.ts";
import { refusal } from "../../support/libvirt_connections.ts";
import {
  CPU_TIME_NS,
  isAbout,
  LibvirtServer,
  otherDomain,
  Procedure,
  SERVED_DOMAIN,
  SERVED_TITLE,
  SERVED_XML,
} from "../../support/libvirt_server.ts";
import { daemon, HOSTNAME } from "../../support/tcp_daemon.ts";
import { XdrWriter } from "../../support/xdr.ts";

const log = silentLogger;
/** Of other hosts' libvirts. */
const LIBVIRT_PORT = 16_509;
const { uuid } = SERVED_DOMAIN;

Deno.test("libvirt goes away and comes back: both are told, events flow again, nothing leaks", async () => {
  await using server = await LibvirtServer.start();
  const errors: string[] = [];
  const keepingLog: Logger = { ...silentLogger, error: (message) => errors.push(message) };
  {
    await using hypervisor = await Hypervisor.open({ uri: server.uri, log: keepingLog, reconnectMs: 20 });
    const events = hypervisor.events[Symbol.asyncIterator]();
    await hypervisor.state(uuid);
    for (let round = 0; round < 3; round++) {
      await server.die();
      assert.equal((await events.next()).value?.kind, "disconnected");
      assert.equal(hypervisor.connected, false);
      const error = await refusal(hypervisor.start(uuid));
      assert.equal(error.kind, "unavailable");
      assert.equal(error.retryAfterS, 5);
      assert.match(error.message, /^Cannot start domain .*: libvirt is away: /);

      server.listen();
      assert.deepEqual((await events.next()).value, { kind: "connected" });
      assert.equal(hypervisor.connected, true);
      assert.equal((await hypervisor.state(uuid)).state, 5);
      await server.emit(Procedure.reboot, 1, new XdrWriter());
      assert.deepEqual((await events.next()).value, { kind: "reboot", uuid });
    }
  }
  assert.deepEqual(errors, []);
});

Deno.test("calls under way fail as soon as libvirt goes away", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  server.hold(Procedure.getState);
  const calls = Array.from({ length: 10 }, (_, number) => refusal(hypervisor.state(otherDomain(number))));
  calls.push(refusal(hypervisor.state(otherDomain(0)))); // waits for the first
  await untilOpen(server, 3); // the link's, and two that ask
  await server.die();
  for (const error of await Promise.all(calls)) assert.equal(error.kind, "unavailable");
});

Deno.test("a call that is not answered fails in time, others go on, and its connection is closed in the end", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({
    uri: server.uri,
    log,
    queryTimeoutMs: 300,
    patienceMs: 100,
  });
  server.hold(Procedure.getState, isAbout(uuid));
  const late = await Promise.all(Array.from({ length: 3 }, () => refusal(hypervisor.state(uuid))));
  for (const error of late) {
    assert.equal(error.kind, "timeout");
    assert.match(error.message, /^Cannot get the state of domain .*: libvirt did not answer for 0.3 s$/);
  }
  assert.equal(server.connections, 2); // the link's, and one for the domain that hangs
  assert.equal(await hypervisor.isActive(otherDomain(1)), false);
  assert.equal(server.connections, 3);

  const refused = await refusal(hypervisor.isActive(uuid)); // it would wait behind them
  assert.equal(refused.kind, "unavailable");
  assert.match(
    refused.message,
    /^Cannot get the state of domain \S+: libvirt has not answered about domain \S+ for \d+ s \(to get the state of it\)$/,
  );
  assert.equal(server.calls(Procedure.isActive), 1);

  server.release(Procedure.getState);
  await untilOpen(server, 2);
  assert.equal((await hypervisor.state(uuid)).state, 5);
});

Deno.test("domains that not even a look at is answered hold up a connection each, and not all of them", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({
    uri: server.uri,
    log,
    queryTimeoutMs: 300,
    patienceMs: 50,
  });
  const stuck = [0, 1, 2].map(otherDomain);
  server.hold(Procedure.getState, (body) => stuck.some((uuid) => isAbout(uuid)(body)));
  await Promise.all(stuck.flatMap((uuid) => [1, 2, 3].map(() => refusal(hypervisor.state(uuid)))));
  assert.equal(server.calls(Procedure.getState), stuck.length);
  assert.equal((await hypervisor.state(uuid)).state, 5);
  await hypervisor.suspend(uuid);
  assert.equal((await refusal(hypervisor.suspend(stuck[0] ?? ""))).kind, "unavailable");
  server.release(Procedure.getState);
});

Deno.test("a task that was given up makes no further call", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log, operationTimeoutMs: 200 });
  server.hold(Procedure.lookupByUuid);
  assert.equal((await refusal(hypervisor.start(uuid))).kind, "timeout");
  server.release(Procedure.lookupByUuid); // now the domain is found: too late to start it
  await untilOpen(server, 1);
  assert.equal(server.calls(Procedure.create), 0);
  await hypervisor.start(uuid);
  assert.equal(server.calls(Procedure.create), 1);
});

Deno.test("when too many calls are stuck, the next fails in time too, and all is well when they are answered", async () => {
  await using server = await LibvirtServer.start();
  const health = new Health();
  const nameOf = (uuid: string) => `VM "${uuid.slice(-1)}"`;
  await using hypervisor = await Hypervisor.open({
    uri: server.uri,
    log,
    operationTimeoutMs: 600,
    patienceMs: 100,
    health,
    nameOf,
  });
  server.hold(Procedure.suspend);
  await Promise.all(
    Array.from({ length: 14 }, (_, number) => refusal(hypervisor.suspend(otherDomain(number)))),
  );
  assert.equal(server.calls(Procedure.suspend), 14);
  assert.equal(server.connections, 15); // the link's, too
  assert.equal(hypervisor.stuck, true);
  assert.deepEqual(health.conditions.map(({ reason, blocking }) => [reason, blocking]).slice(0, 2), [
    ['libvirt does not answer about VM "0"', false],
    ['libvirt does not answer about VM "1"', false],
  ]);

  const error = await refusal(hypervisor.resume(uuid));
  assert.equal(error.kind, "unavailable");
  assert.match(
    error.message,
    /could not be asked for 0.6 s: it does not answer about VM "0", VM "1", 12 others$/,
  );
  using _other = daemon(async (connection) => {
    await connection.write(new Uint8Array(36));
    connection.close();
  }, LIBVIRT_PORT);
  await assert.rejects(hypervisor.remote(HOSTNAME, () => assert.fail("it is asked")), {
    kind: "unavailable",
    message: /^libvirt could not be asked: it does not answer about VM "0", VM "1", 12 others$/,
  });
  assert.equal((await hypervisor.state(otherDomain(3))).state, 5); // a look is another matter
  await hypervisor.destroy(otherDomain(3), { graceful: false }); // and so is the end
  assert.equal(server.calls(Procedure.destroyFlags), 1);

  server.release(Procedure.suspend);
  await untilOpen(server, 2);
  assert.equal(hypervisor.stuck, false);
  assert.deepEqual(health.conditions, []);
  await hypervisor.resume(uuid);
});

Deno.test("calls about healthy domains are answered beside those about a dozen that hang", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log, patienceMs: 100 });
  const hung = Array.from({ length: 12 }, (_, number) => otherDomain(number));
  server.hold(Procedure.suspend, (body) => hung.some((uuid) => isAbout(uuid)(body)));
  const calls = hung.map((uuid) => hypervisor.suspend(uuid));
  await hypervisor.suspend(uuid);
  await Promise.all(Array.from({ length: 20 }, () => hypervisor.resume(uuid)));
  server.release(Procedure.suspend);
  await Promise.all(calls);
});

Deno.test("an end waits for no call, however many hang, about its domain or others", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({
    uri: server.uri,
    log,
    operationTimeoutMs: 600,
    patienceMs: 100,
  });
  const held = [Procedure.suspend, Procedure.getState, Procedure.create];
  for (const procedure of held) server.hold(procedure);
  const calls = Array.from({ length: 20 }, (_, number) => [
    refusal(hypervisor.suspend(otherDomain(number))),
    refusal(hypervisor.start(otherDomain(number + 50))),
  ]).flat();
  await hypervisor.destroy(otherDomain(0), { graceful: false });
  await Promise.all(calls);
  await hypervisor.destroy(otherDomain(0), { graceful: true });
  for (const procedure of held) server.release(procedure);
});

Deno.test("a sample that a hung QEMU holds up is followed by one without it, and what is known without QEMU", async () => {
  await using server = await LibvirtServer.start();
  const health = new Health();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log, patienceMs: 100, health });
  const STATE = 1, BALLOON = 4;
  server.figures = [["state.state", TypedParameterType.int, 1]];
  const asksQemu = (body: DataView) => (body.getUint32(4) & BALLOON) !== 0;
  server.hold(Procedure.getAllDomainStats, asksQemu);
  const known = async () => (await hypervisor.stats()).map(({ state, cpuTimeNs }) => [state, cpuTimeNs]);
  assert.deepEqual(await known(), [[STATE, CPU_TIME_NS]]);
  assert.deepEqual(health.conditions, []);
  server.silenceMs = 12_000;
  assert.deepEqual(await known(), [[STATE, CPU_TIME_NS]]);
  assert.deepEqual(health.conditions.map(({ reason }) => reason), [
    `libvirt does not answer about domain ${uuid}`,
  ]);
  const refused = await refusal(hypervisor.suspend(uuid));
  assert.match(refused.message, /libvirt has not answered about domain \S+ for 12 s$/);
  server.silenceMs = 0;
  assert.equal((await hypervisor.stats()).length, 1); // without asking, as two wait already
  assert.equal(server.calls(Procedure.getAllDomainStats), 5);
  server.release(Procedure.getAllDomainStats);
  await untilOpen(server, 4);
  assert.equal((await hypervisor.stats()).length, 1);
  assert.deepEqual(health.conditions, []);
});

Deno.test("a libvirt that cannot be reached says why at the start", async () => {
  const uri = "qemu+unix:///system?socket=/nonexistent/libvirt-sock";
  const error = await refusal(Hypervisor.open({ uri, log }));
  assert.equal(error.kind, "unavailable");
  assert.match(
    error.message,
    /^Cannot connect to libvirt at qemu\+unix:.*'\/nonexistent\/libvirt-sock': No such file/,
  );
});

Deno.test("a libvirt that accepts but does not answer fails the start in time", async () => {
  await using server = await LibvirtServer.start();
  server.hold(Procedure.open);
  const error = await refusal(Hypervisor.open({ uri: server.uri, log, queryTimeoutMs: 100 }));
  assert.equal(error.kind, "unavailable");
  assert.match(error.message, /no answer within 0.1 s$/);
  server.release(Procedure.open);
  await untilOpen(server, 0);
});

Deno.test("the end does not wait for a libvirt that hangs, and completes when it answers", async () => {
  await using server = await LibvirtServer.start();
  const warned = Promise.withResolvers<string>();
  const hypervisor = await Hypervisor.open({ uri: server.uri, log: { ...log, warn: warned.resolve } });
  server.hold(Procedure.getState);
  const call = hypervisor.state(uuid);
  await untilOpen(server, 2);
  await hypervisor[Symbol.asyncDispose]();
  assert.equal(await warned.promise, "libvirt does not answer at the end");
  server.release(Procedure.getState);
  assert.equal((await call).state, 5);
  await untilOpen(server, 0);
});

/** Waits until so many connections are open. */
async function untilOpen(server: LibvirtServer, count: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (server.connections !== count) {
    if (performance.now() > deadline) assert.fail(`${server.connections} connections, never ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** virDomainState */
const RUNNING = 1, PAUSED = 3;

Deno.test("libvirt is not asked to print a domain that would have it wait, and what can be told is told", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  server.state = [RUNNING, 1];
  server.silenceMs = 12_000;
  const calls = [
    hypervisor.definition(uuid),
    hypervisor.liveXml(uuid),
    hypervisor.definitionWithSecrets(uuid),
  ];
  for (const error of await Promise.all(calls.map(refusal))) {
    assert.equal(error.kind, "unavailable");
    assert.match(
      error.message,
      /^Cannot get the .* of domain \S+: its QEMU has not answered libvirt for 12 s$/,
    );
  }
  const many = await hypervisor.definitions([uuid, otherDomain(1)], String);
  assert.deepEqual([many.found.size, [...many.held].sort()], [0, [otherDomain(1), uuid].sort()]);
  assert.deepEqual(await hypervisor.glimpse(uuid), { name: SERVED_TITLE, memoryKiB: 65_536, vcpus: 1 });
  server.failures.set(Procedure.getMetadata, { code: ErrorCode.noDomainMetadata, message: "no title" });
  assert.equal((await hypervisor.glimpse(uuid)).name, SERVED_DOMAIN.name);
  assert.equal((await hypervisor.state(uuid)).state, RUNNING);

  const notYet = [[PAUSED, 2, "arriving"], [RUNNING, 10, "arriving"], [PAUSED, 11, "starting"]] as const;
  server.silenceMs = 0;
  for (const [state, reason, what] of notYet) {
    server.state = [state, reason];
    assert.match((await refusal(hypervisor.definition(uuid))).message, new RegExp(`: it is ${what}`));
  }
  assert.equal(server.calls(Procedure.getXmlDesc), 0);
  server.state = [PAUSED, 1];
  assert.equal(await hypervisor.definition(uuid), SERVED_XML);
});

Deno.test("a domain that libvirt is busy with for a moment is printed after that", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  server.state = [RUNNING, 1];
  server.silenceMs = 3;
  setTimeout(() => server.silenceMs = 0, 150);
  assert.equal(await hypervisor.definition(uuid), SERVED_XML);
  assert.ok(server.calls(Procedure.getControlInfo) > 1);
});

Deno.test("libvirt before 11.0 prints a domain whatever its QEMU does", async () => {
  await using server = await LibvirtServer.start();
  server.version = 10_010_000;
  server.state = [RUNNING, 1];
  server.silenceMs = 12_000;
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  assert.equal(await hypervisor.definition(uuid), SERVED_XML);
  assert.deepEqual([...(await hypervisor.definitions([uuid], String)).found], [[uuid, SERVED_XML]]);
});

Deno.test("a definition that libvirt is asked for at the wrong moment keeps nobody from the others", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  server.hold(Procedure.getXmlDesc, isAbout(uuid));
  const others = Array.from({ length: 9 }, (_, number) => otherDomain(number));
  const { found, held } = await hypervisor.definitions([uuid, ...others], String);
  assert.deepEqual([[...found.keys()].sort(), [...held]], [others, [uuid]]);
  assert.equal((await hypervisor.stats()).length, 1); // what waits takes one connection of several
  server.release(Procedure.getXmlDesc);
  assert.equal(await hypervisor.definition(uuid), SERVED_XML);
  assert.equal(found.has(uuid), false);
});

Deno.test("what is printed of a domain waits for changes of it without taking a connection", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  server.hold(Procedure.suspend);
  const hung = Array.from({ length: 5 }, (_, number) => otherDomain(number));
  const suspensions = hung.map((uuid) => hypervisor.suspend(uuid));
  const definitions = hung.map((uuid) => hypervisor.definition(uuid));
  await untilOpen(server, 1 + hung.length);
  assert.equal(await hypervisor.definition(uuid), SERVED_XML);
  assert.equal(server.calls(Procedure.getXmlDesc), 1);
  server.release(Procedure.suspend);
  await Promise.all(suspensions);
  for (const definition of definitions) assert.equal(await definition, SERVED_XML);
});
