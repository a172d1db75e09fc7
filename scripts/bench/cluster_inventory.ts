import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Archive } from "../../lib/cluster/archive.ts";
import { type OriginState, parseVector } from "../../lib/cluster/exchange.ts";
import { Inventory } from "../../lib/cluster/inventory.ts";
import { Knowledge } from "../../lib/cluster/knowledge.ts";
import { LocalOrigin } from "../../lib/cluster/local_origin.ts";
import { decodeRecord, encodeVmEvent, RECORD_NAMES } from "../../lib/cluster/records.ts";
import { searchVms, type VmQuery } from "../../lib/cluster/search.ts";
import { systemTimers } from "../../lib/cluster/timers.ts";
import { HostState, Runstate } from "../../lib/model/enums.ts";
import { silentLogger } from "../../lib/model/log.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../tests/support/vm_info.ts";
import { atMost, type Bench, type BenchRow } from "./row.ts";
import { percentile, StallWatch } from "./support/stall.ts";

const HOSTS = 1000;
const VMS = 100;
const TOTAL = HOSTS * VMS;
const RECORDS_PER_SECOND = 1000;
const SECONDS = 4;
const SEARCHES = 100;
const LARGE_HOSTS = 9;
const BEGINNING = Date.UTC(2026, 0, 1);

/** One host's knowledge of a large cluster, in real time: memory, search, and what the main thread is kept from. */
const bench: Bench = async () => {
  const before = heapBytes();
  const world = new World();
  const bytes = (heapBytes() - before) / TOTAL;
  return [
    { name: `inventory of ${HOSTS} × ${VMS}: memory per VM`, value: bytes, unit: "B" },
    ...searches(world.inventory),
    ...await records(world),
    ...whole(world),
    ...notes(world),
  ];
};
export default bench;

/** An inventory that has learnt of all hosts from their own states. */
class World {
  readonly inventory = new Inventory();
  readonly knowledge: Knowledge;

  constructor() {
    const { inventory } = this;
    this.knowledge = new Knowledge({
      inventory,
      clock: Date.now,
      timers: systemTimers,
      log: silentLogger,
      onLack: (uuid) => {
        throw new Error(`something is missing of ${uuid}`);
      },
    });
    for (let host = 0; host < HOSTS; host++) {
      using speaker = new Speaker(host, VMS);
      this.knowledge.adopt(speaker.state());
    }
  }
}

/** A host that speaks of itself. */
class Speaker implements Disposable {
  readonly origin: LocalOrigin;
  readonly #inventory = new Inventory();
  readonly #first: number;

  constructor(host: number, vms: number) {
    const self = numberedUuid(1_000_000 + host);
    this.#first = host * 10_000;
    this.#inventory.putHost(hostEntry({ uuid: self, def: { ...hostEntry().def, name: `virt${host}` } }));
    for (let vm = 0; vm < vms; vm++) {
      this.#inventory.putVm(vmInfo({
        uuid: numberedUuid(this.#first + vm),
        name: `virt${host}-vm${vm}`,
        host: self,
        runstate: vm % 3 ? Runstate.running : Runstate.poweroff,
        vlanid: vm % 50,
        custom: vm % 2 ? [] : [{ name: "owner", value: `user${vm % 7}` }],
        ts: BEGINNING + vm,
      }));
    }
    this.origin = new LocalOrigin({ inventory: this.#inventory, self, epoch: 1, onPending: () => {} });
  }

  /** All that it has; as read from JSON, so that no text is shared. */
  state(): OriginState {
    const state = this.origin.state({ uuid: this.origin.uuid, since: undefined });
    return JSON.parse(JSON.stringify(state));
  }

  /** The event that pauses one of its VMs. */
  pause(vm: number): Uint8Array {
    const before = this.#inventory.vm(numberedUuid(this.#first + vm));
    if (!before) throw new Error("there is no such VM");
    this.#inventory.putVm({ ...before, runstate: Runstate.paused, ts: before.ts + 1000 });
    const after = this.origin.publish(before.uuid)?.after;
    const payload = after && encodeVmEvent(after, this.origin.stamp);
    if (!payload) throw new Error("it does not fit");
    return payload;
  }

  [Symbol.dispose](): void {
    this.origin[Symbol.dispose]();
  }
}

function searches(inventory: Inventory): BenchRow[] {
  const queries: Record<string, VmQuery> = {
    "all, by name": {},
    "all, newest first": { sort: "-ts" },
    "part of the name": { name: "9-vm1" },
    "run state and VLAN": { runstate: Runstate.running, vlanid: 7 },
    "custom field": { custom: { name: "owner", value: "user3" }, sort: "-name" },
    "a host's": { host: numberedUuid(1_000_500) },
  };
  return Object.entries(queries).map(([name, query]) => {
    const times = Array.from({ length: SEARCHES }, () => {
      const began = performance.now();
      searchVms(inventory, { ...query, limit: 100 });
      return performance.now() - began;
    });
    return atMost(`search of ${TOTAL} VMs, page of 100, p99: ${name}`, percentile(times, 0.99), "ms", 20);
  });
}

/** Records of all hosts in turn, a handful every few milliseconds. */
async function records({ knowledge, inventory }: World): Promise<BenchRow[]> {
  const speakers = Array.from({ length: HOSTS }, (_, host) => new Speaker(host, VMS));
  const said: Uint8Array[] = [];
  for (let vm = 0; vm < RECORDS_PER_SECOND * SECONDS / HOSTS; vm++) {
    for (const speaker of speakers) said.push(speaker.pause(vm));
  }
  using stalls = new StallWatch();
  const times: number[] = [];
  const began = performance.now();
  while (times.length < said.length) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    const due = (performance.now() - began) / 1000 * RECORDS_PER_SECOND;
    for (const payload of said.slice(times.length, due)) {
      const start = performance.now();
      const record = decodeRecord(RECORD_NAMES.event, payload);
      if (!record?.origin || record.kind !== "event") throw new Error("this is no event");
      knowledge.hear(record.event.host, { ...record, origin: record.origin });
      times.push(performance.now() - start);
    }
  }
  const paused = [...inventory.vms()].filter(({ runstate }) => runstate === Runstate.paused).length;
  if (paused !== said.length) throw new Error(`${paused} of ${said.length} records were applied`);
  return [
    atMost(`${RECORDS_PER_SECOND} records/s: main-thread stall`, stalls.takeLongest().ownMs, "ms", 20),
    { name: "a record, decoded and applied, p50", value: percentile(times, 0.5) * 1000, unit: "µs" },
    { name: "a record, decoded and applied, p99", value: percentile(times, 0.99) * 1000, unit: "µs" },
  ];
}

/** What concerns a host with 1,000 VMs as a whole; the median of several such hosts. */
function whole({ knowledge, inventory }: World): BenchRow[] {
  const adopted: number[] = [];
  const failed: number[] = [];
  const back: number[] = [];
  for (let host = 0; host < LARGE_HOSTS; host++) {
    using speaker = new Speaker(HOSTS + host, 1000);
    const { uuid } = speaker.origin;
    const state = speaker.state();
    adopted.push(timed(() => knowledge.adopt(state)));
    failed.push(timed(() => inventory.setHostState(uuid, HostState.failed)));
    back.push(timed(() => inventory.setHostState(uuid, HostState.active)));
  }
  return [
    atMost("a host of 1,000 VMs is pulled: taken over in", percentile(adopted, 0.5), "ms", 20),
    atMost("a host of 1,000 VMs fails: shown in", percentile(failed, 0.5), "ms", 20),
    atMost("a host of 1,000 VMs is back: shown in", percentile(back, 0.5), "ms", 20),
  ];
}

/** What two hosts send each other when they compare notes, and what that takes. */
function notes({ knowledge, inventory }: World): BenchRow[] {
  const self = numberedUuid(2_000_000);
  using origin = new LocalOrigin({ inventory, self, epoch: 1, onPending: () => {} });
  const archive = new Archive(origin, knowledge);
  let text = "";
  const took = timed(() => {
    text = JSON.stringify(archive.vector());
    for (const entry of parseVector(JSON.parse(text)).origins) {
      if (entry.uuid !== self) knowledge.learn(entry.uuid, entry);
    }
  });
  const what = `notes of ${HOSTS} hosts compared, where they differ`;
  return [
    { name: `${what}: answer`, value: text.length / 1024, unit: "KiB" },
    atMost(`${what}: both sides`, took, "ms", 20),
  ];
}

function timed(task: () => void): number {
  const began = performance.now();
  task();
  return performance.now() - began;
}

/** What is in use after a collection of garbage, which V8 offers only when told to. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collectGarbage: () => void = runInNewContext("gc");
  collectGarbage();
  return Deno.memoryUsage().heapUsed;
}
