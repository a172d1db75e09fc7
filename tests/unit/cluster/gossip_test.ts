import assert from "node:assert/strict";
import { Budget } from "../../../lib/cluster/budget.ts";
import { Gossip } from "../../../lib/cluster/gossip.ts";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { LocalOrigin } from "../../../lib/cluster/local_origin.ts";
import { decodeRecord, type GossipRecord } from "../../../lib/cluster/records.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import type { VmInfo } from "../../../lib/model/vm.ts";
import { VirtualTime } from "../../support/virtual_time.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HOST = numberedUuid(1000);
const CLOCK = 5000;

/** A host whose words are noted. */
class Speaker implements Disposable {
  readonly time = new VirtualTime();
  readonly inventory = new Inventory();
  readonly said: GossipRecord[] = [];
  readonly budget: Budget;
  readonly origin: LocalOrigin;
  readonly gossip: Gossip;
  members = 3;

  constructor(vms = 0) {
    this.figures(1000);
    for (let number = 0; number < vms; number++) this.put(number);
    const members = () => this.members;
    this.budget = new Budget({ timers: this.time, members });
    this.origin = new LocalOrigin({
      inventory: this.inventory,
      self: HOST,
      epoch: 9,
      onPending: () => this.gossip.vmChanged(),
    });
    this.gossip = new Gossip({
      inventory: this.inventory,
      origin: this.origin,
      budget: this.budget,
      clock: () => CLOCK,
      timers: this.time,
      random: () => 0.5,
      log: silentLogger,
      members,
      say: (name, payload) => {
        const record = decodeRecord(name, payload);
        if (record) this.said.push(record);
      },
    });
  }

  put(number: number, part: Partial<VmInfo> = {}): void {
    this.inventory.putVm(vmInfo({ uuid: numberedUuid(number), host: HOST, ...part }));
  }

  figures(available: number, part: Parameters<typeof hostEntry>[0] = {}): void {
    const { resources } = hostEntry();
    const memory = { ...resources.memory, total: 10_000, availablevms: available };
    this.inventory.putHost(hostEntry({ uuid: HOST, resources: { ...resources, memory }, ...part }));
  }

  /** What was said since this was last asked, in short, after so much time. */
  async heard(ms = 1): Promise<string[]> {
    await this.time.pass(ms);
    return this.said.splice(0).map((record) => {
      const seq = record.origin?.seq;
      if (record.kind === "host") return `${seq} HI ${record.host.memoryavailable}`;
      if (record.kind === "vm") return `${seq} VI ${record.vm.name} ${record.vm.runstate}`;
      return `${seq} VE ${record.event.uuid.slice(-2)} ${record.event.runstate}`;
    });
  }

  [Symbol.dispose](): void {
    this.gossip[Symbol.dispose]();
    this.origin[Symbol.dispose]();
  }
}

Deno.test("a host begins by saying who it is, and nothing of the VMs that it has", async () => {
  using speaker = new Speaker(50);
  assert.deepEqual(await speaker.heard(), []);
  speaker.gossip.start();
  assert.deepEqual(await speaker.heard(), ["1 HI 1000"]);
});

Deno.test("a change is said at once: a run state as VE, anything else as VI, the end as VE deleted", async () => {
  using speaker = new Speaker(1);
  speaker.gossip.start();
  await speaker.heard();
  speaker.put(0, { runstate: Runstate.paused, ts: 2 });
  assert.deepEqual(await speaker.heard(), ["2 VE 00 5"]);
  speaker.put(0, { runstate: Runstate.paused, name: "renamed", ts: 3 });
  assert.deepEqual(await speaker.heard(), ["3 VI renamed 5"]);
  speaker.put(0, { runstate: Runstate.paused, name: "renamed", custom: [{ name: "a", value: "b" }], ts: 4 });
  assert.deepEqual(await speaker.heard(), ["4 VI renamed 5"]);
  speaker.put(1);
  assert.deepEqual(await speaker.heard(), ["5 VI web1 4"]);
  speaker.inventory.removeVm(numberedUuid(1), Infinity, HOST);
  await speaker.time.pass(1);
  const [last] = speaker.said;
  assert.ok(last?.kind === "event");
  assert.deepEqual([last.event.runstate, last.event.ts], [Runstate.deleted, CLOCK]);
});

Deno.test("of a VM that another host has by then, what is over here is not newer than what that host says", async () => {
  using speaker = new Speaker(1);
  speaker.gossip.start();
  await speaker.heard();
  speaker.put(0, { runstate: Runstate.migrating, ts: 2 });
  await speaker.heard();
  speaker.inventory.putVm(vmInfo({ uuid: numberedUuid(0), host: numberedUuid(999), ts: 3 }));
  speaker.inventory.removeVm(numberedUuid(0), Infinity, HOST);
  await speaker.time.pass(1);
  const [last] = speaker.said;
  assert.ok(last?.kind === "event");
  assert.deepEqual([last.event.runstate, last.event.ts], [Runstate.deleted, 2]);
});

Deno.test("the stamp of what is said is that of the state after it", async () => {
  using speaker = new Speaker(2);
  speaker.gossip.start();
  speaker.put(0, { runstate: Runstate.paused });
  await speaker.time.pass(1);
  assert.deepEqual(speaker.said.at(-1)?.origin, speaker.origin.stamp);
  assert.equal(speaker.origin.state({ uuid: HOST, since: undefined }).digest, speaker.origin.stamp.digest);
});

Deno.test("a VM that comes and goes before it was said is not said", async () => {
  using speaker = new Speaker(1);
  speaker.gossip.start();
  await speaker.heard();
  speaker.put(5);
  speaker.inventory.removeVm(numberedUuid(5), Infinity, HOST);
  assert.deepEqual(await speaker.heard(5000), []);
});

Deno.test("when the budget is used up, the last state of each VM waits for it, those first that wait longest", async () => {
  using speaker = new Speaker(3);
  speaker.gossip.start();
  await speaker.heard(10_000);
  speaker.budget.spend(2000);
  speaker.put(0, { runstate: Runstate.paused });
  speaker.put(1, { runstate: Runstate.paused });
  assert.deepEqual(await speaker.heard(), []);
  speaker.put(0, { runstate: Runstate.crashed });
  assert.deepEqual(await speaker.heard(2000), ["2 VE 00 9", "3 VE 01 5"]);
});

Deno.test("what is too much to say is published at once and pointed to by one HI", async () => {
  using speaker = new Speaker(200);
  speaker.gossip.start();
  await speaker.heard(10_000);
  for (let number = 0; number < 200; number++) speaker.put(number, { runstate: Runstate.paused });
  assert.deepEqual(await speaker.heard(), ["202 HI 1000"]);
  const { base, vms } = speaker.origin.state({ uuid: HOST, since: { epoch: 9, seq: 1 } });
  assert.deepEqual([base, vms.length], [1, 200]);
  assert.deepEqual(await speaker.heard(5000), []);
});

Deno.test("storm after storm stays within the budget", async () => {
  using speaker = new Speaker(200);
  speaker.members = 100;
  speaker.gossip.start();
  for (let host = 0; host < 50; host++) speaker.budget.heard(numberedUuid(host));
  for (let second = 0; second < 100; second++) {
    for (let number = 0; number < 200; number++) speaker.put(number, { ts: second + 2 });
    for (let host = 0; host < 50; host++) speaker.budget.heard(numberedUuid(host));
    await speaker.time.pass(1000);
  }
  const bytes = speaker.said.length * 250;
  const allowed = 1400 + 100 * speaker.budget.bytesPerSecond;
  assert.ok(bytes < 2 * allowed, `${speaker.said.length} records where ${allowed} bytes are allowed`);
  assert.equal(speaker.origin.pending.size, 0);
});

Deno.test("a VM that does not fit into a record is pointed to by an HI", async () => {
  using speaker = new Speaker(1);
  speaker.gossip.start();
  await speaker.heard();
  speaker.put(0, { custom: [{ name: "note", value: "x".repeat(1000) }] });
  assert.deepEqual(await speaker.heard(), ["3 HI 1000"]);
});

Deno.test("figures are said when they moved noticeably, not more often than each 15 s, and rarely if they did not", async () => {
  using speaker = new Speaker();
  speaker.gossip.start();
  await speaker.heard();
  speaker.figures(1400);
  assert.deepEqual(await speaker.heard(14_000), [], "4 % is not noticeable");
  speaker.figures(1501);
  assert.deepEqual(await speaker.heard(), [], "too soon");
  await speaker.time.pass(1500);
  speaker.figures(1502);
  assert.deepEqual(await speaker.heard(), ["2 HI 1502"]);
  assert.deepEqual(await speaker.heard(59_000), []);
  assert.deepEqual(await speaker.heard(2000), ["3 HI 1502"]);
  speaker.figures(1502, { def: { ...hostEntry().def, osv: "13" } });
  assert.deepEqual(await speaker.heard(), ["4 HI 1502"], "what it is, is said at once");
});

Deno.test("in a large cluster figures are said less often", async () => {
  using speaker = new Speaker();
  speaker.members = 1000;
  speaker.gossip.start();
  await speaker.heard();
  for (let second = 0; second < 400; second += 10) {
    speaker.figures(second % 20 ? 1000 : 9000);
    assert.deepEqual(await speaker.heard(10_000), []);
  }
});

Deno.test("while nobody can be told all is published, and on return one HI tells how far it is", async () => {
  using speaker = new Speaker(20);
  speaker.gossip.start();
  await speaker.heard();
  speaker.gossip.hush();
  for (let number = 0; number < 5; number++) speaker.put(number, { runstate: Runstate.paused });
  assert.deepEqual(await speaker.heard(120_000), []);
  assert.equal(speaker.origin.stamp.seq, 6);
  speaker.gossip.start();
  assert.deepEqual(await speaker.heard(), ["7 HI 1000"]);
});
