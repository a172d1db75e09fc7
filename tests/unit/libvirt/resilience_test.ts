import assert from "node:assert/strict";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { type Logger, silentLogger } from "../../../lib/model/log.ts";
import { refusal } from "../../support/libvirt_connections.ts";
import { LibvirtServer, Procedure, SERVED_DOMAIN } from "../../support/libvirt_server.ts";
import { XdrWriter } from "../../support/xdr.ts";

const log = silentLogger;
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
  const calls = Array.from({ length: 10 }, () => refusal(hypervisor.state(uuid)));
  await untilOpen(server, 5); // the link's, and four that ask
  await server.die();
  for (const error of await Promise.all(calls)) assert.equal(error.kind, "unavailable");
});

Deno.test("a call that is not answered fails in time, others go on, and its connection is closed in the end", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log, queryTimeoutMs: 200 });
  server.hold(Procedure.getState);
  const late = await Promise.all(Array.from({ length: 4 }, () => refusal(hypervisor.state(uuid))));
  for (const error of late) {
    assert.equal(error.kind, "timeout");
    assert.match(error.message, /^Cannot get the state of domain .*: libvirt did not answer for 0.2 s$/);
  }
  assert.equal(server.connections, 5);
  assert.equal(await hypervisor.isActive(uuid), false); // by a connection that took a stuck one's place
  assert.equal(server.connections, 6);

  server.release(Procedure.getState);
  await untilOpen(server, 2);
  assert.equal((await hypervisor.state(uuid)).state, 5);
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
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log, queryTimeoutMs: 150 });
  server.hold(Procedure.getState);
  for (let round = 0; round < 2; round++) {
    await Promise.all(Array.from({ length: 4 }, () => refusal(hypervisor.state(uuid))));
  }
  const error = await refusal(hypervisor.state(uuid));
  assert.match(error.message, /all 4 connections to libvirt were busy for 0.15 s$/);
  assert.equal(server.connections, 9); // four stuck, four in their place and stuck as well, and the link's
  server.release(Procedure.getState);
  await untilOpen(server, 1);
  assert.equal((await hypervisor.state(uuid)).state, 5);
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
