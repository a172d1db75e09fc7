import assert from "node:assert/strict";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { Prototypes } from "../../../lib/cluster/prototypes.ts";
import { type GossipRecord, hostInfoOf } from "../../../lib/cluster/records.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import type { VmInfo } from "../../../lib/model/vm.ts";
import { VirtualTime } from "../../support/virtual_time.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HOST = numberedUuid(1000);
const VM = numberedUuid(1);
const MINUTE_MS = 60_000;

function fixture() {
  const inventory = new Inventory();
  const time = new VirtualTime();
  const prototypes = new Prototypes({ inventory, timers: time });
  const hear = (record: GossipRecord) => prototypes.hear(record);
  const info = (part: Partial<VmInfo> = {}) => hear({ kind: "vm", vm: vmInfo(part), origin: undefined });
  const event = (runstate: Runstate, ts: number) =>
    hear({ kind: "event", event: { uuid: VM, host: HOST, runstate, ts }, origin: undefined });
  return { inventory, time, prototypes, hear, info, event };
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
