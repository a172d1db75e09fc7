import { PACKET_BYTES, retransmits } from "../../lib/cluster/budget.ts";
import type { Member, SerfEvent, SerfPort } from "../../lib/cluster/ports.ts";
import { EVENT_OVERHEAD, RECORD_LIMIT } from "../../lib/cluster/records.ts";
import { VirtxError } from "../../lib/model/error.ts";
import { Queue } from "../../lib/model/queue.ts";
import type { VirtualTime } from "./virtual_time.ts";

/**
 * Serf as far as it matters to the cluster (hashicorp/serf and hashicorp/memberlist, their defaults for a LAN): every 200 ms an
 * agent sends three others a packet with those events that it has sent least often, until it has sent each a few times;
 * queues are cut, old events are not delivered, and every now and then two agents exchange their recent events. Who is
 * alive is not found by probes but by looking at the network, after as long as that takes Serf.
 */

const GOSSIP_MS = 200;
const GOSSIP_NODES = 3;
const COMPOUND_BYTES = 2;
const DELAY_MS = 1;
const QUEUE_MAX = 4096;
const QUEUE_CHECK_MS = 30_000;
const EVENT_BUFFER = 512;
/** What an agent keeps for a client that does not read. */
const STREAM_MAX = 512;
const PUSH_PULL_MS = 30_000;
const PUSH_PULL_NODES = 32;
/** Until a member that cannot be reached is failed: probes, and the time to object. */
const SUSPICION_MS = 5000;
/** Until one that was failed and can be reached is met again; each agent tries one every 30 s. */
const RECONNECT_MS = 30_000;

interface UserEvent {
  readonly id: number;
  readonly name: string;
  readonly payload: Uint8Array;
  readonly lTime: number;
  readonly bytes: number;
}

interface Broadcast {
  readonly event: UserEvent;
  readonly order: number;
}

/** The links between agents, by the agents' numbers. */
export interface SimNetwork {
  /** Whether packets go from one to the other at all. */
  up(from: number, to: number): boolean;
  /** The share of packets that is lost. */
  loss: number;
}

/** What was sent, of all agents together. */
export interface SerfTraffic {
  events: number;
  packets: number;
  bytes: number;
}

/** All agents of a cluster. */
export class SimSerf {
  readonly agents: SimAgent[] = [];
  readonly traffic: SerfTraffic = { events: 0, packets: 0, bytes: 0 };
  readonly time: VirtualTime;
  readonly random: () => number;
  readonly network: SimNetwork;
  #events = 0;

  constructor(o: { time: VirtualTime; random: () => number; network: SimNetwork }) {
    this.time = o.time;
    this.random = o.random;
    this.network = o.network;
  }

  nextEvent(): number {
    return this.#events++;
  }

  /** Another agent, which all others know at once. */
  join(name: string, tags: Readonly<Record<string, string>> = {}): SimAgent {
    const agent = new SimAgent(this, this.agents.length, name, tags);
    this.agents.push(agent);
    for (const other of this.agents) {
      agent.see(other.number, "alive");
      if (other !== agent) other.see(agent.number, "alive");
    }
    return agent;
  }

  /** Has all agents find out what the network has become. */
  networkChanged(): void {
    const reconnectMs = this.random() * 2 * RECONNECT_MS / this.agents.length;
    for (const observer of this.agents) {
      for (const subject of this.agents) {
        const reachable = subject.running && this.#reachable(observer.number, subject.number);
        const status = observer.statusOf(subject.number);
        if (reachable && status === "failed") this.#tell(observer, subject.number, "alive", reconnectMs);
        if (!reachable && status === "alive") this.#tell(observer, subject.number, "failed", SUSPICION_MS);
      }
    }
  }

  /** Has all others hear what became of an agent. */
  announce(subject: SimAgent, status: Member["status"] | undefined, ms: number): void {
    for (const observer of this.agents) {
      if (observer !== subject) this.#tell(observer, subject.number, status, ms);
    }
  }

  /** Straight, or through another agent. */
  #reachable(a: number, b: number): boolean {
    const { up } = this.network;
    if (a === b || (up(a, b) && up(b, a))) return true;
    return this.agents.some(({ number: via, running }) =>
      running && up(a, via) && up(via, a) && up(b, via) && up(via, b)
    );
  }

  /** News of members takes about a second to spread, and an agent keeps it for one to three more to put it together. */
  #tell(observer: SimAgent, subject: number, status: Member["status"] | undefined, ms: number): void {
    this.time.after(ms + 1000 + this.random() * 2000, () => {
      const wrong = status === "failed" && this.agents[subject]?.running &&
        this.#reachable(observer.number, subject);
      if (!wrong) observer.see(subject, status);
    });
  }
}

/** One agent, for one daemon. */
export class SimAgent implements SerfPort {
  readonly number: number;
  readonly name: string;
  readonly #serf: SimSerf;
  #tags: ReadonlyMap<string, string>;
  #stream = new Queue<SerfEvent>();
  /** Whether there is a client. */
  #streamed = false;
  readonly #members: (Member["status"] | undefined)[] = [];
  #alive = 0;
  /** Events that are still to be sent, by how often they were. */
  readonly #queue: Broadcast[][] = [];
  #queued = 0;
  #ticking = false;
  #lTime = 1;
  readonly #recent: (UserEvent[] | undefined)[] = new Array(EVENT_BUFFER);
  #running = true;
  #connected = true;
  /** Events for a client that does not read; undefined: it does. */
  #unread: SerfEvent[] | undefined;

  constructor(serf: SimSerf, number: number, name: string, tags: Readonly<Record<string, string>>) {
    this.#serf = serf;
    this.number = number;
    this.name = name;
    this.#tags = new Map(Object.entries(tags));
    this.#planPushPull();
    this.#planQueueCheck();
  }

  get running(): boolean {
    return this.#running;
  }

  /** The agent dies, or comes back; its daemon notices. */
  set running(running: boolean) {
    this.#running = this.#connected = running;
    this.#queue.length = this.#queued = 0;
    this.#push(running ? { kind: "connected" } : { kind: "disconnected", reason: "it was killed" });
    this.#serf.networkChanged();
  }

  get connected(): boolean {
    return this.#connected;
  }

  get events(): AsyncIterable<SerfEvent> {
    this.#streamed = true;
    return this.#stream;
  }

  get member(): Member {
    return this.#memberOf(this, this.#running ? "alive" : "failed");
  }

  statusOf(subject: number): Member["status"] | undefined {
    return this.#members[subject];
  }

  members(): Promise<readonly Member[]> {
    const members = this.#serf.agents.flatMap((agent) => {
      const status = this.#members[agent.number];
      return status ? [this.#memberOf(agent, status)] : [];
    });
    return Promise.resolve(members);
  }

  self(): Promise<Member> {
    return Promise.resolve(this.member);
  }

  setTags(tags: Readonly<Record<string, string>>, remove: readonly string[] = []): Promise<void> {
    const kept = [...this.#tags].filter(([name]) => !remove.includes(name));
    this.#tags = new Map([...kept, ...Object.entries(tags)]);
    this.#serf.announce(this, "alive", 0);
    return Promise.resolve();
  }

  userEvent(name: string, payload: Uint8Array): Promise<void> {
    if (!this.#connected) return Promise.reject(new VirtxError("unavailable", "the agent is away"));
    if (payload.length > RECORD_LIMIT) return Promise.reject(new VirtxError("invalid", "too long"));
    const bytes = payload.length + EVENT_OVERHEAD + COMPOUND_BYTES;
    this.#serf.traffic.events++;
    this.#receive({ id: this.#serf.nextEvent(), name, payload, lTime: this.#lTime, bytes });
    return Promise.resolve();
  }

  /** A new daemon takes the place of the one before. */
  reconnect(): void {
    this.#stream.close();
    this.#stream = new Queue();
    this.#streamed = false;
    this.#unread = undefined;
    this.#connected = true;
  }

  /** The daemon does not read, as if stopped by a signal, or reads again. */
  set reading(reading: boolean) {
    const unread = this.#unread;
    this.#unread = reading ? undefined : [];
    if (reading) { for (const event of unread ?? []) this.#push(event); }
  }

  /** A member is otherwise than before; undefined: it is forgotten. */
  see(subject: number, status: Member["status"] | undefined): void {
    const before = this.#members[subject];
    const agent = this.#serf.agents[subject];
    this.#members[subject] = status;
    this.#alive += Number(status === "alive") - Number(before === "alive");
    if (!agent || !this.#running || !this.#streamed) return;
    const members = [this.#memberOf(agent, status ?? before ?? "none")];
    if (status === undefined) this.#push({ kind: "members", change: "reap", members });
    else if (status !== "alive") {
      this.#push({ kind: "members", change: status === "left" ? "leave" : "failed", members });
    } else this.#push({ kind: "members", change: before === "alive" ? "update" : "join", members });
  }

  #memberOf(agent: SimAgent, status: Member["status"]): Member {
    const { number, name } = agent;
    return { name, address: `10.0.${number >> 8}.${number & 255}`, port: 7946, status, tags: agent.#tags };
  }

  #push(event: SerfEvent): void {
    if (!this.#streamed) return;
    if (this.#unread) {
      if (this.#unread.length < STREAM_MAX) this.#unread.push(event);
      return;
    }
    this.#stream.push(event);
    this.#serf.time.settle();
  }

  /** Takes an event: delivers it and, unless it came in bulk, sends it on. */
  #receive(event: UserEvent, sendOn = true): void {
    if (!this.#running) return;
    this.#lTime = Math.max(this.#lTime, event.lTime + 1);
    if (event.lTime < this.#lTime - EVENT_BUFFER) return;
    const slot = this.#recent[event.lTime % EVENT_BUFFER];
    if (slot?.[0]?.lTime === event.lTime) {
      if (slot.some(({ id }) => id === event.id)) return;
      slot.push(event);
    } else this.#recent[event.lTime % EVENT_BUFFER] = [event];
    this.#push({ kind: "user", name: event.name, payload: event.payload, lTime: event.lTime });
    if (!sendOn) return;
    this.#enqueue({ event, order: this.#serf.nextEvent() }, 0);
    this.#tickSoon();
  }

  #enqueue(broadcast: Broadcast, sent: number): void {
    const tier = this.#queue[sent] ??= [];
    // The longest first, of those the newest.
    let at = tier.length;
    while (at > 0) {
      const before = tier[at - 1] as Broadcast;
      if (
        before.event.bytes > broadcast.event.bytes ||
        (before.event.bytes === broadcast.event.bytes && before.order > broadcast.order)
      ) break;
      at--;
    }
    tier.splice(at, 0, broadcast);
    this.#queued++;
  }

  #tickSoon(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    this.#serf.time.after(GOSSIP_MS * (this.#queued === 1 ? this.#serf.random() : 1), () => {
      this.#ticking = false;
      this.#tick();
      if (this.#queued > 0) this.#tickSoon();
    });
  }

  #tick(): void {
    const { agents, network, random, time, traffic } = this.#serf;
    if (!this.#running) return;
    for (const target of this.#someAlive(GOSSIP_NODES)) {
      const events = this.#packet();
      if (events.length === 0) return;
      traffic.packets++;
      for (const { bytes } of events) traffic.bytes += bytes;
      if (!network.up(this.number, target) || random() < network.loss) continue;
      time.after(DELAY_MS, () => {
        const agent = agents[target];
        if (agent) { for (const event of events) agent.#receive(event); }
      });
    }
  }

  /** What fits into a packet: what was sent least often first. */
  #packet(): UserEvent[] {
    const limit = retransmits(this.#alive);
    const events: UserEvent[] = [];
    const again: { broadcast: Broadcast; sent: number }[] = [];
    let room = PACKET_BYTES;
    for (const [sent, tier] of this.#queue.entries()) {
      if (!tier) continue;
      const rest: Broadcast[] = [];
      for (const broadcast of tier) {
        if (broadcast.event.bytes > room) {
          rest.push(broadcast);
          continue;
        }
        room -= broadcast.event.bytes;
        events.push(broadcast.event);
        this.#queued--;
        if (sent + 1 < limit) again.push({ broadcast, sent: sent + 1 });
      }
      this.#queue[sent] = rest;
    }
    for (const { broadcast, sent } of again) this.#enqueue(broadcast, sent);
    return events;
  }

  #someAlive(count: number): Set<number> {
    const { agents, random } = this.#serf;
    const some = new Set<number>();
    for (let tries = 0; tries < 3 * count * 3 && some.size < count; tries++) {
      const number = Math.floor(random() * agents.length);
      if (number !== this.number && this.#members[number] === "alive") some.add(number);
    }
    return some;
  }

  #planQueueCheck(): void {
    this.#serf.time.after(QUEUE_CHECK_MS, () => {
      while (this.#queued > QUEUE_MAX) {
        this.#queue.findLast((tier) => tier && tier.length > 0)?.pop();
        this.#queued--;
      }
      this.#planQueueCheck();
    });
  }

  #planPushPull(): void {
    const { time, random, agents, network } = this.#serf;
    const factor = Math.max(1, Math.ceil(Math.log2(agents.length / PUSH_PULL_NODES)) + 1);
    time.after(PUSH_PULL_MS * factor * (0.5 + random()), () => {
      this.#planPushPull();
      const [target] = this.#someAlive(1);
      const other = target === undefined ? undefined : agents[target];
      if (!other || !this.#running || !other.running) return;
      if (!network.up(this.number, other.number) || !network.up(other.number, this.number)) return;
      const [mine, theirs] = [this.#recent.flat(), other.#recent.flat()];
      for (const event of theirs) if (event) this.#receive(event, false);
      for (const event of mine) if (event) other.#receive(event, false);
    });
  }
}
