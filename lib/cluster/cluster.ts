import { inBackground } from "../model/background.ts";
import type { Clock } from "../model/clock.ts";
import { logFailure, unlessDefect } from "../model/defect.ts";
import { enumName, HostState } from "../model/enums.ts";
import { errorMessage } from "../model/error.ts";
import type { HostCondition, HostFault } from "../model/host_condition.ts";
import { type Complaint, Complaints } from "../model/complaints.ts";
import { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import type { ToldStorage } from "../model/told_storage.ts";
import { Archive } from "./archive.ts";
import { Budget } from "./budget.ts";
import { Conditions } from "./conditions.ts";
import type { OriginState, Vector, Want } from "./exchange.ts";
import type { HostReport } from "./host_report.ts";
import { Gossip } from "./gossip.ts";
import type { Inventory } from "./inventory.ts";
import { Knowledge } from "./knowledge.ts";
import { LocalOrigin } from "./local_origin.ts";
import {
  type HostMember,
  type MemberChange,
  Members,
  ownTags,
  requireUnique,
  TAGS,
  toldStorages,
} from "./members.ts";
import type { Peer, PeerPort, SerfEvent, SerfPort } from "./ports.ts";
import { Notices } from "./notices.ts";
import { Prototypes } from "./prototypes.ts";
import { Pulls } from "./pulls.ts";
import { Questions } from "./questions.ts";
import { claimedSpeaker, decodeRecord, type GossipRecord, speakerOf, type VmEvent } from "./records.ts";
import { Repair } from "./repair.ts";
import { Repetition } from "./repetition.ts";
import { isBelievable } from "./stamp.ts";
import { StorageComparison } from "./storage_comparison.ts";
import type { Random, Timers } from "./timers.ts";
import { Watch, type WatchedHost } from "./watch.ts";

/** The agent drops news when its queue is full, so its list of members is read again this often. */
const RECONCILE_MS = 60_000;

/** What cannot be told apart from what a later version says. */
const SENDS_NONSENSE = { does: "sends records that cannot be understood", hint: "is it of another version?" };
const ANSWERS_NONSENSE = {
  does: "gives answers that cannot be understood",
  hint: "is it of another version?",
};

const CONTRADICTS = { does: "tells what does not add up, and is asked for all again" };

/** The condition that this host cannot tell the others of its VMs. */
const MUTE = "gossip";

/** How long is waited for what a host has just done. */
const MOMENT_MS = 2_000;

/** How long a host that starts waits for the others to tell of their VMs until it does without. */
const CATCHING_UP_MS = 10_000;
/** So many hosts are named. */
const NAMED_MAX = 10;
/** For how long an answer is good to who the hosts are that have not told. */
const UNTOLD_MS = 100;

/** Between two times that this host learns of a later life of its own. */
const RENEWAL_MS = 5000;

/** What a {@link Cluster} is made from. */
export interface ClusterOptions {
  /** Undefined: this host is alone. */
  readonly serf: SerfPort | undefined;
  readonly peers: PeerPort;
  /** Which the host's monitor has filled already, and goes on to. */
  readonly inventory: Inventory;
  /** The UUID of this host. */
  readonly self: string;
  /** Of this host's API, for the others. */
  readonly apiPort: number;
  /** Of this life: greater than those of all lives before, as far as they are remembered. */
  readonly epoch: number;
  /** It turned out that there was a later life: this one goes on as such, which is to be remembered. */
  readonly onEpoch: (epoch: number) => void;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Logger;
  /** Where it is reported that others cannot be understood, or not be told. */
  readonly health?: Health | undefined;
}

/**
 * This host as part of the cluster: tells the others what changes here, and makes the inventory true to what they tell.
 * Serf tells who is alive and spreads news; what it loses is asked for over HTTP.
 */
export class Cluster implements Disposable {
  readonly #o: ClusterOptions;
  readonly #members: Members;
  readonly #origin: LocalOrigin;
  readonly #knowledge: Knowledge;
  readonly #archive: Archive;
  readonly #prototypes: Prototypes;
  readonly #budget: Budget;
  readonly #gossip: Gossip;
  readonly #repetition: Repetition;
  readonly #repair: Repair;
  readonly #questions: Questions;
  readonly #complaints: Complaints;
  readonly #health: Health;
  readonly #storages: StorageComparison;
  readonly #conditions: Conditions;
  readonly #watch: Watch;
  readonly #notices: Notices;
  readonly #held = new DisposableStack();
  /** The others that are there and can be asked. */
  #peers: readonly Peer[] = [];
  #stopped = false;
  #reconciliation: Disposable | undefined;
  #staleSince: number | undefined;
  #renewedAt = -Infinity;
  #joinedAt: number | undefined;
  /** Hosts that an administrator has removed, though Serf remembers them. */
  readonly #dismissed = new Set<string>();
  #untold: { readonly at: number; readonly names: readonly string[] } | undefined;
  #storage: string | undefined;
  /** Who says that this host does not answer, when it was last looked at. */
  #accusers = "";
  /** What this host is without, Serf excepted. */
  #faults: readonly HostFault[] = [];
  #joined = false;

  constructor(options: ClusterOptions) {
    const { inventory, clock, timers, random, log, self } = this.#o = options;
    inventory.setSource(self, "own");
    const members = () => this.#members.alive;
    const say = (name: string, payload: Uint8Array) => this.#say(name, payload);
    const peers = () =>
      this.#conditions.shown.size === 0
        ? this.#peers
        : this.#peers.filter(({ uuid }) => !this.#conditions.isAway(uuid));
    const adopt = (states: readonly OriginState[], from: Peer, askedAt: number) =>
      this.#adopt(states, from, askedAt);
    const onOdd = (peer: Peer, reason: string) => this.misunderstood(peer, reason);
    this.#health = options.health ?? new Health();
    this.#complaints = this.#held.use(new Complaints({ health: this.#health, log, timers }));
    this.#members = new Members(log);
    const nameOf = (uuid: string) => this.#members.host(uuid)?.peer.name ?? uuid;
    this.#notices = new Notices({ health: this.#health, log, nameOf });
    this.#storages = new StorageComparison(this.#health, log);
    this.#budget = new Budget({ timers, members });
    this.#conditions = this.#held.use(
      new Conditions({
        inventory,
        self,
        members: {
          host: (uuid) => this.#isKnown(uuid) ? this.#members.host(uuid) : undefined,
          hosts: () => this.#members.hosts(),
        },
        onReport: () => this.#gossip.reportChanged(),
        onChange: (uuid, before, after) => this.#conditionsChanged(uuid, before, after),
        clock,
        timers,
      }),
    );
    const report = () => this.#conditions.report;
    this.#origin = this.#held.use(
      new LocalOrigin({
        inventory,
        self,
        epoch: options.epoch,
        report,
        onPending: () => this.#gossip.vmChanged(),
      }),
    );
    this.#gossip = this.#held.use(
      new Gossip({
        inventory,
        origin: this.#origin,
        budget: this.#budget,
        clock,
        timers,
        random,
        log,
        report,
        members,
        say,
        onUnsaid: (reason) => this.#mute(reason),
      }),
    );
    this.#repetition = this.#held.use(
      new Repetition({ inventory, self, timers, clock, members, say }),
    );
    this.#prototypes = this.#held.use(new Prototypes({ inventory, timers, clock }));
    this.#knowledge = new Knowledge({
      inventory,
      clock,
      timers,
      log,
      reportOf: (uuid) => this.#conditions.reportOf(uuid),
      onReport: (uuid, told) => this.#takeReport(uuid, told),
      onLack: (uuid) => pulls.pull(uuid),
      onOdd: (uuid, reason) => this.#complain(uuid, ANSWERS_NONSENSE, reason),
      onContradiction: (uuid) => this.#complain(uuid, CONTRADICTS, "the digest is another"),
    });
    this.#held.use(inventory.watch({
      host: (uuid) => {
        if (uuid === self) inventory.confirm(self, clock());
      },
    }));
    this.#archive = new Archive(this.#origin, this.#knowledge);
    const questions = this.#questions = this.#held.use(new Questions({ port: options.peers, timers }));
    const pulls = this.#held.use(
      new Pulls({ questions, knowledge: this.#knowledge, peers, adopt, onOdd, timers, random, log }),
    );
    this.#watch = this.#held.use(
      new Watch({
        self,
        hosts: () => this.#watchable(),
        questions,
        onChange: (unanswered) => this.#conditions.setUnanswered(unanswered),
        timers,
        random,
        log,
      }),
    );
    this.#repair = this.#held.use(
      new Repair({
        questions,
        archive: this.#archive,
        knowledge: this.#knowledge,
        peers,
        isMember: (uuid) => this.#isKnown(uuid),
        adopt,
        pull: (uuid) => pulls.pull(uuid),
        onShared: (uuid, doubted) => this.#share(uuid, doubted),
        onLaterLife: (epoch) => this.#renew(epoch),
        onOdd,
        timers,
        random,
        log,
      }),
    );
  }

  /**
   * Joins: from now on this host speaks and listens, until disposed.
   * @throws {VirtxError} kind unavailable, if another live member has this host's UUID, or what the agent answers
   */
  async start(): Promise<void> {
    const { serf, self } = this.#o;
    if (!serf) return;
    const [own, members] = await Promise.all([serf.self(), serf.members()]);
    requireUnique(members, own.name, self);
    inBackground(this.#followEvents(serf));
    this.#joined = true;
    await this.#setTags(serf);
    await this.#reconcile(serf);
    this.#joinedAt = this.#o.timers.now();
    this.#gossip.start();
    this.#repair.start();
    this.#watch.start();
    this.#planReconciliation(serf);
    this.#o.log.info("joined the cluster", { host: self, member: own.name, members: members.length });
  }

  /** Whether it is known which hosts there are: Serf has told it since this daemon runs, or this host is alone. */
  get joined(): boolean {
    return this.#o.serf === undefined || this.#joinedAt !== undefined;
  }

  /** Where a host is to be reached, and whether it is there; undefined: Serf knows no such host. */
  member(uuid: string): HostMember | undefined {
    return this.#members.host(uuid);
  }

  /** All hosts that Serf knows, this one among them. */
  hosts(): Iterable<HostMember> {
    return this.#members.hosts();
  }

  /** Whether this host knows the VMs of another by what that said, itself or by others, since Serf has known it without a break. */
  hasTold(uuid: string): boolean {
    return this.#knowledge.hasTold(uuid) || this.#prototypes.hasTold(uuid);
  }

  /** Forgets a host that an administrator has removed, with its VMs, until it is there again. One that is active stays. */
  dismiss(uuid: string): void {
    if (uuid === this.#o.self || this.#members.host(uuid)?.cstate === HostState.active) return;
    this.#dismissed.add(uuid);
    this.#forget(uuid);
    this.#o.inventory.removeHost(uuid);
  }

  /**
   * Which storage the other hosts have, as far as they say, whether they are there or not.
   * @throws {VirtxError} kind unavailable, if the agent cannot be asked
   */
  async toldStorages(): Promise<readonly ToldStorage[]> {
    const { serf, self } = this.#o;
    return serf ? toldStorages(await serf.members(), self) : [];
  }

  /** Tells the others which storage this host has, now or when it joins; undefined: none that it knows. */
  async tellStorage(id: string | undefined): Promise<void> {
    if (this.#storage === id) return;
    this.#storage = id;
    this.#compareStorages();
    const { serf, log } = this.#o;
    if (!this.#joined || !serf) return;
    // Where the agent is away, all is told when it is back.
    await this.#setTags(serf).catch(unlessDefect(log, "cannot tell the others of the storage"));
  }

  /** Tells the others what this host is without, beside Serf, of which this knows itself. */
  tellFaults(faults: readonly HostFault[]): void {
    this.#faults = faults;
    this.#conditions.setFaults(this.#staleSince === undefined ? faults : [...faults, "serf"]);
  }

  /** What a host is without, as far as is known. */
  conditionsOf(uuid: string): readonly HostCondition[] {
    return this.#conditions.shown.get(uuid) ?? [];
  }

  /** UTC milliseconds since when Serf is away, and with it the news of who is there; undefined: it is there. */
  get staleSince(): number | undefined {
    return this.#staleSince;
  }

  /** Whether this host has joined, and each live host has told of its VMs, or has had its time to. */
  get caughtUp(): boolean {
    if (!this.#o.serf) return true;
    if (this.#joinedAt === undefined) return false;
    return this.#o.timers.now() - this.#joinedAt > CATCHING_UP_MS || this.untold.length === 0;
  }

  /** The names of the live hosts whose VMs are not known here: one of the two has just started, or was away. */
  get untold(): readonly string[] {
    const now = this.#o.timers.now();
    if (this.#untold && now - this.#untold.at < UNTOLD_MS) return this.#untold.names;
    const names: string[] = [];
    for (const { peer, cstate } of this.#members.hosts()) {
      if (cstate === HostState.active && !this.#hasTold(peer)) names.push(peer.name);
    }
    this.#untold = { at: now, names };
    return names;
  }

  /** Why this host cannot tell that a VM is nowhere; undefined: it can. */
  get unsure(): string | undefined {
    if (!this.#o.serf) return undefined;
    if (this.#joinedAt === undefined) return "virtxd on this host has not joined the cluster yet";
    if (this.#staleSince !== undefined) {
      return "Serf is away on this host, so what others have is not known for sure";
    }
    return this.untold.length === 0 ? undefined : untoldReason(this.untold);
  }

  /** For a peer that asks how far this host's knowledge goes; undefined: as far as that of the peer. */
  vector(known: string): Vector | undefined {
    const vector = this.#archive.vector();
    return vector.digest === known ? undefined : vector;
  }

  /** For a peer that asks what this host knows: of itself, what is so at this moment. */
  states(wants: readonly Want[]): readonly OriginState[] {
    if (wants.some(({ uuid }) => uuid === this.#o.self)) this.#gossip.flush();
    return this.#archive.states(wants);
  }

  /**
   * Asks a host for what it has by now, so that what it has just done is seen here without waiting for the news of it. Does
   * not fail, and takes a moment at most: what cannot be had this way, as from a host of the prototype, comes by gossip.
   */
  async catchUp(uuid: string): Promise<void> {
    const member = this.#members.host(uuid);
    if (uuid === this.#o.self || member?.cstate !== HostState.active || member.peer.prototype) return;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    using _moment = this.#o.timers.after(MOMENT_MS, resolve);
    await Promise.race([this.#pullNow(member.peer), late]);
  }

  /** Takes over what a host of the prototype would say of a VM, until it says so itself; of another host nothing. */
  hearFor(event: VmEvent): void {
    if (!this.#members.host(event.host)?.peer.prototype) return;
    this.#prototypes.hear({ kind: "event", event, origin: undefined });
  }

  /** Leaves off speaking and listening; the agent stays a member. */
  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#reconciliation?.[Symbol.dispose]();
    this.#held.dispose();
  }

  async #pullNow(peer: Peer): Promise<void> {
    const { timers, log } = this.#o;
    try {
      const askedAt = timers.now();
      this.#adopt(await this.#questions.states(peer, [this.#knowledge.want(peer.uuid)]), peer, askedAt);
    } catch (error) {
      logFailure(log, "info", "cannot ask a host for what it has just done", error, { host: peer.uuid });
    }
  }

  /** The agent keeps what an earlier life has told. */
  async #setTags(serf: SerfPort): Promise<void> {
    const { self, apiPort } = this.#o;
    await serf.setTags(
      ownTags(self, apiPort, this.#storage),
      this.#storage === undefined ? [TAGS.storage] : [],
    );
  }

  #compareStorages(): void {
    const { inventory, self } = this.#o;
    const here = { host: inventory.host(self)?.def.name ?? self, id: this.#storage };
    const others = [...this.#members.hosts()].filter(({ peer }) => peer.uuid !== self);
    this.#storages.compare(
      here,
      others.flatMap(({ peer: { name, storage }, cstate }) =>
        cstate === HostState.active && storage !== undefined ? [{ host: name, id: storage }] : []
      ),
    );
  }

  async #followEvents(serf: SerfPort): Promise<void> {
    for await (const event of serf.events) {
      if (this.#stopped) return;
      try {
        this.#hear(event, serf);
      } catch (error) { // a defect, which must not make this host deaf
        const complaint = { from: "Serf's agent", does: `tells of ${event.kind} what cannot be taken over` };
        this.#complaints.note(complaint, errorMessage(error));
        unlessDefect(this.#o.log, "cannot take over what Serf tells", { kind: event.kind })(error);
      }
    }
  }

  #hasTold({ uuid, prototype }: Peer): boolean {
    if (uuid === this.#o.self) return true;
    // Of one whose virtxd is away nobody can know more than what it told before, as of one that has failed.
    if (this.#o.inventory.doubts(uuid) && !this.#conditions.isAway(uuid)) return false;
    return prototype ? this.#prototypes.hasTold(uuid) : this.#knowledge.hasTold(uuid);
  }

  #hear(event: SerfEvent, serf: SerfPort): void {
    switch (event.kind) {
      case "connected":
        return inBackground(this.#rejoin(serf));
      case "disconnected":
        this.#staleSince ??= this.#o.clock();
        this.#notices.serf(true);
        this.tellFaults(this.#faults);
        this.#gossip.hush();
        return this.#o.log.warn("Serf is away, showing the cluster as it was", { reason: event.reason });
      case "members":
        return this.#takeChanges(
          event.change === "reap" ? this.#members.forget(event.members) : this.#members.update(event.members),
        );
      case "user":
        return this.#hearRecord(event.name, event.payload);
    }
  }

  #hearRecord(name: string, payload: Uint8Array): void {
    let record: GossipRecord | undefined;
    try {
      record = decodeRecord(name, payload);
    } catch (error) {
      return this.#complain(claimedSpeaker(name, payload), SENDS_NONSENSE, errorMessage(error));
    }
    if (!record) return;
    const uuid = speakerOf(record);
    const member = this.#members.host(uuid);
    const { origin } = record;
    if (member && record.kind !== "host") this.#budget.heard(uuid);
    if (uuid === this.#o.self) {
      if (origin && origin.epoch > this.#origin.stamp.epoch) this.#renew(origin.epoch);
      return;
    }
    if (!member || this.#dismissed.has(uuid)) return;
    if (origin) this.#knowledge.hear(uuid, { ...record, origin });
    else if (member.peer.prototype) this.#prototypes.hear(record);
  }

  /** Everything that the agent may have forgotten, or that was missed, after it was away. */
  async #rejoin(serf: SerfPort): Promise<void> {
    try {
      await this.#setTags(serf);
      await this.#reconcile(serf);
      this.#staleSince = undefined;
      this.#notices.serf(false);
      this.tellFaults(this.#faults);
      this.#gossip.start();
      this.#o.log.info("Serf is back");
    } catch (error) {
      logFailure(this.#o.log, "warn", "cannot rejoin the cluster", error); // tried again
    }
  }

  #planReconciliation(serf: SerfPort): void {
    this.#reconciliation = this.#o.timers.after(RECONCILE_MS, () => {
      const done = this.#reconcileAgain(serf).finally(() => {
        if (!this.#stopped) this.#planReconciliation(serf);
      });
      inBackground(done);
    });
  }

  async #reconcileAgain(serf: SerfPort): Promise<void> {
    if (!serf.connected) return;
    if (this.#staleSince !== undefined) return await this.#rejoin(serf);
    try {
      await this.#reconcile(serf);
    } catch (error) {
      logFailure(this.#o.log, "warn", "cannot read Serf's members", error);
    }
  }

  async #reconcile(serf: SerfPort): Promise<void> {
    const members = await serf.members();
    if (this.#stopped) return;
    this.#takeChanges(this.#members.replace(members));
    for (const { peer, cstate } of this.#members.hosts()) {
      if (peer.prototype && cstate === HostState.active) this.#prototypes.sweep(peer.uuid);
    }
  }

  #isKnown(uuid: string): boolean {
    return this.#members.host(uuid) !== undefined && !this.#dismissed.has(uuid);
  }

  /** Forgets what a host has told. */
  #forget(uuid: string): void {
    this.#knowledge.forget(uuid);
    this.#prototypes.forget(uuid);
    this.#conditions.forget(uuid);
  }

  #takeChanges(changes: readonly MemberChange[]): void {
    const { inventory, self, log } = this.#o;
    this.#untold = undefined;
    this.#compareStorages();
    this.#peers = [...this.#members.hosts()]
      .filter(({ peer, cstate }) => cstate === HostState.active && !peer.prototype && peer.uuid !== self)
      .map(({ peer }) => peer);
    for (const { uuid, before, after } of changes) {
      if (uuid === self) continue;
      const name = (after ?? before)?.peer.name;
      log.info("a host has changed", {
        host: uuid,
        name,
        before: stateName(before),
        after: stateName(after),
      });
      if (after?.cstate === HostState.active) this.#dismissed.delete(uuid);
      if (this.#dismissed.has(uuid)) continue;
      if (after) inventory.setSource(uuid, after.peer.prototype ? "prototype" : "host");
      else this.#forget(uuid); // what was known of it stays, see KnownHosts
      inventory.setHostState(uuid, after?.cstate ?? HostState.failed);
      const known = inventory.host(uuid);
      if (known) inventory.putHost(known); // lists show what Serf tells of it, too: that is news to who watches
      if (!after) continue;
      const isBack = after.cstate === HostState.active && before?.cstate !== HostState.active;
      if (isBack && after.peer.prototype) {
        this.#prototypes.meet(uuid);
        inventory.trust(uuid); // it repeats all, but does not confirm
      } else if (isBack) this.#repair.meet(after.peer);
    }
    if (changes.length > 0) {
      this.#conditions.review(changes.map(({ uuid }) => uuid));
      this.#watch.review();
    }
    this.#repetition.active = [...this.#members.hosts()].some(({ peer, cstate }) =>
      peer.prototype && cstate === HostState.active && peer.uuid !== self
    );
  }

  #adopt(states: readonly OriginState[], from: Peer, askedAt: number): void {
    const { inventory, clock, self } = this.#o;
    for (const state of states) {
      if (state.uuid === self || !this.#isKnown(state.uuid)) continue;
      const isOwn = state.uuid === from.uuid;
      this.#knowledge.adopt(state, isOwn ? { askedAt } : undefined);
      if (isOwn) inventory.confirm(from.uuid, clock());
    }
  }

  /** The hosts that can be asked: one without an open port cannot. */
  #watchable(): readonly WatchedHost[] {
    const hosts: WatchedHost[] = [];
    for (const member of this.#members.hosts()) {
      const { peer, cstate } = member;
      if (cstate !== HostState.active || peer.closed) continue;
      hosts.push({ uuid: peer.uuid, peer, watches: this.#conditions.watches(member) });
    }
    return hosts;
  }

  #takeReport(uuid: string, report: HostReport | undefined): void {
    if (!this.#isKnown(uuid)) return;
    this.#conditions.take(uuid, report);
    this.#watch.heard(uuid);
    this.#answerAccusers();
  }

  /** Who is said not to answer, and hears of it, says that it is here: then it is asked at once, and what is known of it confirmed. */
  #answerAccusers(): void {
    const { accusers } = this.#conditions;
    if (accusers.join() === this.#accusers) return;
    this.#accusers = accusers.join();
    this.#notices.accused(accusers);
    this.#gossip.reportChanged();
  }

  #conditionsChanged(
    uuid: string,
    before: readonly HostCondition[],
    after: readonly HostCondition[],
  ): void {
    const { self, inventory } = this.#o;
    // What it had before it was away is not taken for what it has when it is back, until it has said so (the prototype cannot).
    const peer = this.#members.host(uuid)?.peer;
    if (peer && !peer.prototype && this.#conditions.isAway(uuid)) inventory.doubt(uuid);
    this.#notices.changed(uuid, before, after);
    this.#notices.others([...this.#conditions.shown].filter(([other]) => other !== self));
    this.#watch.review();
  }

  #share(uuid: string, doubted: boolean): void {
    const { inventory, self } = this.#o;
    if (uuid === self || !this.#isKnown(uuid)) return;
    if (!doubted && !this.#conditions.isAway(uuid)) inventory.trust(uuid);
    else if (inventory.seen(uuid) === undefined) inventory.doubt(uuid);
  }

  /**
   * Goes on after a later life of this host, that others remember. Two that are alive must not outdo each other for ever. A life
   * that cannot have been is not gone on after: who has heard of it asks this host.
   */
  #renew(epoch: number): void {
    const { log, clock, onEpoch, self, timers } = this.#o;
    if (epoch < this.#origin.stamp.epoch || this.#members.isContested(self)) return;
    if (!isBelievable(epoch, clock())) {
      const complaint = { from: "somebody", does: "tells of a life of this host that cannot have been" };
      return this.#complaints.note(complaint, `its epoch is ${epoch}`);
    }
    if (timers.now() - this.#renewedAt < RENEWAL_MS) return;
    this.#renewedAt = timers.now();
    log.warn("others remember a later life of this host, going on after it", { host: self, epoch });
    this.#origin.renew(epoch + 1);
    onEpoch(epoch + 1);
    this.#gossip.announce();
  }

  #say(name: string, payload: Uint8Array): void {
    const { serf, log } = this.#o;
    if (!serf?.connected) return;
    serf.userEvent(name, payload).then(
      () => this.#health.clear(MUTE) && log.info("can tell the others again"),
      (error) => {
        unlessDefect(log, "cannot tell the others", { name })(error);
        if (serf.connected) this.#mute(errorMessage(error)); // they will notice the gap
      },
    );
  }

  /** What this host has to say cannot be said. */
  #mute(error: string): void {
    const reason = `cannot tell the other hosts of what is here: ${error}`;
    if (this.#health.report(MUTE, { reason, blocking: true })) {
      this.#o.log.error("cannot tell the others", { error });
    }
  }

  /** Tells that an answer of this host's cannot be understood, and why. */
  misunderstood(peer: Peer, reason: string): void {
    this.#complaints.note({ from: peer.name, ...ANSWERS_NONSENSE }, reason);
  }

  /** Of a host, or of somebody who is none. */
  #complain(uuid: string | undefined, about: Omit<Complaint, "from">, reason: string): void {
    const name = uuid === undefined ? undefined : this.#members.host(uuid)?.peer.name;
    this.#complaints.note({ from: name ?? "somebody", ...about }, reason);
  }
}

function stateName(member: HostMember | undefined): string | undefined {
  return member && enumName(HostState, member.cstate);
}

/** Of {@link Cluster.untold}, in words. */
export function untoldReason(names: readonly string[]): string {
  const some = names.slice(0, NAMED_MAX).map((name) => `"${name}"`).join(", ");
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : "";
  return `the VMs of ${names.length === 1 ? "host" : "hosts"} ${some}${more} are not known yet`;
}
