import { awaitedLater, inBackground } from "../model/background.ts";
import { type Clock, systemClock } from "../model/clock.ts";
import { VirtxError } from "../model/error.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { KeyedMutex } from "../model/mutex.ts";
import { Queue } from "../model/queue.ts";
import { Semaphore } from "../model/semaphore.ts";
import type { Connection } from "./connection.ts";
import { Connections } from "./connections.ts";
import type { Console } from "./console.ts";
import { Consoles } from "./consoles.ts";
import { compareCpu, type CpuComparison } from "./cpu.ts";
import { ShutdownFlag } from "./constants.ts";
import { settlesWithin } from "./deadline.ts";
import { type Definitions, DefinitionsJob } from "./definitions.ts";
import { type CallKind, DomainCalls } from "./domain_calls.ts";
import {
  defineDomain,
  type Domain,
  type DomainGlimpse,
  type KeptState,
  type KnownDomain,
  knownDomains,
  type MetadataChange,
  type StateReason,
  undefineFlags,
  type UndefineOptions,
  withDomain,
} from "./domain.ts";
import { libvirtAway, RETRY_AFTER_S } from "./error.ts";
import type { HypervisorEvent } from "./events.ts";
import type { DomainJob } from "./job.ts";
import { Budget, Lane, type TaskOptions } from "./lane.ts";
import { Link } from "./link.ts";
import { migrate, type MigrationOptions, type MigrationOutcome, remoteUri } from "./migration.ts";
import { activeNetworks } from "./network.ts";
import * as node from "./node.ts";
import { printsUnderJob, printUnlessOccupied } from "./printing.ts";
import { isLetThrough, knock, openRemote } from "./reach.ts";
import { RemoteLibvirt } from "./remote.ts";
import { Runtime } from "./runtime.ts";
import { allDomainStats, type DomainStats, figureless } from "./stats.ts";

/** How to reach libvirt, and how patiently. */
export interface HypervisorOptions {
  /** qemu:///system, test:///default, … */
  readonly uri: string;
  readonly log: Logger;
  readonly clock?: Clock;
  /** The time between two attempts to reconnect; 5 s. */
  readonly reconnectMs?: number;
  /** How long a question may take; 30 s. */
  readonly queryTimeoutMs?: number;
  /** How long the start of a domain may take, and changes of definitions; 120 s. What asks a guest's QEMU has less. */
  readonly operationTimeoutMs?: number;
  /** After how long a call that libvirt has not answered is taken for stuck; 10 s. */
  readonly patienceMs?: number;
  /** What people call a domain; left out: its UUID. */
  readonly nameOf?: (uuid: string) => string;
  /** Where domains are reported about which libvirt does not answer. */
  readonly health?: Health;
}

/**
 * How many calls of each sort may be under way at a time, and how many if libvirt does not answer some of them. All together,
 * with the event loop's, the link's and those of the consoles, take 30 of Deno's 32 blocking threads at the very worst. A domain
 * holds up one look and one change at most.
 */
const LANES = {
  /** About the host, or all domains. */
  queries: { size: 3 },
  /** About one domain, without its QEMU. */
  looks: { size: 2, most: 4 },
  samples: { size: 2 },
  changes: { size: 6, most: 14 },
  starts: { size: 4, most: 8 },
  migrations: { size: 4 },
  powerOff: { size: 3 },
} as const;
/**
 * Changes, starts, migrations and questions to other hosts' libvirts together: each may hold a thread for good, and each but the
 * last a worker of libvirtd's, which has 20 and others to serve.
 */
const BUDGET = 14;
/** How many other hosts' libvirts are asked at a time, and how many may leave a question unanswered. */
const REMOTES = 2, SILENT_REMOTES = 4;
/** How long a connection to one of them may take to be closed, before it counts as one that hangs. */
const REMOTE_CLOSE_MS = 1_000;
/** How long the end waits for libvirt. */
const GRACE_MS = 2_000;
const QUERY_TIMEOUT_MS = 30_000, OPERATION_TIMEOUT_MS = 120_000, CHANGE_TIMEOUT_MS = 40_000;
/** libvirt ends a QEMU that ignores SIGTERM after 10 s, one that is asked gracefully after 25 s, if nothing else is in the way. */
const POWER_OFF_TIMEOUT_MS = 60_000;
const PATIENCE_MS = 10_000;
/** After which part of that another call is let in beside one that has not returned. */
const SLOW_SHARE = 1 / 5;
/** A start may fill memory first; see {@link POWER_OFF_TIMEOUT_MS} for an end. */
const START_PATIENCE = 6, END_PATIENCE = 3;
/** After which part of it the figures are told that need no QEMU, when the others have not come. */
const FIGURES_SHARE = 1 / 2;

/**
 * This host's libvirt. Every method waits on libvirt without blocking the main thread, and throws a {@link VirtxError}
 * that begins with what could not be done and ends with libvirt's reason: `not_found` (no such domain), `unavailable`
 * (libvirt is away, or ended the connection; `retryAfterS`), `timeout` (no answer in time; the call may still take
 * effect), or `refused`.
 */
export class Hypervisor implements AsyncDisposable {
  /** In libvirt's order; for one consumer. The first connection is not announced. */
  readonly events = new Queue<HypervisorEvent>();
  readonly #runtime: Runtime;
  readonly #log: Logger;
  readonly #link: Link;
  readonly #connections: Connections;
  readonly #queries: Lane;
  readonly #looks: Lane;
  readonly #samples: Lane;
  readonly #changes: Lane;
  readonly #starts: Lane;
  readonly #migrations: Lane;
  readonly #powerOff: Lane;
  readonly #lanes: readonly Lane[];
  readonly #calls: DomainCalls;
  readonly #patienceMs: number;
  readonly #nameOf: (uuid: string) => string;
  readonly #health: Health | undefined;
  readonly #looking = new KeyedMutex();
  readonly #remotes = new Semaphore(REMOTES);
  readonly #budget = new Budget(BUDGET);
  /** Connections to other hosts that do not come about, or do not end, by URI. */
  readonly #hanging = new Map<string, Promise<unknown>>();
  /** What takes libvirt's job on a domain waits for it here, where it takes no thread and none of libvirtd's workers. */
  readonly #jobs = new KeyedMutex();
  readonly #queryTimeoutMs: number;
  readonly #operationTimeoutMs: number;
  readonly #changeTimeoutMs: number;
  readonly #consoles: Consoles;
  /** Looks at all domains' figures that libvirt has not answered yet. */
  #samplesUnderWay = 0;

  private constructor(runtime: Runtime, o: HypervisorOptions) {
    const { uri, log, clock = systemClock, reconnectMs = 5_000 } = o;
    this.#runtime = runtime;
    this.#log = log;
    this.#link = new Link({ runtime, uri, log, clock, reconnectMs, emit: (event) => this.#onEvent(event) });
    const { queryTimeoutMs = QUERY_TIMEOUT_MS, operationTimeoutMs = OPERATION_TIMEOUT_MS } = o;
    const { patienceMs = PATIENCE_MS, nameOf = (uuid) => `domain ${uuid}`, health } = o;
    this.#patienceMs = patienceMs;
    this.#queryTimeoutMs = queryTimeoutMs;
    this.#nameOf = nameOf;
    this.#health = health;
    this.#operationTimeoutMs = operationTimeoutMs;
    this.#changeTimeoutMs = Math.min(CHANGE_TIMEOUT_MS, operationTimeoutMs);
    this.#calls = new DomainCalls({
      patienceMs: {
        look: patienceMs,
        job: patienceMs,
        start: START_PATIENCE * patienceMs,
        end: END_PATIENCE * patienceMs,
      },
      nameOf,
      health,
      log,
    });
    const unanswered = () => this.#calls.describe();
    if (isPrivateTestHost(uri)) {
      this.#connections = new Connections(() => Promise.resolve(this.#link.share()));
      const common = { connections: this.#connections, unanswered };
      const only = new Lane({ ...common, size: 1, timeoutMs: operationTimeoutMs });
      this.#lanes = [only];
      [this.#queries, this.#looks, this.#samples, this.#changes] = [only, only, only, only];
      [this.#starts, this.#migrations, this.#powerOff] = [only, only, only];
    } else {
      this.#connections = new Connections(() => this.#link.open());
      const common = { connections: this.#connections, unanswered };
      const patient = { ...common, patienceMs: patienceMs * SLOW_SHARE };
      const budget = this.#budget;
      this.#queries = new Lane({ ...common, ...LANES.queries, timeoutMs: queryTimeoutMs });
      this.#looks = new Lane({ ...patient, ...LANES.looks, timeoutMs: queryTimeoutMs });
      this.#samples = new Lane({ ...common, ...LANES.samples, timeoutMs: queryTimeoutMs });
      this.#changes = new Lane({ ...patient, ...LANES.changes, budget, timeoutMs: operationTimeoutMs });
      this.#starts = new Lane({ ...patient, ...LANES.starts, budget, timeoutMs: operationTimeoutMs });
      this.#migrations = new Lane({ ...common, ...LANES.migrations, budget });
      this.#powerOff = new Lane({ ...common, ...LANES.powerOff, timeoutMs: POWER_OFF_TIMEOUT_MS });
      this.#lanes = [
        this.#queries,
        this.#looks,
        this.#samples,
        this.#changes,
        this.#starts,
        this.#migrations,
        this.#powerOff,
      ];
    }
    this.#consoles = new Consoles({
      runtime,
      open: () => this.#link.open(),
      timeoutMs: this.#changeTimeoutMs,
    });
  }

  /**
   * Connects and subscribes to all events.
   *
   * @throws VirtxError `unavailable` with libvirt's reason if it cannot be reached.
   */
  static async open(options: HypervisorOptions): Promise<Hypervisor> {
    const hypervisor = new Hypervisor(new Runtime(options.log), options);
    const { uri, queryTimeoutMs = QUERY_TIMEOUT_MS } = options;
    const connecting = hypervisor.#link.connect();
    if (!await settlesWithin(queryTimeoutMs, connecting)) {
      const dispose = () => hypervisor[Symbol.asyncDispose]();
      inBackground(connecting.then(dispose, dispose));
      throw libvirtAway(`Cannot connect to libvirt at ${uri}: no answer within ${queryTimeoutMs / 1000} s`);
    }
    try {
      await connecting;
      return hypervisor;
    } catch (error) {
      await hypervisor[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Whether libvirt is there, as far as is known. */
  get connected(): boolean {
    return this.#link.connected;
  }

  /** virConnectGetLibVersion: 9.0.0 is 9000000. */
  get libvirtVersion(): number {
    return this.#link.peer.version;
  }

  /** virConnectGetType: QEMU, TEST. */
  get driver(): string {
    return this.#link.peer.driver;
  }

  hostname(): Promise<string> {
    return this.#ask("get the host's name", node.hostname);
  }

  /** XML: the host's CPU, NUMA cells and UUID, and the guests it can run. */
  capabilities(): Promise<string> {
    return this.#ask("get the host's capabilities", node.capabilities);
  }

  /** XML: the host's SMBIOS data. Not every driver and host has it. */
  sysinfo(): Promise<string> {
    return this.#ask("get the host's system information", node.sysinfo);
  }

  /** QEMU's version: 7.2.0 is 7002000. */
  hypervisorVersion(): Promise<number> {
    return this.#ask("get the hypervisor's version", node.hypervisorVersion);
  }

  nodeInfo(): Promise<node.NodeInfo> {
    return this.#ask("get the host's processors and memory", node.nodeInfo);
  }

  /** XML: what guests of this kind can have. */
  domainCapabilities(guest: node.GuestKind): Promise<string> {
    return this.#ask("get the capabilities of domains", (c) => node.domainCapabilities(c, guest));
  }

  /** Whether the host's processor offers guests of this kind what a `<cpu>` element says; see {@link compareCpu}. */
  compareCpu(cpuXml: string, guest: node.GuestKind): Promise<CpuComparison> {
    return this.#ask("compare processors", (c) => compareCpu(c, cpuXml, guest));
  }

  /** The names of the virtual networks that are active. */
  activeNetworks(): Promise<string[]> {
    return this.#ask("list the networks", activeNetworks);
  }

  domains(): Promise<KnownDomain[]> {
    return this.#ask("list the domains", knownDomains);
  }

  /** Whether no VM can be changed because libvirt does not answer calls about so many others. */
  get stuck(): boolean {
    return this.#changes.stuck;
  }

  /**
   * The figures of all domains, in one round trip. If a QEMU hangs in the meantime, libvirt does not answer; then the figures
   * are those that need no QEMU.
   */
  async stats(): Promise<DomainStats[]> {
    if (this.#samplesUnderWay < LANES.samples.size) {
      const sample = this.#bulk(this.#samples, (connection) => this.#sample(connection));
      if (await settlesWithin(this.#patienceMs * FIGURES_SHARE, sample)) return await sample;
      sample.catch(() => {}); // the link, or the next sample, tells
    }
    return await this.#bulk(this.#queries, async (connection) => {
      const all = await allDomainStats(connection, { quiet: true });
      await this.#lookForSilence(connection, all);
      return all;
    });
  }

  /**
   * The definition: what the next start takes. XML. This, and all that libvirt prints, is `unavailable` of a domain that libvirt
   * has something else to do with, if that would have it wait.
   */
  definition(uuid: string): Promise<string> {
    return this.#print("get the definition of", uuid, (domain) => domain.definition());
  }

  /** As {@link definition}, with its passwords: to be defined anew, and kept nowhere. */
  definitionWithSecrets(uuid: string): Promise<string> {
    return this.#print("get the definition of", uuid, (domain) => domain.definitionWithSecrets());
  }

  /** What runs now. XML. */
  liveXml(uuid: string): Promise<string> {
    return this.#print("get the XML of", uuid, (domain) => domain.liveXml());
  }

  /** What a migration would tell the target of the domain. XML. */
  migratableXml(uuid: string): Promise<string> {
    return this.#print("get the migratable XML of", uuid, (domain) => domain.migratableXml());
  }

  /** As {@link liveXml}, with the processor that the guest sees in place of "host-model". XML. */
  xmlWithProcessor(uuid: string): Promise<string> {
    return this.#print("get the processor of", uuid, (domain) => domain.xmlWithProcessor());
  }

  /** What can be told of a domain whatever it is busy with. */
  glimpse(uuid: string): Promise<DomainGlimpse> {
    return this.#askDomain("get the title of", uuid, (domain) => domain.glimpse());
  }

  /** What libvirt keeps of it on this host, beside the definition. */
  kept(uuid: string): Promise<KeptState> {
    return this.#askDomain("get what is kept of", uuid, (domain) => domain.kept());
  }

  /** Whether it is to be started when its host is. */
  setAutostart(uuid: string, on: boolean): Promise<void> {
    return this.#change("set the autostart of", uuid, (domain) => domain.setAutostart(on));
  }

  state(uuid: string): Promise<StateReason> {
    return this.#askDomain("get the state of", uuid, (domain) => domain.state());
  }

  /** Whether there is a guest, running, paused or crashed, rather than only a definition. */
  isActive(uuid: string): Promise<boolean> {
    return this.#askDomain("get the state of", uuid, (domain) => domain.isActive());
  }

  /**
   * Many definitions by UUID, fetched over all query connections at once, or over so many. Each is read by `read` while libvirt still
   * prints the others.
   */
  async definitions<T>(
    uuids: readonly string[],
    read: (xml: string, uuid: string) => T,
    { connections = this.#queries.size }: { readonly connections?: number } = {},
  ): Promise<Definitions<T>> {
    const job = new DefinitionsJob(uuids, read, { underJob: this.#printsUnderJob });
    const lanes = Math.min(connections, uuids.length);
    const work = Array.from({ length: lanes }, () => this.#ask("get the definitions", (c) => job.work(c)));
    await Promise.race([job.done, awaitedLater(Promise.all(work))]);
    return job;
  }

  /** Makes or replaces a persistent domain, after libvirt has checked the XML against its schema; its UUID. */
  define(xml: string): Promise<string> {
    return this.#use(this.#changes, "define the domain", async (connection) => {
      using domain = await defineDomain(connection, xml);
      return domain.uuid;
    });
  }

  /** See {@link Domain.replaceDefinition}. */
  replaceDefinition(uuid: string, before: string, xml: string): Promise<string | undefined> {
    return this.#change("define", uuid, (domain) => domain.replaceDefinition(before, xml));
  }

  /**
   * Removes the definition with what libvirt keeps for it: saved memory, snapshots' data; UEFI variables and the TPM's memory
   * unless they are to be kept.
   */
  undefine(uuid: string, o: UndefineOptions = {}): Promise<void> {
    const flags = undefineFlags(this.driver, o);
    return this.#change("undefine", uuid, (domain) => domain.undefine(flags));
  }

  /** @throws VirtxError `unavailable`, if libvirt does not answer an earlier call about the domain, and so would not a change */
  requireAnswers(uuid: string): void {
    this.#calls.require(uuid, "job");
  }

  start(uuid: string): Promise<void> {
    return this.#withDomain(this.#starts, "start", uuid, "start", (domain) => domain.start());
  }

  /** Asks the guest by ACPI; resolves when it is asked, not when it has obeyed. */
  shutdown(uuid: string): Promise<void> {
    // QEMU has several ways to ask; the test driver has one, and refuses flags
    const flags = this.driver === "QEMU" ? ShutdownFlag.acpiPowerButton : 0;
    return this.#change("shut down", uuid, (domain) => domain.shutdown(flags));
  }

  /**
   * Ends it; graceful: only if QEMU itself ends in time, so that its disks are flushed. It waits for no other call that is
   * under way, and libvirt carries it out by a worker of its own (`prio_workers`) if all others are busy.
   */
  destroy(uuid: string, o: { graceful: boolean }): Promise<void> {
    return this.#withDomain(this.#powerOff, "destroy", uuid, "end", (domain) => domain.destroy(o.graceful));
  }

  suspend(uuid: string): Promise<void> {
    return this.#change("suspend", uuid, (domain) => domain.suspend());
  }

  resume(uuid: string): Promise<void> {
    return this.#change("resume", uuid, (domain) => domain.resume());
  }

  /** Adds a device to the definition. */
  attachDevice(uuid: string, xml: string): Promise<void> {
    return this.#change("attach a device to", uuid, (domain) => domain.attachDevice(xml));
  }

  /** Removes a device from the definition. */
  detachDevice(uuid: string, xml: string): Promise<void> {
    return this.#change("detach a device from", uuid, (domain) => domain.detachDevice(xml));
  }

  setMetadata(uuid: string, change: MetadataChange): Promise<void> {
    return this.#change("change the metadata of", uuid, (domain) => domain.setMetadata(change));
  }

  /**
   * Moves a domain to another host and waits for the end, without a deadline: the signal aborts it. See {@link migrate}
   * for what is known of the domain when this throws.
   */
  migrate(uuid: string, options: MigrationOptions, signal?: AbortSignal): Promise<MigrationOutcome> {
    const control = { signal, abort: () => this.abortJob(uuid) };
    let begun = false;
    const moving = this.#use(
      this.#migrations,
      `migrate ${this.#nameOf(uuid)} to ${options.destination}`,
      (connection) => {
        begun = true;
        return withDomain(connection, uuid, (domain) => migrate(domain, options, control));
      },
      { signal },
    );
    return moving.catch((error) => {
      if (signal?.aborted && !begun) return "aborted";
      throw error;
    });
  }

  /**
   * Makes sure that the libvirt of another host can be reached from this one, as it has to be for a migration. A driver that cannot
   * migrate reaches all.
   * @throws VirtxError unreachable: why not, and what helps
   */
  async reach(address: string): Promise<void> {
    if (this.driver !== "QEMU") return;
    await this.remote(address, () => Promise.resolve());
  }

  /**
   * Asks the libvirt of another host, over a connection for this task alone.
   * @throws VirtxError unreachable: why it cannot be reached, and what helps; unavailable: too many calls are not answered; and
   *   what the task throws
   */
  async remote<T>(address: string, task: (libvirt: RemoteLibvirt) => Promise<T>): Promise<T> {
    const uri = remoteUri(address);
    await knock(address);
    return await this.#remotes.run(async () => {
      if (this.#hanging.has(uri)) {
        throw new VirtxError(
          "unreachable",
          `its libvirt has not let this host in, or not answered, yet: ${uri}`,
        );
      }
      if (this.#hanging.size >= SILENT_REMOTES) {
        throw new VirtxError("unreachable", "the libvirts of too many other hosts do not answer this one");
      }
      if (this.#budget.exhausted) {
        const unanswered = this.#calls.describe() ?? "too many calls are under way";
        throw new VirtxError("unavailable", `libvirt could not be asked: ${unanswered}`, {
          retryAfterS: RETRY_AFTER_S,
        });
      }
      this.#budget.take();
      const later = (work: Promise<unknown>) => {
        const forget = () => {
          this.#hanging.delete(uri);
          this.#budget.give();
        };
        this.#hanging.set(uri, work.then(forget, forget));
      };
      try {
        const connection = await openRemote(this.#runtime, uri, later);
        try {
          return await task(new RemoteLibvirt(connection, uri));
        } finally {
          const closing = connection.close(); // which waits for a call that is not answered
          if (!await settlesWithin(REMOTE_CLOSE_MS, closing)) later(closing);
        }
      } finally {
        if (!this.#hanging.has(uri)) this.#budget.give();
      }
    });
  }

  /** Whether a guest's memory can be sent to another host, as far as can be told before it listens. */
  async reachesQemu(address: string): Promise<boolean> {
    return this.driver !== "QEMU" || await isLetThrough(address);
  }

  /** What a domain is busy with, a migration mostly, and how far it is; undefined: nothing. */
  job(uuid: string): Promise<DomainJob | undefined> {
    return this.#change("get the job of", uuid, (domain) => domain.job());
  }

  /** How the last job went that ended well; on the target this is how the migration went that brought the domain. */
  completedJob(uuid: string): Promise<DomainJob | undefined> {
    return this.#change("get the completed job of", uuid, (domain) => domain.completedJob());
  }

  /** Ends the job; resolves when libvirt has taken note, not when it has ended. */
  abortJob(uuid: string): Promise<void> {
    return this.#change("abort the job of", uuid, (domain) => domain.abortJob());
  }

  /** For how long the guest may stand still at the end of its migration; before the migration, or while it lasts. */
  setMaxDowntime(uuid: string, ms: number): Promise<void> {
    return this.#change("set the downtime of", uuid, (domain) => domain.setMaxDowntime(ms));
  }

  /** Lets a guest that migrates run at the target from now on; the migration must have been started so. No way back. */
  startPostCopy(uuid: string): Promise<void> {
    return this.#change("start post-copy of", uuid, (domain) => domain.startPostCopy());
  }

  /**
   * Opens the first console of a domain, which has no other user meanwhile; force takes it from who has it.
   *
   * @throws VirtxError beside the above: `conflict` if the domain does not run, or its console is taken
   */
  async console(uuid: string, o: { readonly force: boolean }): Promise<Console> {
    try {
      this.#link.require();
      return await this.#consoles.open(uuid, o);
    } catch (error) {
      throw VirtxError.wrap(error, `Cannot open the console of ${this.#nameOf(uuid)}`);
    }
  }

  /**
   * Ends all: consoles, pools, link, event loop. It waits for calls under way, but for a moment at most: what a call that hangs in
   * libvirt needs, threads included, stays until it returns, and Deno.exit() ends the process before that.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.events.close();
    const ending = this.#end();
    if (await settlesWithin(GRACE_MS, ending)) await ending;
    else this.#log.warn("libvirt does not answer at the end");
  }

  async #end(): Promise<void> {
    const all = [...this.#lanes, this.#connections, this.#consoles];
    await Promise.all(all.map((each) => each[Symbol.asyncDispose]()));
    await Promise.all(this.#hanging.values());
    await this.#link[Symbol.asyncDispose]();
    await this.#runtime[Symbol.asyncDispose]();
  }

  #onEvent(event: HypervisorEvent): void {
    if (event.kind === "disconnected") {
      const away = libvirtAway(`libvirt is away: ${event.reason}`);
      for (const lane of this.#lanes) lane.reset(away);
      this.#connections.reset();
      this.#consoles.end({ kind: "lost", reason: away.message });
    }
    this.events.push(event);
  }

  #ask<T>(what: string, task: (connection: Connection) => Promise<T>): Promise<T> {
    return this.#use(this.#queries, what, task);
  }

  /** What needs no job on the domain. One at a time about each: they would wait for the same lock. */
  #askDomain<T>(what: string, uuid: string, task: (domain: Domain) => Promise<T>): Promise<T> {
    return this.#inTurn(
      this.#looking,
      { what, uuid, timeoutMs: this.#queryTimeoutMs },
      () => this.#withDomain(this.#looks, what, uuid, "look", task),
    );
  }

  /** What libvirt prints of a domain, for which it may need its job on it. */
  async #print(what: string, uuid: string, print: (domain: Domain) => Promise<string>): Promise<string> {
    if (!this.#printsUnderJob) return await this.#askDomain(what, uuid, print);
    const printed = await this.#inTurn(
      this.#jobs,
      { what, uuid, timeoutMs: this.#queryTimeoutMs },
      () => this.#askDomain(what, uuid, (domain) => printUnlessOccupied(domain, print)),
    );
    if (typeof printed === "string") return printed;
    throw new VirtxError("unavailable", `Cannot ${what} ${this.#nameOf(uuid)}: ${printed.reason}`, {
      retryAfterS: RETRY_AFTER_S,
    });
  }

  get #printsUnderJob(): boolean {
    return printsUnderJob(this.#link.peer);
  }

  /** Runs the task when its turn has come; a wait that is too long fails as a call does that libvirt does not answer. */
  async #inTurn<T>(
    turns: KeyedMutex,
    { what, uuid, timeoutMs }: { readonly what: string; readonly uuid: string; readonly timeoutMs: number },
    task: () => Promise<T>,
  ): Promise<T> {
    const expired = new AbortController();
    const timer = setTimeout(() => {
      const why = `libvirt did not answer for ${timeoutMs / 1000} s`;
      expired.abort(new VirtxError("timeout", `Cannot ${what} ${this.#nameOf(uuid)}: ${why}`));
    }, timeoutMs);
    try {
      return await turns.run(uuid, task, { signal: expired.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  /** What needs libvirt's job on the domain, and is over soon if its QEMU answers. */
  #change<T>(what: string, uuid: string, task: (domain: Domain) => Promise<T>): Promise<T> {
    const timeoutMs = this.#changeTimeoutMs;
    return this.#withDomain(this.#changes, what, uuid, "job", task, { timeoutMs });
  }

  async #withDomain<T>(
    lane: Lane,
    what: string,
    uuid: string,
    kind: CallKind,
    task: (domain: Domain) => Promise<T>,
    options?: TaskOptions,
  ): Promise<T> {
    const whole = `${what} ${this.#nameOf(uuid)}`;
    try {
      this.#calls.require(uuid, kind);
    } catch (error) {
      throw VirtxError.wrap(error, `Cannot ${whole}`);
    }
    const call = (connection: Connection) =>
      this.#calls.run(uuid, what, kind, () => withDomain(connection, uuid, task));
    const use = () => this.#use(lane, whole, call, options);
    if ((kind !== "job" && kind !== "start") || !this.#printsUnderJob) return await use();
    const timeoutMs = options?.timeoutMs ?? this.#operationTimeoutMs;
    return await this.#inTurn(this.#jobs, { what, uuid, timeoutMs }, use);
  }

  /** A look at all domains, which tells whether libvirt answers at all. */
  async #bulk<T>(lane: Lane, task: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      const result = await this.#use(lane, "get the domains' figures", task);
      if (this.#health?.clear("libvirt")) this.#log.info("libvirt answers again");
      return result;
    } catch (error) {
      const silent = error instanceof VirtxError && error.kind === "timeout" && lane === this.#queries;
      const reason = "libvirt does not answer what its domains do";
      if (silent && this.#health?.report("libvirt", { reason, blocking: true })) this.#log.error(reason);
      throw error;
    }
  }

  async #sample(connection: Connection): Promise<DomainStats[]> {
    this.#samplesUnderWay++;
    try {
      const all = await allDomainStats(connection);
      await this.#lookForSilence(connection, all);
      return all;
    } finally {
      this.#samplesUnderWay--;
    }
  }

  /** Finds out which domains' QEMU does not answer, whoever has asked it: those without figures are busy, at least. */
  async #lookForSilence(connection: Connection, all: readonly DomainStats[]): Promise<void> {
    if (this.driver !== "QEMU") return; // the test driver never tells those figures
    const silences = new Map<string, number>();
    for (const uuid of figureless(all)) {
      const ms = await unlessUntold(withDomain(connection, uuid, (domain) => domain.silence()));
      if (ms !== undefined) silences.set(uuid, ms);
    }
    this.#calls.suspect(silences);
  }

  async #use<T>(
    lane: Lane,
    what: string,
    task: (connection: Connection) => Promise<T>,
    options?: TaskOptions,
  ): Promise<T> {
    try {
      this.#link.require();
      return await lane.use(task, options);
    } catch (error) {
      throw VirtxError.wrap(error, `Cannot ${what}`);
    }
  }
}

/** Of a domain that may have ended, or whose driver cannot tell: undefined then. */
async function unlessUntold<T>(told: Promise<T>): Promise<T | undefined> {
  try {
    return await told;
  } catch (error) {
    if (error instanceof VirtxError && (error.kind === "refused" || error.kind === "not_found")) {
      return undefined;
    }
    throw error;
  }
}

/** The test driver with a file of its own (test:///path) makes a new host for each connection, so there can be one only. */
function isPrivateTestHost(uri: string): boolean {
  return uri.startsWith("test:///") && uri !== "test:///default";
}
