import assert from "node:assert/strict";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { Runstate } from "../../../lib/model/enums.ts";
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

Deno.test("a VM that moves is on its new host only", () => {
  const inventory = new Inventory();
  inventory.putVm(vmInfo({ host: HERE }));
  inventory.putVm(vmInfo({ host: THERE }));
  assert.deepEqual(uuidsOf(inventory, HERE), []);
  assert.deepEqual(uuidsOf(inventory, THERE), [numberedUuid(1)]);
  assert.equal([...inventory.vms()].length, 1);
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
