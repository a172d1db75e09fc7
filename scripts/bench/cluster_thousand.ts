import { Budget, retransmits } from "../../lib/cluster/budget.ts";
import { Gossip } from "../../lib/cluster/gossip.ts";
import { Inventory } from "../../lib/cluster/inventory.ts";
import { LocalOrigin } from "../../lib/cluster/local_origin.ts";
import { decodeRecord, EVENT_OVERHEAD } from "../../lib/cluster/records.ts";
import { inBackground } from "../../lib/model/background.ts";
import { Runstate } from "../../lib/model/enums.ts";
import { silentLogger } from "../../lib/model/log.ts";
import { type SimAgent, SimSerf } from "../../tests/support/cluster_serf.ts";
import { prototypeTraffic } from "../../tests/support/prototype_traffic.ts";
import { seededRandom, VirtualTime } from "../../tests/support/virtual_time.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../tests/support/vm_info.ts";
import type { Bench, BenchRow } from "./row.ts";
import { percentile } from "./support/stall.ts";

const HOSTS = 1000;
const VMS = 100;
const SIZE = `${HOSTS} × ${VMS}`;
const HOUR_MIN = 60;
const MINUTE_MS = 60_000;
const CHURN_MS = 20_000;
const SETTLE_MS = 15_000;

/**
 * What a thousand hosts with 100 VMs each say, and how soon it is heard everywhere, on simulated agents in virtual time. A
 * thousand inventories of 100,000 VMs would not fit into one process, so these hosts speak as real ones do, but keep
 * nothing of what they hear; see cluster_inventory.ts for that side.
 */
const bench: Bench = async () => {
  const world = new World();
  await world.time.pass(MINUTE_MS); // what is said at the start is not carried
  world.reset();
  await world.time.pass(HOUR_MIN * MINUTE_MS);
  const rows = traffic("idle", world.said / HOUR_MIN, world.bytes / HOUR_MIN, 0);
  world.carried = true;
  for (const rate of [1, 10]) {
    world.reset();
    await world.churn(rate);
    const { said, bytes, latencies } = world;
    const minutes = CHURN_MS / MINUTE_MS;
    const name = rate === 1 ? "1 change/s" : `${rate} changes/s`;
    await world.time.pass(SETTLE_MS);
    rows.push(...traffic(name, said / minutes, bytes / minutes, rate));
    rows.push(
      { name: `${SIZE}, ${name}: heard on another host, p50`, value: percentile(latencies, 0.5), unit: "ms" },
      {
        name: `${SIZE}, ${name}: heard on another host, p99`,
        value: percentile(latencies, 0.99),
        unit: "ms",
      },
      { name: `${SIZE}, ${name}: heard by Serf alone`, value: 100 * world.share, unit: "%" },
    );
  }
  return rows;
};
export default bench;

function traffic(name: string, events: number, bytes: number, changesPerSecond: number): BenchRow[] {
  const prototype = prototypeTraffic(HOSTS, VMS, changesPerSecond);
  const beside = (what: string, value: number, unit: string, comparedValue: number): BenchRow => ({
    name: `${SIZE}, ${name}: ${what}`,
    value,
    unit,
    comparedTo: "the prototype's scheme, computed",
    comparedValue,
    ratio: value / comparedValue,
  });
  const mib = (count: number) => count / 2 ** 20;
  return [
    beside("events per minute", events, "events", prototype.events),
    beside("sent by all agents per minute", mib(bytes), "MiB", mib(prototype.bytes)),
  ];
}

/** All hosts with their agents. */
class World {
  readonly time = new VirtualTime();
  readonly random = seededRandom(1);
  readonly #serf = new SimSerf({
    time: this.time,
    random: this.random,
    network: { up: () => true, loss: 0 },
  });
  readonly #hosts: Speaker[] = [];
  /** When each change was made, by VM and time. */
  readonly #changes = new Map<string, number>();
  /** Whether agents carry what is said; else it is only counted. */
  carried = false;
  said = 0;
  /** That all agents together send for it. */
  bytes = 0;
  latencies: number[] = [];

  constructor() {
    for (let number = 0; number < HOSTS; number++) {
      this.#hosts.push(new Speaker(this, number, this.#serf.join(`virt${number}`)));
    }
    for (const host of this.#hosts) host.start();
  }

  /** How many of those who should have heard of the changes have. */
  get share(): number {
    return this.latencies.length / (this.#changes.size * (HOSTS - 1));
  }

  reset(): void {
    this.said = this.bytes = 0;
    this.latencies = [];
    this.#changes.clear();
  }

  async churn(changesPerSecond: number): Promise<void> {
    const end = this.time.now() + CHURN_MS;
    while (this.time.now() < end) {
      await this.time.pass(2 * this.random() * 1000 / changesPerSecond);
      const host = this.#hosts[Math.floor(this.random() * HOSTS)];
      if (host) this.#changes.set(host.change(), this.time.now());
    }
  }

  say(agent: SimAgent, name: string, payload: Uint8Array): void {
    this.said++;
    this.bytes += (payload.length + EVENT_OVERHEAD) * HOSTS * retransmits(HOSTS);
    if (this.carried) inBackground(agent.userEvent(name, payload));
  }

  heard(change: string): void {
    const at = this.#changes.get(change);
    if (at !== undefined) this.latencies.push(this.time.now() - at);
  }
}

/** A host that speaks and does not remember. */
class Speaker {
  readonly #world: World;
  readonly #number: number;
  readonly #uuid: string;
  readonly #agent: SimAgent;
  readonly #inventory = new Inventory();
  readonly #budget: Budget;
  readonly #gossip: Gossip;

  constructor(world: World, number: number, agent: SimAgent) {
    const { time: timers, random } = world;
    const inventory = this.#inventory;
    this.#world = world;
    this.#number = number;
    this.#uuid = numberedUuid(1_000_000 + number);
    this.#agent = agent;
    inventory.putHost(hostEntry({ uuid: this.#uuid, def: { ...hostEntry().def, name: `virt${number}` } }));
    for (let vm = 0; vm < VMS; vm++) this.#put(vm, Runstate.running);
    const members = () => HOSTS;
    const origin = new LocalOrigin({
      inventory,
      self: this.#uuid,
      epoch: 1,
      onPending: () => this.#gossip.vmChanged(),
    });
    this.#budget = new Budget({ timers, members });
    this.#gossip = new Gossip({
      inventory,
      origin,
      budget: this.#budget,
      clock: () => timers.now(),
      timers,
      random,
      log: silentLogger,
      members,
      say: (name, payload) => world.say(agent, name, payload),
    });
  }

  start(): void {
    this.#gossip.start();
    inBackground(this.#listen());
  }

  /** Changes some VM; the change, as others will hear of it. */
  change(): string {
    const vm = Math.floor(this.#world.random() * VMS);
    const { uuid, runstate, ts } = this.#put(vm, this.#runstateOf(vm));
    return [uuid, runstate, ts].join();
  }

  async #listen(): Promise<void> {
    for await (const event of this.#agent.events) {
      if (event.kind !== "user") continue;
      const record = decodeRecord(event.name, event.payload);
      if (record?.kind !== "event" || record.event.host === this.#uuid) continue;
      this.#budget.heard(record.event.host);
      const { uuid, runstate, ts } = record.event;
      this.#world.heard([uuid, runstate, ts].join());
    }
  }

  #runstateOf(vm: number): Runstate {
    const before = this.#inventory.vm(this.#uuidOf(vm))?.runstate;
    return before === Runstate.running ? Runstate.paused : Runstate.running;
  }

  #put(vm: number, runstate: Runstate) {
    const info = vmInfo({
      uuid: this.#uuidOf(vm),
      name: `virt${this.#number}-vm${vm}`,
      host: this.#uuid,
      runstate,
      ts: Math.round(this.#world.time.now()) + 1,
    });
    this.#inventory.putVm(info);
    return info;
  }

  #uuidOf(vm: number): string {
    return numberedUuid(this.#number * VMS + vm);
  }
}
