import assert from "node:assert/strict";
import { clusterBytesPerSecond } from "../../../lib/cluster/budget.ts";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { decodeRecord, type GossipRecord } from "../../../lib/cluster/records.ts";
import { Repetition } from "../../../lib/cluster/repetition.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { VirtualTime } from "../../support/virtual_time.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HOST = numberedUuid(1000);
const NOW = 9_000;

function fixture(vms: number, members: number) {
  const time = new VirtualTime();
  const inventory = new Inventory();
  const said: GossipRecord[] = [];
  let bytes = 0;
  inventory.putHost(hostEntry({ uuid: HOST }));
  for (let number = 0; number < vms; number++) {
    inventory.putVm(vmInfo({ uuid: numberedUuid(number), host: HOST }));
  }
  inventory.putVm(vmInfo({ uuid: numberedUuid(999), host: numberedUuid(1001) }));
  const repetition = new Repetition({
    inventory,
    self: HOST,
    timers: time,
    clock: () => NOW,
    members: () => members,
    say: (name, payload) => {
      const record = decodeRecord(name, payload);
      if (record) said.push(record);
      bytes += payload.length;
    },
  });
  return { time, inventory, said, repetition, bytes: () => bytes };
}

Deno.test("while a prototype host listens, the host and each of its VMs are said every 15 s, without stamps", async () => {
  const { time, inventory, said, repetition } = fixture(10, 3);
  using _ = repetition;
  await time.pass(60_000);
  assert.equal(said.length, 0);
  repetition.active = true;
  await time.pass(15_001);
  said.length = 0;
  inventory.removeVm(numberedUuid(3), Infinity);
  await time.pass(15_000);
  assert.equal(said.filter((record) => record.kind === "host").length, 1);
  const vms = said.flatMap((record) => record.kind === "vm" ? [record.vm.uuid] : []);
  assert.equal(new Set(vms).size, 9);
  assert.ok(said.every((record) => record.origin === undefined));
  repetition.active = false;
  said.length = 0;
  await time.pass(60_000);
  assert.equal(said.length, 0);
});

Deno.test("what is repeated is the newest word, but of a VM that is on its way", async () => {
  const { time, inventory, said, repetition } = fixture(3, 3);
  using _ = repetition;
  const onTheirWay = [Runstate.migrating, Runstate.startup];
  for (const [number, runstate] of onTheirWay.entries()) {
    inventory.putVm(vmInfo({ uuid: numberedUuid(number), host: HOST, runstate, ts: 2 }));
  }
  repetition.active = true;
  await time.pass(30_001);
  const times = new Map(
    said.flatMap((record) => record.kind === "vm" ? [[record.vm.uuid, record.vm.ts]] : []),
  );
  assert.deepEqual([0, 1, 2].map((number) => times.get(numberedUuid(number))), [2, 2, NOW]);
});

Deno.test("many hosts with many VMs repeat them as slowly as Serf needs it", async () => {
  const { time, repetition, bytes } = fixture(400, 50);
  using _ = repetition;
  repetition.active = true;
  await time.pass(600_000);
  assert.ok(
    bytes() > 0 && bytes() * 50 / 600 < 0.3 * clusterBytesPerSecond(50),
    `${bytes()} bytes of one host`,
  );
});
