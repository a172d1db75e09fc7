import assert from "node:assert/strict";
import fc from "fast-check";
import type { OriginState, Want } from "../../../lib/cluster/exchange.ts";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { Knowledge } from "../../../lib/cluster/knowledge.ts";
import { LocalOrigin } from "../../../lib/cluster/local_origin.ts";
import { type GossipRecord, hostInfoOf } from "../../../lib/cluster/records.ts";
import type { Stamp } from "../../../lib/cluster/stamp.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { VirtualTime } from "../../support/virtual_time.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HOST = numberedUuid(1000);
const EPOCH = 500;

/** What is told of an origin in whose present life nothing is known. */
const ONLY_THAT_IT_LIVES = { uuid: HOST, epoch: EPOCH, seq: 0, digest: "0".repeat(16), count: 0 };

type StampedRecord = GossipRecord & { readonly origin: Stamp };

/** An origin that says what it publishes into a list. */
class Speaker implements Disposable {
  readonly inventory = new Inventory();
  readonly said: StampedRecord[] = [];
  readonly origin: LocalOrigin;

  constructor(epoch = EPOCH, vms = 3) {
    this.inventory.putHost(hostEntry({ uuid: HOST }));
    for (let number = 0; number < vms; number++) this.#put(number, Runstate.running);
    this.origin = new LocalOrigin({ inventory: this.inventory, self: HOST, epoch, onPending: () => {} });
  }

  put(number: number, runstate: Runstate): StampedRecord {
    this.#put(number, runstate);
    const publication = this.origin.publish(numberedUuid(number));
    const { stamp: origin } = this.origin;
    return this.#say(
      publication?.before && publication.after
        ? { kind: "event", event: publication.after, origin }
        : { kind: "vm", vm: publication?.after ?? vmInfo({ runstate: Runstate.deleted }), origin },
    );
  }

  remove(number: number): StampedRecord {
    this.inventory.removeVm(numberedUuid(number), Infinity);
    const before = this.origin.publish(numberedUuid(number))?.before;
    assert.ok(before);
    const event = { ...before, runstate: Runstate.deleted };
    return this.#say({ kind: "event", event, origin: this.origin.stamp });
  }

  host(memoryavailable = 5): StampedRecord {
    this.origin.publishHost();
    const host = { ...hostInfoOf(hostEntry({ uuid: HOST })), memoryavailable };
    return this.#say({ kind: "host", host, origin: this.origin.stamp });
  }

  [Symbol.dispose](): void {
    this.origin[Symbol.dispose]();
  }

  #put(number: number, runstate: Runstate): void {
    const ts = (this.inventory.vm(numberedUuid(number))?.ts ?? 0) + 1;
    this.inventory.putVm(
      vmInfo({ uuid: numberedUuid(number), name: `vm${number}`, host: HOST, runstate, ts }),
    );
  }

  #say(record: StampedRecord): StampedRecord {
    this.said.push(record);
    return record;
  }
}

/** A host that listens. */
class Listener {
  readonly inventory = new Inventory();
  readonly time = new VirtualTime();
  readonly lacks: string[] = [];
  readonly knowledge: Knowledge;
  clock = 7000;

  constructor() {
    this.knowledge = new Knowledge({
      inventory: this.inventory,
      clock: () => this.clock,
      timers: this.time,
      log: silentLogger,
      onLack: (uuid) => this.lacks.push(uuid),
    });
  }

  hear(...records: readonly StampedRecord[]): void {
    for (const record of records) this.knowledge.hear(HOST, record);
  }

  /** Asks for what is missing, as a pull does. */
  pull(from: Speaker): OriginState | undefined {
    const want = this.knowledge.lack(HOST);
    const state = want && from.origin.state(want);
    if (state) this.knowledge.adopt(state);
    return state;
  }

  assertKnowsAll(speaker: Speaker): void {
    const vms = (inventory: Inventory) => [...inventory.claimsOf(HOST).values()].sort(byUuid);
    assert.deepEqual(vms(this.inventory), vms(speaker.inventory));
    assert.equal(this.knowledge.lack(HOST), undefined);
    const [{ uuid: _, count: __, ...stamp } = { uuid: "", count: 0 }] = this.knowledge.entries();
    assert.deepEqual(stamp, speaker.origin.stamp);
  }
}

function byUuid(a: { uuid: string }, b: { uuid: string }): number {
  return a.uuid < b.uuid ? -1 : 1;
}

function acquainted(): { speaker: Speaker; listener: Listener } {
  const speaker = new Speaker();
  const listener = new Listener();
  listener.hear(speaker.host());
  listener.pull(speaker);
  listener.assertKnowsAll(speaker);
  listener.lacks.length = 0;
  return { speaker, listener };
}

Deno.test("the first word of an unknown origin has all of it pulled", () => {
  using speaker = new Speaker();
  const listener = new Listener();
  assert.equal(listener.knowledge.lack(HOST), undefined);
  listener.hear(speaker.put(1, Runstate.paused));
  assert.deepEqual(listener.lacks, [HOST]);
  assert.deepEqual(listener.knowledge.lack(HOST), { uuid: HOST, since: undefined });
  assert.deepEqual([...listener.knowledge.entries()], [ONLY_THAT_IT_LIVES]);
  const late = speaker.put(2, Runstate.paused);
  const state = listener.pull(speaker);
  assert.equal(state?.vms.length, 3);
  listener.hear(late);
  listener.assertKnowsAll(speaker);
  assert.equal(listener.inventory.host(HOST)?.def.name, "virt1");
});

Deno.test("what is next is applied at once: VMs, states, removals, figures", () => {
  const { speaker, listener } = acquainted();
  using _ = speaker;
  listener.clock = 8000;
  listener.hear(speaker.put(1, Runstate.paused), speaker.put(9, Runstate.poweroff), speaker.remove(2));
  listener.assertKnowsAll(speaker);
  assert.equal(listener.inventory.seen(HOST), 8000);
  listener.hear(speaker.host(77));
  assert.equal(listener.inventory.host(HOST)?.resources.memory.availablevms, 77);
  listener.assertKnowsAll(speaker);
  assert.deepEqual(listener.lacks, []);
});

Deno.test("records that overtake each other are put in order, and said again are only a sign of life", async () => {
  const { speaker, listener } = acquainted();
  using _ = speaker;
  const records = [speaker.put(1, Runstate.paused), speaker.put(1, Runstate.running), speaker.remove(2)];
  listener.hear(...records.toReversed());
  listener.assertKnowsAll(speaker);
  const { version } = listener.inventory;
  listener.hear(...records, ...records);
  await listener.time.pass(1000);
  assert.equal(listener.inventory.version, version);
  assert.deepEqual(listener.lacks, []);
});

Deno.test("a gap is waited for, then only what has changed since is pulled", async () => {
  const { speaker, listener } = acquainted();
  using _ = speaker;
  speaker.put(1, Runstate.paused); // lost
  const gone = speaker.remove(2); // lost
  listener.hear(speaker.put(0, Runstate.crashed));
  await listener.time.pass(100);
  assert.deepEqual(listener.lacks, []);
  await listener.time.pass(200);
  assert.deepEqual(listener.lacks, [HOST]);
  const state = listener.pull(speaker);
  assert.deepEqual(state?.vms.map((vm) => vm.uuid).sort(), [numberedUuid(0), numberedUuid(1)]);
  assert.deepEqual(state?.gone, [numberedUuid(2)]);
  listener.assertKnowsAll(speaker);
  listener.hear(gone); // late
  listener.assertKnowsAll(speaker);
});

Deno.test("after more changes than are remembered all is pulled", () => {
  const { speaker, listener } = acquainted();
  using _ = speaker;
  for (let change = 0; change < 600; change++) {
    speaker.put(1, change % 2 ? Runstate.paused : Runstate.running);
  }
  listener.hear(speaker.put(1, Runstate.crashed));
  const state = listener.pull(speaker);
  assert.equal(state?.base, undefined);
  assert.equal(state?.vms.length, 3);
  listener.assertKnowsAll(speaker);
});

Deno.test("a new life with the same VMs is believed without asking, one with others is pulled, an old one is not heard", () => {
  const { speaker, listener } = acquainted();
  using _ = speaker;
  const old = speaker.put(1, Runstate.paused);
  listener.hear(old);
  speaker.origin.renew(EPOCH + 1);
  listener.hear(speaker.host(3));
  assert.deepEqual(listener.lacks, []);
  assert.equal(listener.inventory.host(HOST)?.resources.memory.availablevms, 3);
  listener.assertKnowsAll(speaker);

  using next = new Speaker(EPOCH + 2, 5);
  listener.hear(next.put(4, Runstate.paused));
  assert.deepEqual(listener.lacks, [HOST]);
  listener.hear(next.put(4, Runstate.crashed)); // said after the pull was answered, heard before its answer
  const state = { ...next.origin.state({ uuid: HOST, since: undefined }) };
  listener.knowledge.adopt(state);
  listener.assertKnowsAll(next);
  const { version } = listener.inventory;
  listener.hear(old, speaker.put(2, Runstate.paused));
  listener.knowledge.adopt(speaker.origin.state({ uuid: HOST, since: undefined }));
  assert.equal(listener.inventory.version, version);
});

Deno.test("knowledge that does not add up is told to nobody but for the life that it is of, and pulled anew", () => {
  const { speaker, listener } = acquainted();
  using _ = speaker;
  listener.inventory.putVm(vmInfo({ uuid: numberedUuid(1), host: HOST, ts: 99 })); // as by a defect
  const lie = speaker.put(1, Runstate.paused);
  listener.hear({ ...lie, origin: { ...lie.origin, digest: "0123456789abcdef" } });
  assert.deepEqual(listener.lacks, [HOST]);
  assert.equal(listener.knowledge.state({ uuid: HOST, since: undefined }), undefined);
  assert.deepEqual([...listener.knowledge.entries()], [ONLY_THAT_IT_LIVES]);
  listener.pull(speaker);
  listener.assertKnowsAll(speaker);
});

Deno.test("an event of a VM that is not known shows in the digest, and all is pulled", () => {
  const { speaker, listener } = acquainted();
  using _ = speaker;
  const record = speaker.put(9, Runstate.running);
  assert.ok(record.kind === "vm");
  listener.hear({ kind: "event", event: record.vm, origin: record.origin });
  assert.equal(listener.pull(speaker)?.base, undefined);
  listener.assertKnowsAll(speaker);
});

Deno.test("who has learnt of an origin can tell a third, what has changed or all", () => {
  const { speaker, listener } = acquainted();
  using _ = speaker;
  const third = new Listener();
  const all: Want = { uuid: HOST, since: undefined };
  const state = listener.knowledge.state(all);
  assert.ok(state);
  third.knowledge.adopt(state);
  const { epoch, seq } = speaker.origin.stamp;
  listener.hear(speaker.put(1, Runstate.paused), speaker.remove(2));
  const since = listener.knowledge.state({ uuid: HOST, since: { epoch, seq } });
  assert.equal(since?.vms.length, 1);
  third.knowledge.adopt(since);
  third.assertKnowsAll(speaker);
  assert.equal(third.inventory.seen(HOST), undefined); // hearsay is no sign of life
});

Deno.test("whatever is lost, doubled and overtaken, one pull makes it good", () => {
  const operation = fc.record({
    vm: fc.nat(5),
    runstate: fc.constantFrom(Runstate.running, Runstate.paused, Runstate.deleted),
    copies: fc.nat(2),
    place: fc.nat(8),
  });
  fc.assert(fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
    const { speaker, listener } = acquainted();
    using _ = speaker;
    const wire: { record: StampedRecord; place: number }[] = [];
    for (const [at, { vm, runstate, copies, place }] of operations.entries()) {
      const isThere = speaker.inventory.vm(numberedUuid(vm)) !== undefined;
      if (runstate === Runstate.deleted && !isThere) continue;
      const record = runstate === Runstate.deleted ? speaker.remove(vm) : speaker.put(vm, runstate);
      for (let copy = 0; copy < copies; copy++) wire.push({ record, place: at + place + copy });
    }
    wire.sort((a, b) => a.place - b.place);
    listener.hear(...wire.map(({ record }) => record));
    listener.hear(speaker.host());
    listener.pull(speaker);
    listener.assertKnowsAll(speaker);
  }));
});
