import assert from "node:assert/strict";
import { CallbackSet } from "../../../lib/libvirt/callbacks.ts";
import { Connection } from "../../../lib/libvirt/connection.ts";
import { defineDomain, listDomains, lookupDomain, withDomain } from "../../../lib/libvirt/domain.ts";
import { activeNetworks } from "../../../lib/libvirt/network.ts";
import { hostname } from "../../../lib/libvirt/node.ts";
import { libvirtAway } from "../../../lib/libvirt/error.ts";
import { systemClock } from "../../../lib/model/clock.ts";
import { LibvirtConnections, refusal } from "../../support/libvirt_connections.ts";
import { LibvirtServer } from "../../support/libvirt_server.ts";
import { manyTestDomains, TestDriverHost } from "../../support/test_driver.ts";
import { numberedUuid } from "../../support/vm_info.ts";

Deno.test("each of 192 concurrent failing calls on one connection gets its own error", async () => {
  const domains = manyTestDomains(64);
  await using host = await TestDriverHost.create(domains);
  await using libvirt = new LibvirtConnections(host.uri);
  await using connection = await libvirt.open();
  await Promise.all(domains.flatMap(({ uuid, name }, index) => [
    // Every third domain runs, the others are off
    withDomain(connection, uuid, (domain) => index % 3 === 0 ? domain.start() : domain.suspend())
      .then(() => assert.fail(), (error) => {
        assert.ok(error.message.includes(`'${name}'`), error.message);
        assert.equal(error.kind, "refused");
      }),
    defineDomain(connection, `<wrong-${index}/>`).then(() => assert.fail(), (error) => {
      assert.match(error.message, new RegExp(`'wrong-${index}'`));
      assert.deepEqual([error.libvirt.code, error.libvirt.domain, error.libvirt.level], [27, 5, 2]);
    }),
    refusal(lookupDomain(connection, numberedUuid(9000 + index))).then((error) => {
      assert.equal(error.kind, "not_found");
      assert.equal(error.libvirt?.code, 42);
    }),
  ]));
});

Deno.test("each of 64 concurrent failing opens gets its own reason", async () => {
  await using libvirt = new LibvirtConnections("");
  await Promise.all(Array.from({ length: 64 }, async (_, index) => {
    const socket = `/nonexistent/${index}.sock`;
    const error = await refusal(Connection.open(libvirt.runtime, `qemu+unix:///system?socket=${socket}`));
    assert.equal(error.kind, "unavailable");
    assert.equal(error.retryAfterS, 5);
    assert.ok(error.message.includes(`'${socket}'`), error.message);
    assert.ok(error.libvirt?.message.includes(`'${socket}'`));
  }));
});

Deno.test("closing a connection leaves no reference, whatever was done with it", async () => {
  await using host = await TestDriverHost.create(manyTestDomains(50));
  await using libvirt = new LibvirtConnections(host.uri);
  const connection = await libvirt.open();
  const sink = { domainEvent() {}, connectionLost() {} };
  {
    using callbacks = new CallbackSet(libvirt.runtime, sink, systemClock);
    {
      await using _subscription = await callbacks.subscribe(connection);
      using list = await listDomains(connection);
      for (const { uuid } of list.domains) {
        await withDomain(connection, uuid, (domain) => domain.definition());
        await refusal(withDomain(connection, uuid, async (domain) => {
          await domain.suspend();
          await domain.suspend();
        }));
        await refusal(lookupDomain(connection, numberedUuid(9000)));
        await withDomain(connection, uuid, (domain) => domain.job());
        await refusal(withDomain(connection, uuid, (domain) => domain.migrate("test:///default", [], 0)));
        await activeNetworks(connection);
      }
    }
    assert.equal(await connection.close(), 0);
  }
});

Deno.test("a connection that the daemon ended leaves no reference either", async () => {
  await using server = await LibvirtServer.start();
  await using libvirt = new LibvirtConnections(server.uri);
  const lost = Promise.withResolvers<Connection>();
  using callbacks = new CallbackSet(
    libvirt.runtime,
    { domainEvent() {}, connectionLost: (connection) => lost.resolve(connection) },
    systemClock,
  );
  const connection = await libvirt.open();
  const subscription = await callbacks.subscribe(connection);
  await server.die();
  assert.equal(await lost.promise, connection);
  assert.equal((await refusal(lookupDomain(connection, numberedUuid(1)))).kind, "unavailable");
  assert.equal(connection.usable, false);
  await subscription[Symbol.asyncDispose]();
  assert.equal(await connection.close(), 0);
});

Deno.test("a shared connection lives until its last user has closed it", async () => {
  await using libvirt = new LibvirtConnections("test:///default");
  const first = await libvirt.open();
  const second = first.share();
  assert.equal(await first.close(), 1);
  assert.ok(await hostname(second));
  assert.equal(await second.close(), 0);
});

Deno.test("a retired connection makes no further call, and says why", async () => {
  await using libvirt = new LibvirtConnections("test:///default");
  await using connection = await libvirt.open();
  const why = libvirtAway("given up");
  connection.retire(why);
  connection.retire(libvirtAway("a later reason"));
  assert.equal(await refusal(hostname(connection)), why);
});

Deno.test("an event loop that has ended can be started again in the same process", async () => {
  for (let round = 0; round < 3; round++) {
    await using libvirt = new LibvirtConnections("test:///default");
    await using connection = await libvirt.open();
    assert.ok(await hostname(connection));
  }
});
