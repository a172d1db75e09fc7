import assert from "node:assert/strict";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { readDefinition } from "../../../lib/host/definition.ts";
import { FlawedDefinitions } from "../../../lib/host/flawed_definitions.ts";
import { type DomainReading, LocalDomains } from "../../../lib/host/local_domains.ts";
import type { DomainStats } from "../../../lib/libvirt/stats.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { Health } from "../../../lib/model/health.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { testDomainXml } from "../../support/test_driver.ts";
import { numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HERE = numberedUuid(1000);
const VM = numberedUuid(1);
const { poweroff, running, paused, migrating } = Runstate;

function reading(runstate: Runstate, title = "web1", uuid = VM): DomainReading {
  const definition = readDefinition(testDomainXml({ uuid, name: uuid, title }));
  return { uuid, definition, runstate, arriving: false };
}

/** Between any two things that happen a minute passes. */
function setUp() {
  const inventory = new Inventory();
  let now = 0;
  const domains = new LocalDomains(HERE, inventory, undefined, () => now += 60_000);
  return { inventory, domains };
}

Deno.test("an answer that an event overtook brings its definition, but not its run state", () => {
  const { inventory, domains } = setUp();
  domains.learn(reading(poweroff), domains.moment, 1);
  const asked = domains.moment;
  domains.hear(VM, running, 2);
  domains.learn(reading(poweroff, "renamed"), asked, 3);
  assert.equal(inventory.vm(VM)?.runstate, running);
  assert.equal(inventory.vm(VM)?.name, "renamed");
  domains.learn(reading(poweroff, "renamed"), domains.moment, 4);
  assert.equal(inventory.vm(VM)?.runstate, poweroff);
});

Deno.test("an event that tells what is known already still outdates answers under way", () => {
  const { inventory, domains } = setUp();
  domains.learn(reading(running), domains.moment, 1);
  const asked = domains.moment;
  domains.hear(VM, running, 2);
  assert.ok(domains.heardSince(VM, asked));
  domains.learn(reading(poweroff), asked, 3);
  assert.equal(inventory.vm(VM)?.runstate, running);
  assert.equal(inventory.vm(VM)?.ts, 1);
});

Deno.test("an event that had arrived before libvirt was asked does not bring back what was before", () => {
  const { inventory, domains } = setUp();
  const before = domains.moment;
  domains.learn(reading(poweroff), domains.moment, 1);
  assert.equal(domains.hear(VM, running, 2, before), true);
  assert.equal(inventory.vm(VM)?.runstate, poweroff);
});

Deno.test("of an event that comes soon after libvirt was asked, and tells something else, libvirt is asked", () => {
  const { inventory, domains } = setUp();
  const asked = domains.moment;
  domains.learn(reading(poweroff), asked, 1);
  assert.equal(domains.hear(VM, poweroff, 2, asked + 1), true);
  assert.equal(domains.hear(VM, running, 3, asked + 2), false);
  assert.equal(inventory.vm(VM)?.runstate, poweroff);
  domains.learn(reading(running), domains.moment, 4);
  assert.equal(inventory.vm(VM)?.runstate, running);
});

Deno.test("an event about a domain that is not known is refused, so that it gets read", () => {
  const { inventory, domains } = setUp();
  assert.equal(domains.hear(VM, running, 1), false);
  assert.equal(inventory.vm(VM), undefined);
});

Deno.test("a look at everything drops what is not there, but not what was heard of meanwhile", () => {
  const { inventory, domains } = setUp();
  const [ghost, busy] = [numberedUuid(2), numberedUuid(3)];
  for (const uuid of [VM, ghost, busy]) domains.learn(reading(running, "x", uuid), domains.moment, 1);
  const asked = domains.moment;
  domains.hear(busy, paused, 2);
  domains.learnAll([reading(poweroff)], asked, 3);
  assert.deepEqual(Array.from(domains.values(), ({ uuid }) => uuid).sort(), [VM, busy]);
  assert.equal(inventory.vm(ghost), undefined);
  assert.equal(inventory.vm(VM)?.runstate, poweroff);
  assert.equal(inventory.vm(busy)?.runstate, paused);
});

Deno.test("timestamps never go back, whatever clock events carry", () => {
  const { inventory, domains } = setUp();
  domains.learn(reading(poweroff), domains.moment, 100);
  domains.hear(VM, running, 50);
  assert.equal(inventory.vm(VM)?.ts, 100);
});

Deno.test("a domain that is gone here stays in the inventory if it is on another host by now", () => {
  const { inventory, domains } = setUp();
  domains.learn(reading(running), domains.moment, 1);
  inventory.putVm(vmInfo({ uuid: VM, host: numberedUuid(1001) }));
  domains.forget(VM);
  assert.equal(inventory.vm(VM)?.host, numberedUuid(1001));
  assert.equal(domains.get(VM), undefined);
});

Deno.test("a domain that migrates away is shown so until told otherwise, even if libvirt has it no more", () => {
  const { inventory, domains } = setUp();
  const shown = () => inventory.vm(VM)?.runstate;
  domains.learn(reading(running), domains.moment, 1);
  domains.leaving(VM, true, 2);
  assert.equal(shown(), migrating);
  domains.learn(reading(poweroff), domains.moment, 3);
  domains.hear(VM, poweroff, 4);
  assert.equal(shown(), migrating);
  domains.forget(VM);
  domains.learnAll([], domains.moment, 5);
  assert.equal(shown(), migrating);
  domains.leaving(VM, false, 6);
  assert.equal(shown(), undefined);
  assert.equal(domains.get(VM), undefined);
});

Deno.test("a domain that libvirt has again after it was to migrate away stays when that is over", () => {
  const { inventory, domains } = setUp();
  domains.learn(reading(running), domains.moment, 1);
  domains.leaving(VM, true, 2);
  domains.forget(VM);
  domains.learn(reading(running), domains.moment, 3);
  domains.leaving(VM, false, 4);
  domains.learn(reading(running), domains.moment, 5);
  assert.equal(inventory.vm(VM)?.runstate, running);
  domains.leaving(VM, true, 6);
  domains.learnAll([], domains.moment, 7);
  domains.learnAll([reading(paused)], domains.moment, 8);
  domains.leaving(VM, false, 9);
  domains.learnAll([reading(paused)], domains.moment, 10);
  assert.equal(inventory.vm(VM)?.runstate, paused);
});

Deno.test("rates begin anew with each run of a VM", () => {
  const { domains } = setUp();
  const stats = (cpuTimeNs: number): DomainStats => ({
    uuid: VM,
    name: VM,
    state: 1,
    reason: 0,
    cpuTimeNs,
    balloon: { currentKiB: undefined, maximumKiB: undefined, rssKiB: undefined },
    net: [],
    block: [],
  });
  const use = () => domains.get(VM)?.stats.cpu_utilization;
  domains.learn(reading(running), domains.moment, 1);
  domains.measure(stats(1e9), 1000, 3000);
  assert.equal(use(), 0);
  domains.measure(stats(2e9), 2000, 3000);
  assert.equal(use(), 100);
  domains.hear(VM, poweroff, 2);
  domains.measure(stats(9e9), 3000, 3000); // libvirt tells some, even of a domain that is off
  assert.equal(use(), 0);
  domains.hear(VM, running, 3);
  domains.measure(stats(20e9), 4000, 3000);
  assert.equal(use(), 0);
  domains.measure(stats(20.5e9), 5000, 3000);
  assert.equal(use(), 50);
});

Deno.test("definitions that cannot be read are one condition, until they can be or their domains are gone", () => {
  const health = new Health();
  const flaws = new FlawedDefinitions(health, silentLogger);
  const inventory = new Inventory();
  const domains = new LocalDomains(HERE, inventory, (uuid, definition) => flaws.note(uuid, definition));
  const reasons = () => health.conditions.map(({ reason }) => reason).join();
  const learn = (number: number, text: string) => {
    const uuid = numberedUuid(number);
    const xml =
      `<domain>\n  <name>vm${number}</name>\n  <metadata>\n    <n>${text}</n>\n  </metadata>\n  <vcpu>1</vcpu>\n</domain>\n`;
    const definition = domains.definitionOf(uuid, xml);
    domains.learn({ uuid, definition, runstate: Runstate.running, arriving: false }, domains.moment, 5);
  };
  for (let number = 1; number <= 9; number++) learn(number, "&site;");
  assert.match(reasons(), /"vm1" .*&site;.*4 more VMs/);
  assert.equal(health.conditions[0]?.blocking, false);
  assert.equal(inventory.vm(numberedUuid(3))?.name, "vm3");
  assert.match(domains.get(numberedUuid(3))?.flaw ?? "", /&site;/);
  for (let number = 1; number <= 7; number++) learn(number, "read");
  assert.equal(domains.get(numberedUuid(3))?.flaw, undefined);
  domains.forget(numberedUuid(8));
  assert.match(reasons(), /^definitions cannot be read: VM "vm9" [^;]*&site;[^;]*$/);
  domains.learnAll([], domains.moment, 6);
  assert.deepEqual(health.conditions, []);
});
