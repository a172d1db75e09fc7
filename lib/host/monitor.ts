import { setTimeout as delay } from "node:timers/promises";
import type { Inventory } from "../cluster/inventory.ts";
import type { DomainContext } from "../domain_xml/mod.ts";
import { LifecycleEvent } from "../libvirt/constants.ts";
import type { DomainEvent, HypervisorEvent } from "../libvirt/events.ts";
import type { Hypervisor } from "../libvirt/hypervisor.ts";
import type { DomainStats } from "../libvirt/stats.ts";
import { isArriving } from "../libvirt/printing.ts";
import { inBackground } from "../model/background.ts";
import type { Clock } from "../model/clock.ts";
import { logFailure } from "../model/defect.ts";
import { enumName, type Firmware, HostState } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import { Mutex } from "../model/mutex.ts";
import { within } from "../model/within.ts";
import type { Libc } from "../posix/libc.ts";
import { Coalescer } from "./coalescer.ts";
import { type Definition, readDefinition, withheldDefinition } from "./definition.ts";
import { hostResources, type HostSample } from "./figures.ts";
import { FlawedDefinitions } from "./flawed_definitions.ts";
import { type LocalDomain, LocalDomains, type Moment } from "./local_domains.ts";
import { type DomainTypeSetting, learnLocalHost, type LocalHost } from "./local_host.ts";
import { IoErrors } from "./io_errors.ts";
import { parseCpuTimes, parseMeminfo } from "./proc.ts";
import { isPausedByIoError, runstateAfter, runstateOf, tellsIoError } from "./runstate.ts";

export type { DefinedDomain, LocalDomain } from "./local_domains.ts";

/** What a {@link HostMonitor} is made from. */
export interface HostMonitorOptions {
  readonly hypervisor: Hypervisor;
  readonly inventory: Inventory;
  readonly libc: Libc;
  readonly domainType: DomainTypeSetting;
  /** Where definitions that cannot be read are reported. */
  readonly health?: Health | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Between two samples of the figures. */
  readonly sampleIntervalMs: number;
}

/** Lifecycle events after which the definition may be another, or the domain gone. */
const REDEFINING: readonly number[] = [
  LifecycleEvent.defined,
  LifecycleEvent.undefined,
  LifecycleEvent.stopped,
];

/** After a look at all definitions there is none for so many times as long, however often samples are taken. */
const COMPARISON_REST = 10;

/** How long libvirt is waited for to tell the name of a domain whose definition it does not tell. */
const GLIMPSE_MS = 2_000;

/** One look at everything. */
interface Look {
  /** The moment before libvirt was asked. */
  readonly asked: Moment;
  /** The same on the monotonic clock. */
  readonly atMs: number;
  readonly host: HostSample;
  readonly domains: readonly DomainStats[];
}

/** One look with the definitions, which were asked for at the same time. */
interface FullLook extends Look {
  readonly definitions: ReadonlyMap<string, Definition>;
  /** What stands for those that libvirt does not tell now. */
  readonly withheld: ReadonlyMap<string, Definition>;
}

/**
 * Keeps the inventory true to this host and its libvirt. Four sources feed it:
 * - events, which change a run state at once, or have one domain read again (definition and state);
 * - samples, one bulk call each, for the figures. What a sample shows beside them only raises suspicion: a domain that
 *   it shows otherwise than the events told is read again, unless news of it came while the sample was under way;
 * - a look at all definitions after each sample: some changes make no event (virsh attach-disk --config), and figures tell
 *   nothing of what a running domain is defined as. It raises suspicion only, too;
 * - a look at everything, at the start and whenever libvirt comes back.
 * While libvirt is away, everything stays as it was; {@link staleSince} tells.
 */
export class HostMonitor implements AsyncDisposable {
  readonly #o: HostMonitorOptions;
  readonly #stopped = new AbortController();
  readonly #readings = new Coalescer<string>((uuid) => this.#read(uuid));
  /** Domains whose reading failed, to be tried again. */
  readonly #unread = new Set<string>();
  /** Events and looks at everything take turns: an event that came during one is applied on top of it. */
  readonly #turns = new Mutex();
  readonly #sampling = new Mutex();
  readonly #ioErrors: IoErrors;
  #sampler: Promise<void> | undefined;
  #state: { host: LocalHost; readonly domains: LocalDomains } | undefined;
  #before: HostSample | undefined;
  #staleSince: number | undefined;

  constructor(options: HostMonitorOptions) {
    this.#o = options;
    this.#ioErrors = new IoErrors(options.health ?? new Health(), options.log);
  }

  /**
   * Returns once the inventory holds this host and all its VMs; follows them from then on, until disposed.
   * The signal ends the wait.
   * @throws {VirtxError} what libvirt answers
   */
  async start(signal: AbortSignal): Promise<void> {
    const { hypervisor, libc, domainType, inventory } = this.#o;
    const began = performance.now();
    const [host, everything] = await Promise.all([
      learnLocalHost(hypervisor, libc, domainType),
      this.#lookAtAll(),
    ]);
    signal.throwIfAborted();
    const flaws = new FlawedDefinitions(this.#o.health ?? new Health(), this.#o.log);
    const domains = new LocalDomains(
      host.uuid,
      inventory,
      (uuid, definition) => flaws.note(uuid, definition),
    );
    this.#state = { host, domains };
    this.#takeAll(everything);
    signal.throwIfAborted();
    this.#sampler = this.#sampleRegularly();
    inBackground(this.#followEvents());
    const ms = Math.round(performance.now() - began);
    this.#o.log.info("monitoring", {
      host: host.uuid,
      name: host.def.name,
      domains: [...this.domains()].length,
      ms,
    });
  }

  /** libvirt's UUID of this host. */
  get uuid(): string {
    return this.#here.host.uuid;
  }

  /** UTC milliseconds since when libvirt is away and all is shown from memory; undefined: it is there. */
  get staleSince(): number | undefined {
    return this.#staleSince;
  }

  /** A domain of this host, from memory. */
  domain(uuid: string): LocalDomain | undefined {
    return this.#here.domains.get(uuid);
  }

  /** Whether QEMU has paused the guest because a disk could not be read or written, from memory. */
  isPausedByIoError(uuid: string): boolean {
    return this.#ioErrors.has(uuid);
  }

  /** All domains of this host, from memory. */
  domains(): Iterable<LocalDomain> {
    return this.#here.domains.values();
  }

  /** What a definition with this firmware can count on. */
  context(firmware: Firmware): DomainContext {
    const context = this.#here.host.contexts.get(firmware);
    if (!context) throw new VirtxError("internal", `Cannot tell what firmware ${firmware} offers`);
    return context;
  }

  /** Whether there is a bridge of that name, for guests to be connected to. */
  hasBridge(name: string): boolean {
    return !/[\/\0]/.test(name) && name !== ".." &&
      this.#o.libc.findKernelFile(`/sys/class/net/${name}/bridge/bridge_id`) !== undefined;
  }

  /** Shows a domain as migrating, whatever libvirt says, until told otherwise; then have it {@link refresh}ed. */
  leaving(uuid: string, leaves: boolean): void {
    this.#here.domains.leaving(uuid, leaves, this.#o.clock());
  }

  /**
   * Reads a domain's definition and state from libvirt now, for who has changed it; undefined: there is no such domain.
   * @throws {VirtxError} what libvirt answers
   */
  async refresh(uuid: string): Promise<LocalDomain | undefined> {
    await this.#readings.run(uuid);
    return this.domain(uuid);
  }

  /** Takes a sample of all figures: one round trip to libvirt, however many domains there are. */
  async sample(): Promise<void> {
    using _turn = await this.#sampling.lock();
    const look = await this.#look();
    this.#takeFigures(look);
    this.#followUp(look);
  }

  /**
   * Has those domains read again that libvirt defines otherwise than it was told. One connection and 0.4 ms for each domain, of
   * which 0.15 ms are libvirt's.
   */
  async compareDefinitions(): Promise<void> {
    const { domains } = this.#here;
    const told = Array.from(domains.values()).filter(({ xml }) => xml !== undefined);
    const suspects: string[] = [];
    const compare = (xml: string, uuid: string) => {
      if (domains.get(uuid)?.xml !== xml) suspects.push(uuid);
    };
    await this.#o.hypervisor.definitions(told.map(({ uuid }) => uuid), compare, { connections: 1 });
    for (const uuid of suspects) this.#readSoon(uuid);
  }

  /** Stops following; to be called before the hypervisor is disposed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#sampler;
    await this.#readings.idle();
  }

  get #here(): { host: LocalHost; readonly domains: LocalDomains } {
    if (!this.#state) {
      throw new VirtxError("internal", "Cannot tell about this host: its monitor has not started");
    }
    return this.#state;
  }

  /** Ends when the hypervisor closes its queue; once stopped, nothing is done with what still comes. */
  async #followEvents(): Promise<void> {
    for await (const event of this.#o.hypervisor.events) {
      if (this.#stopped.signal.aborted) return;
      try {
        await this.#handle(event);
      } catch (error) { // which must not make this host deaf
        logFailure(this.#o.log, "error", "cannot take over what libvirt tells", error, { kind: event.kind });
      }
    }
  }

  async #sampleRegularly(): Promise<void> {
    const { signal } = this.#stopped;
    let compareAt = 0;
    while (!signal.aborted) {
      await delay(this.#o.sampleIntervalMs, undefined, { signal }).catch(() => {}); // stopped
      if (signal.aborted || !this.#o.hypervisor.connected) continue;
      try {
        if (this.#staleSince === undefined) {
          await this.sample();
          const began = performance.now();
          if (began >= compareAt) {
            await this.compareDefinitions();
            compareAt = performance.now() + COMPARISON_REST * (performance.now() - began);
          }
        } else await this.#resynchronise();
      } catch (error) {
        logFailure(this.#o.log, "warn", "sample failed", error);
      }
    }
  }

  async #handle(event: HypervisorEvent): Promise<void> {
    switch (event.kind) {
      case "connected":
        return await this.#resynchronise().catch((error) => {
          logFailure(this.#o.log, "warn", "resynchronisation failed", error); // the next sample tries again
        });
      case "disconnected":
        this.#staleSince ??= this.#o.clock();
        return this.#o.log.warn("libvirt is away, showing what was known", { reason: event.reason });
      default: {
        using _turn = await this.#turns.lock();
        this.#handleDomain(event);
      }
    }
  }

  #handleDomain(event: DomainEvent): void {
    const { domains } = this.#here;
    if (event.kind === "metadata") this.#readSoon(event.uuid);
    if (event.kind !== "lifecycle") return;
    const runstate = runstateAfter(event.event, event.detail);
    if (runstate !== undefined) {
      this.#noteIoError(event.uuid, tellsIoError(event.event, event.detail));
    }
    // One that has arrived is shown with its definition at once, as libvirt tells that from now on
    const isRead = domains.definition(event.uuid)?.xml !== undefined;
    const told = isRead && runstate !== undefined &&
      domains.hear(event.uuid, runstate, event.at, event.moment);
    if (!told || REDEFINING.includes(event.event)) this.#readSoon(event.uuid);
    const name = enumName(LifecycleEvent, event.event);
    this.#o.log.debug("libvirt event", { vm: event.uuid, event: name, detail: event.detail });
  }

  /** Makes everything true again after libvirt was away. */
  async #resynchronise(): Promise<void> {
    const { hypervisor, libc, domainType, log } = this.#o;
    using _turn = await this.#turns.lock();
    this.#takeAll(await this.#lookAtAll());
    this.#staleSince = undefined;
    // Last, as it is the least urgent: libvirt or QEMU may have been upgraded.
    const host = await learnLocalHost(hypervisor, libc, domainType);
    if (host.uuid === this.uuid) this.#here.host = host;
    else log.error("libvirt came back as another host", { host: this.uuid, other: host.uuid });
    log.info("resynchronised with libvirt", { domains: [...this.domains()].length });
  }

  /** A look with all definitions. Both take libvirt a while for many domains, so it works on them at the same time. */
  async #lookAtAll(): Promise<FullLook> {
    const { hypervisor } = this.#o;
    const read = (xml: string, uuid: string) =>
      this.#state?.domains.definitionOf(uuid, xml) ?? readDefinition(xml, uuid);
    const readAll = async () => {
      const domains = await hypervisor.domains();
      const { found, held } = await hypervisor.definitions(domains.map(({ uuid }) => uuid), read);
      const standIns = await Promise.all(
        [...held].map(async (uuid) => [uuid, await this.#known(uuid)] as const),
      );
      return { definitions: found, withheld: new Map(standIns) };
    };
    const [look, all] = await Promise.all([this.#look(), readAll()]);
    return { ...look, ...all };
  }

  /** What is known of a definition that libvirt does not tell now. */
  async #known(uuid: string): Promise<Definition> {
    const { hypervisor, log } = this.#o;
    const known = this.#state?.domains.definition(uuid);
    if (known) return known;
    const glimpse = hypervisor.glimpse(uuid).catch((error) => {
      logFailure(log, "debug", "cannot tell a domain's name", error, { vm: uuid });
      return undefined;
    });
    const told = await within(GLIMPSE_MS, glimpse) ? await glimpse : undefined;
    return withheldDefinition(uuid, told ?? { name: uuid, memoryKiB: 0, vcpus: 1 });
  }

  /** Replaces all that is known of the domains. */
  #takeAll(look: FullLook): void {
    const { domains } = this.#here;
    const readings = look.domains.flatMap(({ uuid, state, reason }) => {
      const definition = look.definitions.get(uuid) ?? look.withheld.get(uuid);
      if (definition === undefined) return []; // it came between the two answers
      return [{
        uuid,
        definition,
        runstate: runstateOf(state, reason),
        arriving: isArriving({ state, reason }),
      }];
    });
    domains.learnAll(readings, look.asked, this.#o.clock());
    for (const uuid of look.withheld.keys()) this.#unread.add(uuid);
    this.#takeFigures(look);
    this.#followUp(look);
  }

  async #look(): Promise<Look> {
    const { hypervisor, libc } = this.#o;
    const asked = performance.now();
    const atMs = performance.now();
    const host = {
      cpu: parseCpuTimes(libc.readKernelFile("/proc/stat")),
      memory: parseMeminfo(libc.readKernelFile("/proc/meminfo")),
    };
    return { asked, atMs, host, domains: await hypervisor.stats() };
  }

  #takeFigures({ atMs, host: sample, domains: stats }: Look): void {
    const { host: { uuid, def, capacity }, domains } = this.#here;
    for (const one of stats) domains.measure(one, atMs, capacity.mhz);
    const resources = hostResources(capacity, this.#before, sample, domains.demands());
    this.#before = sample;
    const ts = this.#o.clock();
    this.#o.inventory.putHost({ uuid, def, cstate: HostState.active, lockid: 0, resources, ts });
  }

  #noteIoError(uuid: string, paused: boolean): void {
    this.#ioErrors.note(uuid, this.#o.inventory.vm(uuid)?.name ?? uuid, paused);
  }

  /** Has those domains read again that a sample shows otherwise than they were told of, and those that could not be. */
  #followUp({ asked, domains: stats }: Look): void {
    const { domains } = this.#here;
    const shown = new Map(stats.map(({ uuid, state, reason }) => [uuid, runstateOf(state, reason)]));
    const suspects = new Set(this.#unread);
    for (const { uuid, state, reason } of stats) {
      if (domains.heardSince(uuid, asked)) continue;
      this.#noteIoError(uuid, isPausedByIoError(state, reason));
    }
    for (const uuid of shown.keys()) if (!domains.get(uuid)) suspects.add(uuid);
    for (const { uuid, runstate } of domains.values()) {
      if (shown.get(uuid) !== runstate && !domains.heardSince(uuid, asked)) suspects.add(uuid);
    }
    for (const uuid of suspects) this.#readSoon(uuid);
  }

  #readSoon(uuid: string): void {
    this.#unread.delete(uuid);
    this.#readings.run(uuid).catch((error) => {
      this.#unread.add(uuid);
      // That libvirt does not answer is told once, elsewhere
      const level = isWithheld(error) ? "debug" : "warn";
      logFailure(this.#o.log, level, "cannot read a domain", error, { vm: uuid });
    });
  }

  async #read(uuid: string): Promise<void> {
    const { hypervisor, clock } = this.#o;
    const { domains } = this.#here;
    const asked = domains.moment;
    try {
      const [told, { definition, failure }] = await Promise.all([
        hypervisor.state(uuid),
        this.#definition(uuid),
      ]);
      const runstate = runstateOf(told.state, told.reason);
      domains.learn({ uuid, definition, runstate, arriving: isArriving(told) }, asked, clock());
      this.#noteIoError(uuid, isPausedByIoError(told.state, told.reason));
      if (failure !== undefined) throw failure;
    } catch (error) {
      if (!(error instanceof VirtxError) || error.kind !== "not_found") throw error;
      domains.forget(uuid);
      this.#noteIoError(uuid, false);
    }
  }

  /** What libvirt defines the domain as; or what is known of that, and why libvirt does not tell it. */
  async #definition(uuid: string): Promise<{ readonly definition: Definition; readonly failure?: unknown }> {
    try {
      const xml = await this.#o.hypervisor.definition(uuid);
      return { definition: this.#here.domains.definitionOf(uuid, xml) };
    } catch (failure) {
      if (!isWithheld(failure)) throw failure;
      return { definition: await this.#known(uuid), failure };
    }
  }
}

/** Whether libvirt does not tell of a domain now, but may later. */
function isWithheld(error: unknown): boolean {
  return error instanceof VirtxError && (error.kind === "unavailable" || error.kind === "timeout");
}
