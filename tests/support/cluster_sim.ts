import assert from "node:assert/strict";
import { Cluster } from "../../lib/cluster/cluster.ts";
import { parseStates, parseVector, parseWants } from "../../lib/cluster/exchange.ts";
import { Inventory } from "../../lib/cluster/inventory.ts";
import type { Peer, PeerPort } from "../../lib/cluster/ports.ts";
import { inBackground } from "../../lib/model/background.ts";
import { HostState, Runstate } from "../../lib/model/enums.ts";
import { VirtxError } from "../../lib/model/error.ts";
import { Health } from "../../lib/model/health.ts";
import { type Logger, silentLogger } from "../../lib/model/log.ts";
import type { VmInfo } from "../../lib/model/vm.ts";
import { type SimAgent, type SimNetwork, SimSerf } from "./cluster_serf.ts";
import { seededRandom, VirtualTime } from "./virtual_time.ts";
import { hostEntry, numberedUuid, vmInfo } from "./vm_info.ts";

/** When virtual time begins, for clocks. */
const BEGINNING = Date.UTC(2026, 0, 1);
const HTTP_MS = 3;
const HTTP_TIMEOUT_MS = 3000;

/** How large the simulated cluster is, and what it suffers. */
export interface SimOptions {
  readonly hosts: number;
  readonly vmsPerHost: number;
  readonly seed?: number;
  /** Sends what is exchanged through JSON and its validation; off where only speed counts. */
  readonly wire?: boolean;
  readonly log?: Logger;
}

/** Many hosts in one process: real Clusters and Inventories on simulated Serf agents, network and time. */
export class ClusterSim implements Disposable {
  readonly time = new VirtualTime();
  readonly hosts: SimHost[] = [];
  readonly serf: SimSerf;
  readonly random: () => number;
  readonly options: SimOptions;
  /** What was asked over HTTP, and how many VMs were in the answers. */
  readonly http = { vectors: 0, states: 0, vms: 0, probes: 0 };
  /** Hosts of the prototype that answer, by UUID. */
  readonly prototypes = new Set<string>();
  readonly network: SimNetwork & { up: (from: number, to: number) => boolean };

  constructor(options: SimOptions) {
    this.options = options;
    this.random = seededRandom(options.seed ?? 1);
    this.network = { up: () => true, loss: 0 };
    this.serf = new SimSerf({ time: this.time, random: this.random, network: this.network });
    for (let number = 0; number < options.hosts; number++) this.add();
  }

  /** Starts all hosts, and waits until all know all. */
  async start(): Promise<void> {
    for (const host of this.hosts) host.start();
    const ms = await this.time.until(() => this.agrees(), 60_000, 500);
    assert.notEqual(ms, undefined, "the cluster does not come together");
  }

  /** Another host, which is not started. */
  add(): SimHost {
    const host = new SimHost(this, this.hosts.length);
    this.hosts.push(host);
    return host;
  }

  /** Packets go within each group only; hosts that are in none are alone. */
  partition(...groups: readonly (readonly SimHost[])[]): void {
    const groupOf = new Map(groups.flatMap((group, at) => group.map((host) => [host.number, at] as const)));
    this.network.up = (from, to) =>
      from === to || (groupOf.has(from) && groupOf.get(from) === groupOf.get(to));
    this.serf.networkChanged();
  }

  /** Nothing goes from one to the other; the other way all does. */
  blockOneWay(from: SimHost, to: SimHost): void {
    this.network.up = (a, b) => !(a === from.number && b === to.number);
    this.serf.networkChanged();
  }

  heal(): void {
    this.network.up = () => true;
    this.serf.networkChanged();
  }

  /** Whether all hosts that run show exactly what all that run have. */
  agrees(hosts: readonly SimHost[] = this.hosts.filter((host) => host.running)): boolean {
    return this.disagreement(hosts) === undefined;
  }

  /** What is wrong with what a host shows, if anything is. */
  disagreement(hosts: readonly SimHost[] = this.hosts.filter((host) => host.running)): string | undefined {
    for (const observer of hosts) {
      for (const subject of hosts) {
        const where = `${observer.name} of ${subject.name}`;
        const entry = observer.inventory.host(subject.uuid);
        if (entry?.cstate !== HostState.active) return `${where}: cstate ${entry?.cstate}`;
        if (entry.conditions) return `${where}: ${JSON.stringify(entry.conditions)}`;
        const claims = observer.inventory.claimsOf(subject.uuid);
        if (claims.size !== subject.vms.size) return `${where}: ${claims.size} VMs`;
        for (const vm of subject.vms.values()) {
          const claim = claims.get(vm.uuid);
          if (
            !claim || claim.runstate !== vm.runstate || claim.ts !== vm.ts || claim.name !== vm.name
          ) return `${where}: ${vm.name} is ${JSON.stringify(claim)}`;
        }
      }
    }
    return undefined;
  }

  /** What is shown of each VM, as text, to compare hosts. */
  shownBy(host: SimHost): string {
    return Array.from(host.inventory.vms(), (vm) => JSON.stringify(vm)).sort().join("\n");
  }

  [Symbol.dispose](): void {
    for (const host of this.hosts) host.stop();
  }
}

/** A host of the simulation. What it has is `vms`; what it knows is its inventory. */
export class SimHost {
  readonly number: number;
  readonly name: string;
  readonly uuid: string;
  readonly agent: SimAgent;
  readonly vms = new Map<string, VmInfo>();
  readonly #sim: ClusterSim;
  inventory = new Inventory();
  readonly health = new Health();
  cluster: Cluster | undefined;
  /** How wrong its clock is. */
  skewMs = 0;
  #epoch = 0;
  #vmNumber = 0;
  #sampling: Disposable | undefined;

  constructor(sim: ClusterSim, number: number) {
    this.#sim = sim;
    this.number = number;
    this.name = `virt${number + 1}`;
    this.uuid = numberedUuid(1_000_000 + number);
    this.agent = sim.serf.join(this.name);
    for (let vm = 0; vm < sim.options.vmsPerHost; vm++) this.#define(Runstate.running);
  }

  get running(): boolean {
    return this.cluster !== undefined;
  }

  /** What its clock shows. */
  clock(): number {
    return BEGINNING + Math.round(this.#sim.time.now()) + this.skewMs;
  }

  /** Its daemon starts, with nothing but what libvirt has. */
  start(): void {
    inBackground(this.startAs(this.uuid));
  }

  /** Likewise, as a host with some UUID, in a cluster or alone. */
  startAs(self: string, { alone = false } = {}): Promise<void> {
    const { time, random, options } = this.#sim;
    this.inventory = new Inventory();
    this.#sample();
    this.inventory.replaceVmsOf(this.uuid, [...this.vms.values()]);
    this.#epoch = Math.max(this.clock(), this.#epoch + 1);
    this.cluster = new Cluster({
      serf: alone ? undefined : this.agent,
      peers: this.#peerPort(),
      inventory: this.inventory,
      self,
      apiPort: 8080,
      epoch: this.#epoch,
      onEpoch: (epoch) => this.#epoch = epoch,
      clock: () => this.clock(),
      timers: time,
      random,
      log: options.log ?? silentLogger,
      health: this.health,
    });
    if (!alone) this.agent.reconnect();
    time.settle();
    return this.cluster.start();
  }

  /** Its daemon ends, without a word. */
  stop(): void {
    this.cluster?.[Symbol.dispose]();
    this.cluster = undefined;
    this.#sampling?.[Symbol.dispose]();
  }

  restart(): void {
    this.stop();
    this.start();
  }

  /** Its daemon forgets the epoch that it had, as a reinstalled host does. */
  forgetEpoch(): void {
    this.#epoch = 0;
  }

  /** A new VM, or another state of one of its own, as its monitor would hear of it. */
  put(vm: Partial<VmInfo> = {}): VmInfo {
    const before = vm.uuid === undefined ? this.#define(Runstate.poweroff) : this.vms.get(vm.uuid);
    const info = { ...(before ?? vmInfo({ host: this.uuid })), ts: this.clock(), ...vm };
    this.vms.set(info.uuid, info);
    if (this.cluster) this.inventory.putVm(info);
    return info;
  }

  remove(uuid: string): void {
    this.vms.delete(uuid);
    if (this.cluster) this.inventory.removeVm(uuid, Infinity, this.uuid);
  }

  /** Some change of some VM. */
  changeSomething(): VmInfo {
    const vms = [...this.vms.values()];
    const vm = vms[Math.floor(this.#sim.random() * vms.length)];
    if (!vm) return this.put();
    const runstate = vm.runstate === Runstate.running ? Runstate.paused : Runstate.running;
    return this.put({ uuid: vm.uuid, runstate });
  }

  #define(runstate: Runstate): VmInfo {
    const number = this.#vmNumber++;
    const uuid = numberedUuid(this.number * 100_000 + number);
    const info = vmInfo({
      uuid,
      name: `${this.name}-vm${number}`,
      host: this.uuid,
      runstate,
      ts: BEGINNING,
      custom: number % 2 ? [] : [{ name: "owner", value: "somebody" }],
    });
    this.vms.set(uuid, info);
    return info;
  }

  /** The host's figures, again and again, as its monitor takes them. */
  #sample(): void {
    const { time, random } = this.#sim;
    const { def, resources } = hostEntry();
    const available = 100_000 + Math.floor(random() * 2000);
    const memory = { ...resources.memory, total: 256_000, availablevms: available };
    this.inventory.putHost(hostEntry({
      uuid: this.uuid,
      def: { ...def, name: this.name },
      resources: { ...resources, memory },
      ts: this.clock(),
    }));
    this.#sampling = time.after(10_000, () => this.#sample());
  }

  #peerPort(): PeerPort {
    const { http, options, prototypes } = this.#sim;
    const wire = <T>(parse: (value: unknown) => T, value: T): T =>
      options.wire ? parse(JSON.parse(JSON.stringify(value))) : value;
    return {
      vector: (peer, known, signal) =>
        this.#ask(peer, signal, (cluster) => {
          http.vectors++;
          const vector = cluster.vector(known);
          return vector && wire(parseVector, vector);
        }),
      states: (peer, wants, signal) =>
        this.#ask(peer, signal, (cluster) => {
          const states = wire(parseStates, cluster.states(wire(parseWants, wants)));
          http.states++;
          for (const { vms } of states) http.vms += vms.length;
          return states;
        }),
      probe: (peer, signal) => {
        http.probes++;
        return prototypes.has(peer.uuid) ? Promise.resolve() : this.#ask(peer, signal, () => {});
      },
    };
  }

  /** A request takes both directions, and is lost as a whole if the network is so bad that TCP gives up. */
  #ask<T>(peer: Peer, signal: AbortSignal, answer: (cluster: Cluster) => T): Promise<T> {
    const { network, time, hosts, random } = this.#sim;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = () => {
      reject(new VirtxError("unreachable", `${peer.name} does not answer`));
      time.settle();
    };
    time.after(HTTP_MS * (0.5 + random()), () => {
      const host = hosts.find(({ uuid }) => uuid === peer.uuid);
      const up = host && network.up(this.number, host.number) && network.up(host.number, this.number);
      if (signal.aborted) return fail();
      if (!up || random() < network.loss ** 3) return void time.after(HTTP_TIMEOUT_MS, fail);
      if (!host.cluster) return fail();
      resolve(answer(host.cluster));
      time.settle();
    });
    return promise;
  }
}
