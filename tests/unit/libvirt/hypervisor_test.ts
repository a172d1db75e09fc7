import assert from "node:assert/strict";
import { DomainState, LifecycleEvent, MetadataType } from "../../../lib/libvirt/constants.ts";
import type { HypervisorEvent } from "../../../lib/libvirt/events.ts";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { refusal } from "../../support/libvirt_connections.ts";
import { LibvirtServer, Procedure, SERVED_DOMAIN } from "../../support/libvirt_server.ts";
import {
  manyTestDomains,
  type TestDomain,
  testDomainXml,
  TestDriverHost,
} from "../../support/test_driver.ts";
import { numberedUuid } from "../../support/vm_info.ts";
import { XdrWriter } from "../../support/xdr.ts";

const log = silentLogger;
const WEB: TestDomain = { uuid: numberedUuid(77), name: "web" };

Deno.test("a domain goes through its life, and each step is told by an event", async () => {
  await using hypervisor = await Hypervisor.open({ uri: "test:///default", log, clock: () => 1234 });
  const { uuid, name } = WEB;
  assert.equal(await hypervisor.define(testDomainXml(WEB)), uuid);
  assert.equal(await hypervisor.isActive(uuid), false);
  await hypervisor.start(uuid);
  assert.equal(await hypervisor.isActive(uuid), true);
  await hypervisor.suspend(uuid);
  assert.equal((await hypervisor.state(uuid)).state, DomainState.paused);
  await hypervisor.resume(uuid);
  assert.equal((await hypervisor.state(uuid)).state, DomainState.running);
  await hypervisor.shutdown(uuid);
  await hypervisor.start(uuid);
  await hypervisor.destroy(uuid, { graceful: true });
  await hypervisor.undefine(uuid);

  const { defined, started, suspended, resumed, stopped, undefined: removed } = LifecycleEvent;
  const expected = [defined, started, suspended, resumed, stopped, started, stopped, removed];
  const events = await take(hypervisor.events, expected.length);
  assert.deepEqual(
    events.map((e) => e.kind === "lifecycle" && [e.uuid, e.name, e.event, e.at]),
    expected.map((event) => [uuid, name, event, 1234]),
  );
});

Deno.test("what libvirt keeps of a domain on its host is told, and autostart is set", async () => {
  await using hypervisor = await Hypervisor.open({ uri: "test:///default", log });
  const { uuid } = WEB;
  await hypervisor.define(testDomainXml(WEB));
  const nothing = { autostart: false, managedSave: false, snapshots: 0, checkpoints: 0 };
  assert.deepEqual(await hypervisor.kept(uuid), nothing);
  await hypervisor.setAutostart(uuid, true);
  assert.deepEqual(await hypervisor.kept(uuid), { ...nothing, autostart: true });
  await hypervisor.setAutostart(uuid, false);
  assert.deepEqual(await hypervisor.kept(uuid), nothing);
});

Deno.test("every kind of event arrives with what it says", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log, clock: () => 1234 });
  const { uuid, name } = SERVED_DOMAIN;
  const before = performance.now();
  await server.emit(Procedure.lifecycle, 0, new XdrWriter().int(LifecycleEvent.stopped).int(5));
  await server.emit(Procedure.reboot, 1, new XdrWriter());
  await server.emit(Procedure.blockJob2, 16, new XdrWriter().string("vda").int(2).int(3));
  await server.emit(Procedure.metadataChange, 23, new XdrWriter().int(2).optionalString("urn:x"));
  await server.emit(Procedure.metadataChange, 23, new XdrWriter().int(1).optionalString(undefined));
  const [lifecycle, ...others] = await take(hypervisor.events, 5);
  assert.ok(lifecycle?.kind === "lifecycle");
  const { moment, ...told } = lifecycle;
  assert.ok(moment > before && moment < performance.now());
  assert.deepEqual(told, {
    kind: "lifecycle",
    uuid,
    name,
    event: LifecycleEvent.stopped,
    detail: 5,
    at: 1234,
  });
  assert.deepEqual(others, [
    { kind: "reboot", uuid },
    { kind: "block_job", uuid, disk: "vda", type: 2, status: 3 },
    { kind: "metadata", uuid, type: MetadataType.element, uri: "urn:x" },
    { kind: "metadata", uuid, type: MetadataType.title, uri: "" },
  ]);
});

Deno.test("metadata is written to the definition and to the running domain, and removed", async () => {
  await using host = await TestDriverHost.create([WEB]);
  await using hypervisor = await Hypervisor.open({ uri: host.uri, log });
  const change = { uri: "urn:virtx:test", key: "t", live: true };
  await hypervisor.setMetadata(WEB.uuid, { ...change, xml: "<note text='hello'/>" });
  const live = await hypervisor.liveXml(WEB.uuid), definition = await hypervisor.definition(WEB.uuid);
  for (const xml of [live, definition]) assert.match(xml, /<t:note xmlns:t="urn:virtx:test" text="hello"\/>/);
  await hypervisor.setMetadata(WEB.uuid, { ...change, xml: undefined });
  assert.doesNotMatch(await hypervisor.definition(WEB.uuid), /urn:virtx:test/);
});

Deno.test("domains, definitions and figures of 1,000 domains are complete", async () => {
  const domains = manyTestDomains(1000);
  const uuids = domains.map(({ uuid }) => uuid).sort();
  await using host = await TestDriverHost.create(domains);
  await using hypervisor = await Hypervisor.open({ uri: host.uri, log });

  const known = await hypervisor.domains();
  assert.deepEqual(known.map(({ uuid }) => uuid).sort(), uuids);
  assert.ok(known.every(({ persistent }) => persistent));

  const { found: definitions } = await hypervisor.definitions([...uuids, numberedUuid(5000)], String);
  assert.deepEqual([...definitions.keys()].sort(), uuids);
  for (const { uuid, title } of domains) {
    const xml = definitions.get(uuid) ?? "";
    assert.ok(xml.includes(`<uuid>${uuid}</uuid>`) && xml.includes(`<title>${title}</title>`), uuid);
  }

  const stats = await hypervisor.stats();
  const states = new Map(stats.map(({ uuid, state }) => [uuid, state]));
  assert.equal(stats.length, 1000);
  for (const { uuid, state } of domains) assert.equal(states.get(uuid), state);
});

Deno.test("a few definitions come without those of domains that are gone", async () => {
  const [first, second] = manyTestDomains(2);
  assert.ok(first && second);
  await using host = await TestDriverHost.create([first, second]);
  await using hypervisor = await Hypervisor.open({ uri: host.uri, log });
  const { found: definitions } = await hypervisor.definitions(
    [first.uuid, numberedUuid(5000), second.uuid],
    String,
  );
  assert.deepEqual([...definitions.keys()].sort(), [first.uuid, second.uuid].sort());
  assert.equal((await hypervisor.definitions([], String)).found.size, 0);
});

Deno.test("each of 256 concurrent look-ups that fail, over all connections, names its own domain", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  await Promise.all(Array.from({ length: 256 }, async (_, index) => {
    const uuid = numberedUuid(index);
    const calls = [hypervisor.state(uuid), hypervisor.start(uuid), hypervisor.definition(uuid)];
    for (const error of await Promise.all(calls.map(refusal))) {
      assert.equal(error.kind, "not_found");
      assert.equal(error.libvirt?.message, `no domain with matching uuid '${uuid}'`);
      assert.equal(error.libvirt.code, 42);
    }
  }));
  assert.ok(server.opened > 4, "it takes several connections to prove something");
});

Deno.test("a failure says what could not be done, to what, and why", async () => {
  await using host = await TestDriverHost.create([WEB]);
  await using hypervisor = await Hypervisor.open({ uri: host.uri, log });
  const error = await refusal(hypervisor.start(WEB.uuid));
  assert.equal(error.kind, "refused");
  assert.match(error.message, new RegExp(`^Cannot start domain ${WEB.uuid}: .*'web' is already running$`));
  const unknown = await refusal(hypervisor.resume("not-a-uuid"));
  assert.equal(unknown.kind, "not_found");
  const nul = await refusal(hypervisor.define("<domain\0/>"));
  assert.equal(nul.kind, "invalid");
});

Deno.test("the host describes itself", async () => {
  await using hypervisor = await Hypervisor.open({ uri: "test:///default", log });
  assert.equal(hypervisor.driver, "TEST");
  assert.equal(hypervisor.connected, true);
  assert.ok(hypervisor.libvirtVersion >= 9_000_000);
  assert.equal(await hypervisor.hostname(), Deno.hostname());
  assert.match(await hypervisor.capabilities(), /^<capabilities>/);
  const { model, memoryKiB, cpus, mhz, nodes, sockets, cores, threads } = await hypervisor.nodeInfo();
  // What libvirt's test driver pretends to be
  assert.deepEqual(
    { model, memoryKiB, cpus, mhz, nodes, sockets, cores, threads },
    { model: "i686", memoryKiB: 3145728, cpus: 16, mhz: 1400, nodes: 2, sockets: 2, cores: 2, threads: 2 },
  );
});

async function take(events: AsyncIterable<HypervisorEvent>, count: number): Promise<HypervisorEvent[]> {
  const taken: HypervisorEvent[] = [];
  for await (const event of events) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}
