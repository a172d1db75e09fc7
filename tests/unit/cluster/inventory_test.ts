import assert from "node:assert/strict";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HERE = numberedUuid(1000);
const THERE = numberedUuid(1001);

function uuidsOf(inventory: Inventory, host: string): string[] {
  return Array.from(inventory.vmsOf(host), (vm) => vm.uuid).sort();
}

Deno.test("the inventory holds frozen entries, all the way down", () => {
  const inventory = new Inventory();
  inventory.putVm(vmInfo({ custom: [{ name: "owner", value: "me" }] }));
  inventory.putHost(hostEntry());
  const vm = inventory.vm(numberedUuid(1));
  assert.ok(vm && Object.isFrozen(vm) && Object.isFrozen(vm.custom) && Object.isFrozen(vm.custom[0]));
  assert.ok(Object.isFrozen(inventory.host(HERE)?.resources.memory));
});

Deno.test("the version grows with each change, and not when the same is said again", () => {
  const inventory = new Inventory();
  const versions = [inventory.version];
  const note = () => versions.push(inventory.version);
  inventory.putVm(vmInfo());
  note();
  inventory.putVm(vmInfo({ runstate: Runstate.paused }));
  note();
  inventory.putHost(hostEntry());
  note();
  inventory.removeVm(numberedUuid(1), 5);
  note();
  assert.deepEqual(versions, [0, 1, 2, 3, 4]);

  inventory.putVm(vmInfo({ custom: [{ name: "a", value: "b" }] }));
  const before = inventory.version;
  inventory.putVm(vmInfo({ custom: [{ name: "a", value: "b" }] }));
  inventory.removeVm(numberedUuid(77), 5);
  assert.equal(inventory.version, before);
  inventory.putVm(vmInfo({ custom: [{ name: "a", value: "c" }] }));
  assert.equal(inventory.version, before + 1);
});

Deno.test("the VMs' own version does not grow with a host's figures", () => {
  const inventory = new Inventory();
  inventory.putVm(vmInfo());
  const before = inventory.vmTable.version;
  inventory.putHost(hostEntry({ ts: 2 }));
  assert.equal(inventory.vmTable.version, before);
});

Deno.test("a removal that is older than what is known of the VM is ignored", () => {
  const inventory = new Inventory();
  inventory.putVm(vmInfo({ ts: 10 }));
  inventory.removeVm(numberedUuid(1), 9);
  assert.ok(inventory.vm(numberedUuid(1)));
  inventory.removeVm(numberedUuid(1), 10);
  assert.equal(inventory.vm(numberedUuid(1)), undefined);
  assert.deepEqual(uuidsOf(inventory, HERE), []);
});

Deno.test("of several claims to a VM one is shown, whatever came first, and the next when that one goes", () => {
  const claims = [
    vmInfo({ host: HERE, runstate: Runstate.running, ts: 1 }),
    vmInfo({ host: THERE, runstate: Runstate.migrating, ts: 9 }),
    vmInfo({ host: numberedUuid(1002), runstate: Runstate.poweroff, ts: 8 }),
    vmInfo({ host: numberedUuid(1003), runstate: Runstate.crashed, ts: 7 }),
    vmInfo({ host: numberedUuid(1004), runstate: Runstate.poweroff, ts: 7 }),
  ];
  for (const order of [claims, claims.toReversed(), [2, 4, 0, 3, 1].flatMap((at) => claims[at] ?? [])]) {
    const inventory = new Inventory();
    for (const claim of order) inventory.putVm(claim);
    for (const [at, { host }] of claims.entries()) {
      assert.equal(inventory.vm(numberedUuid(1))?.host, host);
      assert.deepEqual(uuidsOf(inventory, host), [numberedUuid(1)]);
      for (const { host: rival } of claims.slice(at + 1)) assert.deepEqual(uuidsOf(inventory, rival), []);
      assert.equal([...inventory.vms()].length, 1);
      inventory.removeVm(numberedUuid(1), Infinity, host);
    }
    assert.equal(inventory.vm(numberedUuid(1)), undefined);
  }
});

Deno.test("a guest of this host is shown here, a definition of it only if no other host says more", () => {
  const inventory = new Inventory();
  const uuid = numberedUuid(1);
  inventory.setSource(HERE, "own");
  inventory.putVm(vmInfo({ host: THERE, runstate: Runstate.running, ts: Number.MAX_SAFE_INTEGER }));
  for (const runstate of [Runstate.running, Runstate.paused, Runstate.terminating]) {
    inventory.putVm(vmInfo({ host: HERE, runstate, ts: 1 }));
    assert.equal(inventory.vm(uuid)?.host, HERE);
  }
  for (const runstate of [Runstate.poweroff, Runstate.startup, Runstate.migrating]) {
    inventory.putVm(vmInfo({ host: HERE, runstate, ts: 2 }));
    assert.equal(inventory.vm(uuid)?.host, THERE);
  }
});

Deno.test("what a prototype host says counts less than a definition, and more than a VM that is to arrive", () => {
  const inventory = new Inventory();
  const uuid = numberedUuid(1);
  inventory.putVm(vmInfo({ host: THERE, runstate: Runstate.running, ts: 9 }));
  inventory.putVm(vmInfo({ host: HERE, runstate: Runstate.poweroff, ts: 1 }));
  assert.equal(inventory.vm(uuid)?.host, THERE);
  inventory.setSource(THERE, "prototype");
  assert.equal(inventory.vm(uuid)?.host, HERE);
  inventory.putVm(vmInfo({ host: HERE, runstate: Runstate.startup, ts: 10 }));
  assert.equal(inventory.vm(uuid)?.host, THERE);
});

Deno.test("VMs of a host that is not there are shown as unknown, and lose against one that is there", () => {
  const inventory = new Inventory();
  inventory.putHost(hostEntry({ uuid: HERE }));
  inventory.putVm(vmInfo({ host: HERE, runstate: Runstate.running }));
  inventory.putVm(vmInfo({ host: THERE, runstate: Runstate.poweroff }));
  inventory.putVm(vmInfo({ uuid: numberedUuid(2), host: HERE, runstate: Runstate.running }));
  const runstates = () =>
    [1, 2].map((number) => {
      const vm = inventory.vm(numberedUuid(number));
      return [vm?.host, vm?.runstate, vm?.lastrunstate, vm?.cstate];
    });
  const { active, failed } = HostState;
  const { none, running, poweroff } = Runstate;
  assert.deepEqual(runstates(), [[HERE, running, running, active], [HERE, running, running, active]]);
  inventory.setHostState(HERE, failed);
  assert.equal(inventory.host(HERE)?.cstate, failed);
  assert.deepEqual(runstates(), [[THERE, poweroff, poweroff, active], [HERE, none, running, failed]]);
  inventory.putVm(vmInfo({ uuid: numberedUuid(2), host: HERE, runstate: poweroff }));
  inventory.putHost(hostEntry({ uuid: HERE })); // what it says of itself does not count
  assert.equal(inventory.host(HERE)?.cstate, failed);
  assert.deepEqual(runstates()[1], [HERE, none, poweroff, failed]);
  inventory.setHostState(HERE, active);
  assert.deepEqual(runstates(), [[THERE, poweroff, poweroff, active], [HERE, none, poweroff, active]]);
  inventory.confirm(HERE, 1);
  assert.deepEqual(runstates(), [[HERE, running, running, active], [HERE, poweroff, poweroff, active]]);
});

Deno.test("a VM is unknown from when its host is away until that is back and what is known of it is trusted", () => {
  const inventory = new Inventory();
  inventory.setHostState(HERE, HostState.active);
  assert.equal(inventory.doubts(HERE), false); // there is nothing from before
  inventory.putVm(vmInfo({ host: HERE, runstate: Runstate.running }));
  const runstate = () => inventory.vm(numberedUuid(1))?.runstate;
  for (const away of [HostState.failed, HostState.left]) {
    inventory.setHostState(HERE, away);
    inventory.trust(HERE);
    assert.equal(runstate(), Runstate.none);
    inventory.setHostState(HERE, HostState.active);
    assert.equal(runstate(), Runstate.none);
    inventory.trust(HERE);
    assert.equal(runstate(), Runstate.running);
  }
  inventory.doubt(HERE);
  assert.equal(runstate(), Runstate.none);
  inventory.putVm(vmInfo({ host: HERE, runstate: Runstate.paused }));
  assert.equal(runstate(), Runstate.none);
  inventory.confirm(HERE, 1);
  assert.equal(runstate(), Runstate.paused);
});

Deno.test("a host that is forgotten takes its claims along", () => {
  const inventory = new Inventory();
  inventory.putHost(hostEntry({ uuid: HERE }));
  inventory.putVm(vmInfo({ host: HERE }));
  inventory.putVm(vmInfo({ host: THERE, runstate: Runstate.poweroff }));
  inventory.putVm(vmInfo({ uuid: numberedUuid(2), host: HERE }));
  inventory.confirm(HERE, 5);
  inventory.removeHost(HERE);
  assert.equal(inventory.host(HERE), undefined);
  assert.equal(inventory.seen(HERE), undefined);
  assert.equal(inventory.vm(numberedUuid(1))?.host, THERE);
  assert.equal(inventory.vm(numberedUuid(2)), undefined);
});

Deno.test("watchers are told what is shown anew and what is claimed anew, until disposed", () => {
  const inventory = new Inventory();
  const told: string[] = [];
  const name = (uuid: string) => uuid.slice(-4);
  const watch = inventory.watch({
    host: (uuid, entry) => told.push(`host ${name(uuid)} ${entry?.cstate}`),
    vm: (uuid, entry) => told.push(`vm ${name(uuid)} ${entry && name(entry.host)} ${entry?.runstate}`),
    claim: (host, uuid, claim) => told.push(`claim ${name(host)} ${name(uuid)} ${claim?.lastrunstate}`),
  });
  const expect = (...news: string[]) => assert.deepEqual(told.splice(0), news);
  inventory.putHost(hostEntry({ uuid: HERE }));
  expect("host 1000 1");
  inventory.putVm(vmInfo({ host: HERE }));
  expect("vm 0001 1000 4", "claim 1000 0001 4");
  inventory.putVm(vmInfo({ host: HERE }));
  expect();
  inventory.putVm(vmInfo({ host: THERE, runstate: Runstate.poweroff }));
  expect("claim 1001 0001 2");
  inventory.setHostState(HERE, HostState.left);
  expect("host 1000 2", "vm 0001 1001 2");
  inventory.removeVm(numberedUuid(1), Infinity, THERE);
  expect("vm 0001 1000 0", "claim 1001 0001 undefined");
  inventory.removeVm(numberedUuid(1), Infinity);
  expect("vm 0001 undefined undefined", "claim 1000 0001 undefined");
  watch[Symbol.dispose]();
  inventory.putVm(vmInfo());
  expect();
});

Deno.test("resynchronising a host brings new VMs, drops ghosts, and leaves other hosts alone", () => {
  const inventory = new Inventory();
  inventory.putVm(vmInfo({ uuid: numberedUuid(1), host: HERE }));
  inventory.putVm(vmInfo({ uuid: numberedUuid(2), host: HERE, ts: 99 }));
  inventory.putVm(vmInfo({ uuid: numberedUuid(3), host: THERE }));
  inventory.replaceVmsOf(HERE, [
    vmInfo({ uuid: numberedUuid(1), host: HERE, name: "renamed" }),
    vmInfo({ uuid: numberedUuid(4), host: HERE }),
  ]);
  assert.deepEqual(uuidsOf(inventory, HERE), [numberedUuid(1), numberedUuid(4)]);
  assert.equal(inventory.vm(numberedUuid(1))?.name, "renamed");
  assert.deepEqual(uuidsOf(inventory, THERE), [numberedUuid(3)]);
});
