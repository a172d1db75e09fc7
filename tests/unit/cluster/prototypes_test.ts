import assert from "node:assert/strict";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { Prototypes } from "../../../lib/cluster/prototypes.ts";
import { type GossipRecord, hostInfoOf } from "../../../lib/cluster/records.ts";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import type { VmInfo } from "../../../lib/model/vm.ts";
import { VirtualTime } from "../../support/virtual_time.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HOST = numberedUuid(1000);
const OTHER = numberedUuid(1001);
/** A host of virtxd. */
const OURS = numberedUuid(1002);
const VM = numberedUuid(1);
const MINUTE_MS = 60_000;

function fixture() {
  const inventory = new Inventory();
  const time = new VirtualTime();
  const prototypes = new Prototypes({ inventory, timers: time });
  const hear = (record: GossipRecord) => prototypes.hear(record);
  const info = (part: Partial<VmInfo> = {}) => hear({ kind: "vm", vm: vmInfo(part), origin: undefined });
  const event = (runstate: Runstate, ts: number, host = HOST) =>
    hear({ kind: "event", event: { uuid: VM, host, runstate, ts }, origin: undefined });
  for (const host of [HOST, OTHER]) inventory.setSource(host, "prototype");
  /** What a host of virtxd says, in its own way. */
  const ours = (part: Partial<VmInfo>) => inventory.putVm(vmInfo({ uuid: VM, host: OURS, ...part }));
  const shown = () => {
    const vm = inventory.vm(VM);
    return vm && [vm.host, vm.lastrunstate];
  };
  return { inventory, time, prototypes, hear, info, event, ours, shown };
}

Deno.test("of what a prototype host says the newest counts", () => {
  const { inventory, info, event } = fixture();
  info({ ts: 10 });
  event(Runstate.paused, 12);
  info({ ts: 11, name: "late" });
  assert.deepEqual([inventory.vm(VM)?.name, inventory.vm(VM)?.runstate], ["web1", Runstate.paused]);
  event(Runstate.deleted, 11);
  assert.ok(inventory.vm(VM));
  event(Runstate.deleted, 13);
  assert.equal(inventory.vm(VM), undefined);
});

Deno.test("an event of a VM that is not known waits for the repetition", () => {
  const { inventory, event, info } = fixture();
  event(Runstate.running, 5);
  assert.equal(inventory.vm(VM), undefined);
  info({ ts: 5 });
  assert.equal(inventory.vm(VM)?.runstate, Runstate.running);
});

Deno.test("a prototype host's record shows what it tells, and keeps what is known beyond", () => {
  const { inventory, hear } = fixture();
  const say = (memoryavailable: number, ts: number) =>
    hear({
      kind: "host",
      host: { ...hostInfoOf(hostEntry({ uuid: HOST })), memoryavailable, ts },
      origin: undefined,
    });
  say(100, 5);
  say(50, 4);
  const { def, resources } = inventory.host(HOST) ?? hostEntry();
  assert.equal(resources.memory.availablevms, 100);
  assert.equal(def.cpudef.model, "Skylake-Server");
  const total = { ...resources.memory, total: 999 };
  inventory.putHost(hostEntry({ uuid: HOST, resources: { ...resources, memory: total } }));
  say(70, 6);
  assert.deepEqual(inventory.host(HOST)?.resources.memory, { ...total, availablevms: 70 });
});

Deno.test("a VM that a prototype host has not repeated for long is forgotten, though it never said so", async () => {
  const { inventory, time, prototypes, info } = fixture();
  info({ uuid: VM });
  info({ uuid: numberedUuid(2) });
  await time.pass(4 * MINUTE_MS);
  info({ uuid: VM });
  prototypes.sweep(HOST);
  assert.equal([...inventory.vms()].length, 2);
  await time.pass(2 * MINUTE_MS);
  prototypes.sweep(HOST);
  assert.deepEqual([...inventory.vms()].map((vm) => vm.uuid), [VM]);
});

Deno.test("a time in the future counts as now, so that what is said later is heard", () => {
  const inventory = new Inventory();
  let now = 100;
  const prototypes = new Prototypes({ inventory, timers: new VirtualTime(), clock: () => now });
  const hear = (runstate: Runstate, ts: number) =>
    prototypes.hear({ kind: "vm", vm: vmInfo({ uuid: VM, host: HOST, runstate, ts }), origin: undefined });
  const host = hostInfoOf(hostEntry({ uuid: HOST }));
  hear(Runstate.paused, Number.MAX_SAFE_INTEGER);
  prototypes.hear({ kind: "host", host: { ...host, ts: Number.MAX_SAFE_INTEGER }, origin: undefined });
  assert.deepEqual([inventory.vm(VM)?.ts, inventory.host(HOST)?.ts], [100, 100]);
  now = 200;
  hear(Runstate.running, 150);
  prototypes.hear({ kind: "host", host: { ...host, name: "later", ts: 150 }, origin: undefined });
  assert.deepEqual([inventory.vm(VM)?.runstate, inventory.host(HOST)?.def.name], [Runstate.running, "later"]);
});

Deno.test("a VM that is created and deleted at once leaves no ghost, in whatever order that arrives", async () => {
  const { time, info, event, shown } = fixture();
  event(Runstate.deleted, 12); // before the records that it overtook
  info({ ts: 10 });
  event(Runstate.poweroff, 11);
  info({ ts: 12 });
  assert.equal(shown(), undefined);
  info({ ts: 13 }); // it was defined again
  assert.deepEqual(shown(), [HOST, Runstate.running]);
  event(Runstate.deleted, 14);
  await time.pass(MINUTE_MS);
  info({ ts: 14, host: OTHER });
  assert.equal(shown(), undefined);
});

Deno.test("a deletion in the future counts as now, so that the VM can be defined again", () => {
  const inventory = new Inventory();
  let now = 100;
  const prototypes = new Prototypes({ inventory, timers: new VirtualTime(), clock: () => now });
  const event = { uuid: VM, host: HOST, runstate: Runstate.deleted, ts: Number.MAX_SAFE_INTEGER };
  prototypes.hear({ kind: "event", event, origin: undefined });
  now = 102;
  prototypes.hear({ kind: "vm", vm: vmInfo({ uuid: VM, host: HOST, ts: 101 }), origin: undefined });
  assert.ok(inventory.vm(VM));
});

Deno.test("among prototype hosts the newer word moves a VM, whatever its state, and the older one is over", () => {
  const { inventory, info, event, shown } = fixture();
  info({ ts: 10, runstate: Runstate.running });
  info({ ts: 12, host: OTHER, runstate: Runstate.poweroff }); // cold migration: nobody says that the VM has left
  assert.deepEqual(shown(), [OTHER, Runstate.poweroff]);
  info({ ts: 11, runstate: Runstate.running });
  assert.deepEqual(shown(), [OTHER, Runstate.poweroff]);
  event(Runstate.running, 13); // back, by an event alone
  assert.deepEqual([shown(), inventory.vm(VM)?.name], [[HOST, Runstate.running], "web1"]);
  event(Runstate.deleted, 14);
  assert.equal(shown(), undefined); // no ghost on the host that it left
  info({ ts: 12, host: OTHER });
  assert.equal(shown(), undefined);
});

Deno.test("live migration from a prototype host to ours, power-off and deletion leave no trace of it there", () => {
  const { inventory, info, event, ours, shown } = fixture();
  info({ ts: 10 });
  event(Runstate.migrating, 20);
  ours({ ts: 21, runstate: Runstate.startup }); // it waits for its memory
  assert.deepEqual(shown(), [HOST, Runstate.migrating]);
  ours({ ts: 22, runstate: Runstate.running });
  assert.deepEqual(shown(), [OURS, Runstate.running]);
  event(Runstate.migrating, 20); // the prototype never says that it is gone
  ours({ ts: 23, runstate: Runstate.poweroff });
  assert.deepEqual(shown(), [OURS, Runstate.poweroff]);
  inventory.removeVm(VM, Infinity, OURS);
  event(Runstate.migrating, 20);
  assert.equal(shown(), undefined);
});

Deno.test("a VM that ours gives to a prototype host is shown there once ours has it no more", () => {
  const { inventory, info, ours, shown } = fixture();
  ours({ ts: 20, runstate: Runstate.migrating });
  info({ ts: 21, runstate: Runstate.running });
  assert.deepEqual(shown(), [OURS, Runstate.migrating]);
  inventory.removeVm(VM, Infinity, OURS);
  assert.deepEqual(shown(), [HOST, Runstate.running]);
});

Deno.test("no prototype host takes a VM from ours, whatever it says and when", () => {
  for (const runstate of [Runstate.running, Runstate.poweroff, Runstate.paused]) {
    for (const said of [Runstate.running, Runstate.poweroff, Runstate.deleted]) {
      const { inventory, event, info, ours, shown } = fixture();
      ours({ ts: 1, runstate });
      info({ ts: Number.MAX_SAFE_INTEGER, runstate: Runstate.running });
      event(said, Number.MAX_SAFE_INTEGER);
      assert.deepEqual(shown(), [OURS, runstate]);
      assert.equal(inventory.vm(VM)?.host, OURS);
    }
  }
});

Deno.test("where a host of ours has failed, a prototype host that has its VM now is shown", () => {
  const { inventory, info, ours, shown } = fixture();
  ours({ ts: 5 });
  inventory.setHostState(OURS, HostState.failed);
  info({ ts: 3 });
  assert.deepEqual(shown(), [HOST, Runstate.running]);
});
