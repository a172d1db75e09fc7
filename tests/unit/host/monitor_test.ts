import assert from "node:assert/strict";
import { searchVms } from "../../../lib/cluster/search.ts";
import { Firmware, HostState, Runstate } from "../../../lib/model/enums.ts";
import { isUuid } from "../../../lib/model/uuid.ts";
import { eventually, MonitoredHost } from "../../support/monitored_host.ts";
import { manyTestDomains, testDomainXml, TestDriverHost } from "../../support/test_driver.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const RUNNING = { uuid: numberedUuid(1), name: "first", title: "web1", vcpus: 2, memoryMiB: 256, state: 1 };
const OFF = { uuid: numberedUuid(2), name: "second", state: 5 };

Deno.test("once started, the inventory holds this host and all its VMs", async () => {
  await using libvirt = await TestDriverHost.create([RUNNING, OFF]);
  await using host = await MonitoredHost.start(libvirt.uri);
  const { inventory, monitor } = host;

  assert.ok(isUuid(monitor.uuid));
  assert.equal(monitor.staleSince, undefined);
  assert.deepEqual(
    searchVms(inventory, { sort: "uuid" }).items.map(({ uuid, name, host, runstate, vcpus }) => ({
      uuid,
      name,
      host,
      runstate,
      vcpus,
    })),
    [
      { uuid: RUNNING.uuid, name: "web1", host: monitor.uuid, runstate: Runstate.running, vcpus: 2 },
      { uuid: OFF.uuid, name: "second", host: monitor.uuid, runstate: Runstate.poweroff, vcpus: 1 },
    ],
  );
  assert.equal(monitor.domain(RUNNING.uuid)?.stats.memory_capacity, 256);
  assert.match(monitor.domain(OFF.uuid)?.xml ?? "", /<name>second<\/name>/);

  const here = inventory.host(monitor.uuid);
  assert.ok(here);
  assert.equal(here.cstate, HostState.active);
  assert.equal(here.def.cpuarch.arch, "i686"); // what the test driver plays
  assert.equal(here.resources.memory.reservedvms, 256 + 512);
  assert.ok(here.resources.memory.total > 0 && here.resources.cpu.total > 0);
  assert.equal(here.resources.cpu.used, 0);
  assert.equal(monitor.context(Firmware.uefi).domainType, "test");
});

Deno.test("run states follow libvirt's events", async () => {
  await using libvirt = await TestDriverHost.create([OFF]);
  await using host = await MonitoredHost.start(libvirt.uri);
  const { hypervisor, inventory, monitor } = host;
  const steps: [string, () => Promise<void>, Runstate][] = [
    ["start", () => hypervisor.start(OFF.uuid), Runstate.running],
    ["suspend", () => hypervisor.suspend(OFF.uuid), Runstate.paused],
    ["resume", () => hypervisor.resume(OFF.uuid), Runstate.running],
    ["destroy", () => hypervisor.destroy(OFF.uuid, { graceful: false }), Runstate.poweroff],
  ];
  for (const [name, act, expected] of steps) {
    const before = inventory.vm(OFF.uuid)?.ts ?? Infinity;
    await act();
    await eventually(`${name} seen`, () => inventory.vm(OFF.uuid)?.runstate === expected);
    assert.ok((inventory.vm(OFF.uuid)?.ts ?? 0) >= before);
    assert.equal(monitor.domain(OFF.uuid)?.runstate, expected);
  }
});

Deno.test("domains that are defined, redefined and undefined come, change and vanish", async () => {
  await using libvirt = await TestDriverHost.create([]);
  await using host = await MonitoredHost.start(libvirt.uri);
  const { hypervisor, inventory, monitor } = host;
  const domain = { uuid: numberedUuid(7), name: "seventh", title: "old" };

  await hypervisor.define(testDomainXml(domain));
  await eventually("defined", () => inventory.vm(domain.uuid)?.name === "old");
  assert.equal(inventory.vm(domain.uuid)?.runstate, Runstate.poweroff);

  await hypervisor.define(testDomainXml({ ...domain, title: "new", vcpus: 4 }));
  await eventually("redefined", () => inventory.vm(domain.uuid)?.name === "new");
  assert.equal(inventory.vm(domain.uuid)?.vcpus, 4);

  await hypervisor.undefine(domain.uuid);
  await eventually("undefined", () => inventory.vm(domain.uuid) === undefined);
  assert.equal(monitor.domain(domain.uuid), undefined);
});

Deno.test("a running domain that is undefined stays until it stops", async () => {
  await using libvirt = await TestDriverHost.create([RUNNING]);
  await using host = await MonitoredHost.start(libvirt.uri);
  const { hypervisor, inventory, monitor } = host;
  await hypervisor.undefine(RUNNING.uuid);
  await monitor.refresh(RUNNING.uuid);
  assert.equal(inventory.vm(RUNNING.uuid)?.runstate, Runstate.running);
  await hypervisor.destroy(RUNNING.uuid, { graceful: false });
  await eventually("gone", () => inventory.vm(RUNNING.uuid) === undefined);
});

Deno.test("refresh gives what libvirt has now, also of a domain that is new or gone", async () => {
  await using libvirt = await TestDriverHost.create([OFF]);
  await using host = await MonitoredHost.start(libvirt.uri);
  const { hypervisor, inventory, monitor } = host;
  const domain = { uuid: numberedUuid(7), name: "seventh" };
  await hypervisor.define(testDomainXml(domain));
  assert.equal((await monitor.refresh(domain.uuid))?.runstate, Runstate.poweroff);
  assert.equal(inventory.vm(domain.uuid)?.name, "seventh");
  await hypervisor.start(domain.uuid);
  assert.equal((await monitor.refresh(domain.uuid))?.runstate, Runstate.running);
  await hypervisor.undefine(OFF.uuid);
  assert.equal(await monitor.refresh(OFF.uuid), undefined);
  assert.equal(inventory.vm(OFF.uuid), undefined);
});

Deno.test("samples under way while domains change do not bring the old back", async () => {
  await using libvirt = await TestDriverHost.create([OFF]);
  await using host = await MonitoredHost.start(libvirt.uri, 1);
  const { hypervisor, inventory, monitor } = host;
  for (let round = 0; round < 20; round++) {
    await hypervisor.start(OFF.uuid);
    await eventually("running", () => inventory.vm(OFF.uuid)?.runstate === Runstate.running);
    await Promise.all([
      monitor.sample(),
      hypervisor.destroy(OFF.uuid, { graceful: false }),
      monitor.sample(),
    ]);
    await eventually("off", () => inventory.vm(OFF.uuid)?.runstate === Runstate.poweroff);
    const { ts } = inventory.vm(OFF.uuid) ?? {};
    await monitor.sample();
    await monitor.sample();
    assert.deepEqual([inventory.vm(OFF.uuid)?.runstate, inventory.vm(OFF.uuid)?.ts], [Runstate.poweroff, ts]);
  }
});

Deno.test("a sample of unchanged VMs changes nothing but the host's figures", async () => {
  await using libvirt = await TestDriverHost.create([RUNNING, OFF]);
  await using host = await MonitoredHost.start(libvirt.uri);
  const { inventory, monitor } = host;
  const vms = inventory.vmTable.version;
  const domain = monitor.domain(RUNNING.uuid);
  const ts = inventory.host(monitor.uuid)?.ts ?? Infinity;
  await monitor.sample();
  assert.equal(inventory.vmTable.version, vms);
  assert.equal(monitor.domain(RUNNING.uuid), domain);
  assert.ok((inventory.host(monitor.uuid)?.ts ?? 0) >= ts);
});

Deno.test("a thousand domains are all there from the start", async () => {
  await using libvirt = await TestDriverHost.create(manyTestDomains(1000));
  await using host = await MonitoredHost.start(libvirt.uri);
  const vms = [...host.inventory.vms()];
  assert.equal(vms.length, 1000);
  assert.equal(vms.filter((vm) => vm.runstate === Runstate.running).length, 334);
  assert.equal(host.inventory.vm(numberedUuid(1000))?.name, "vm1000");
});
