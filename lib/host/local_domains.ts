import type { Inventory } from "../cluster/inventory.ts";
import type { DomainSummary } from "../domain_xml/mod.ts";
import type { DomainStats } from "../libvirt/stats.ts";
import { Runstate } from "../model/enums.ts";
import type { VmInfo } from "../model/vm.ts";
import { type Definition, readDefinition } from "./definition.ts";
import type { VmDemand } from "./figures.ts";
import { countersOf, NO_FIGURES, type VmCounters, type VmFigures, vmFigures } from "./vm_figures.ts";

/** A domain of this host's libvirt, as last heard of. Frozen and replaced, never changed in place. */
export interface LocalDomain {
  readonly uuid: string;
  /** What can be told of it, even if its definition cannot. */
  readonly summary: DomainSummary;
  /** The inactive definition, as libvirt prints it; undefined: libvirt has not told it yet, see {@link Definition}. */
  readonly xml: string | undefined;
  /** Why the definition cannot be read, or not in full; undefined: it can. */
  readonly flaw: string | undefined;
  readonly runstate: Runstate;
  /** Whether it comes from another host, where it is not gone yet, and which has its definition on record. */
  readonly arriving: boolean;
  readonly stats: VmFigures;
  /** When its definition or run state last changed, UTC milliseconds. */
  readonly ts: number;
}

/** One whose definition libvirt has told. */
export interface DefinedDomain extends LocalDomain {
  readonly xml: string;
}

/** What libvirt answered when it was asked for one domain. */
export interface DomainReading {
  readonly uuid: string;
  readonly definition: Definition;
  readonly runstate: Runstate;
  readonly arriving: boolean;
}

/** A moment on a clock that only goes forward, in milliseconds (performance.now). */
export type Moment = number;

/**
 * How late an event may reach us, after an answer of libvirt that is newer than it: the two come over different connections. One
 * that comes so soon after libvirt was asked, and tells something else, does not say which of them is the newer.
 */
const LATE_MS = 2_000;

interface Entry {
  readonly domain: LocalDomain;
  readonly definition: Definition;
  /** As of the last sample; undefined: not sampled in this run of the VM. */
  readonly counters: VmCounters | undefined;
  /** When its run state was last heard of. */
  readonly heard: Moment;
  /** When libvirt was last asked for its run state, of the answers that were taken over. */
  readonly asked: Moment;
}

const ACTIVE: ReadonlySet<Runstate> = new Set([
  Runstate.startup,
  Runstate.running,
  Runstate.paused,
  Runstate.migrating,
  Runstate.terminating,
  Runstate.pmsuspended,
]);

/**
 * The domains of this host, and their copy in the inventory. An answer of libvirt may be older than an event that
 * overtook it, so whoever asks notes the moment before, and a run state heard of after that moment stays.
 * (Nothing is lost by it: had the answer been the newer one, another event would follow.) An event may be older than an
 * answer, too: one that had arrived before libvirt was asked tells nothing new, and one that arrives soon after that makes
 * who hears of it ask again.
 */
export class LocalDomains {
  readonly #host: string;
  readonly #inventory: Inventory;
  readonly #onDefinition: (uuid: string, definition: Definition | undefined) => void;
  readonly #entries = new Map<string, Entry>();
  /** Domains that migrate away; see {@link leaving}. */
  readonly #leaving = new Set<string>();
  /** Those of them that libvirt has no more. */
  #gone: Set<string> = new Set();

  readonly #now: () => Moment;

  /**
   * @param onDefinition is told when a domain has another definition; undefined: the domain is gone
   * @param now the clock of all moments
   */
  constructor(
    host: string,
    inventory: Inventory,
    onDefinition: (uuid: string, definition: Definition | undefined) => void = () => {},
    now: () => Moment = () => performance.now(),
  ) {
    this.#host = host;
    this.#inventory = inventory;
    this.#onDefinition = onDefinition;
    this.#now = now;
  }

  /** Now. */
  get moment(): Moment {
    return this.#now();
  }

  get(uuid: string): LocalDomain | undefined {
    return this.#entries.get(uuid)?.domain;
  }

  *values(): Iterable<LocalDomain> {
    for (const { domain } of this.#entries.values()) yield domain;
  }

  /** The definition that is known of it. */
  definition(uuid: string): Definition | undefined {
    return this.#entries.get(uuid)?.definition;
  }

  /** What this XML defines; what is known already is not read again. */
  definitionOf(uuid: string, xml: string): Definition {
    const known = this.#entries.get(uuid)?.definition;
    return known?.xml === xml ? known : readDefinition(xml, uuid);
  }

  /** Whether a run state of this domain was heard of after the moment. */
  heardSince(uuid: string, moment: Moment): boolean {
    return (this.#entries.get(uuid)?.heard ?? 0) > moment;
  }

  /**
   * Takes over an answer.
   * @param asked the moment before libvirt was asked
   * @param ts UTC milliseconds, for what has changed
   */
  learn(reading: DomainReading, asked: Moment, ts: number): void {
    this.#gone.delete(reading.uuid);
    const before = this.#entries.get(reading.uuid);
    const entry = this.#entryOf(reading, before, asked, ts);
    if (entry.domain === before?.domain) this.#entries.set(reading.uuid, entry);
    else this.#put(entry);
  }

  /**
   * Takes over the answers for all domains: those that are not among them are gone, unless they were heard of meanwhile.
   * The inventory is told in one go.
   */
  learnAll(readings: readonly DomainReading[], asked: Moment, ts: number): void {
    const kept = [...this.#entries.values()].filter(({ heard, domain: { uuid } }) =>
      heard > asked || this.#leaving.has(uuid)
    );
    const entries = readings.map((reading) =>
      this.#entryOf(reading, this.#entries.get(reading.uuid), asked, ts)
    );
    const known = new Set(this.#entries.keys());
    this.#entries.clear();
    this.#gone = this.#leaving.difference(new Set(readings.map(({ uuid }) => uuid)));
    for (const entry of [...kept, ...entries]) this.#entries.set(entry.domain.uuid, entry);
    for (const { domain: { uuid }, definition } of this.#entries.values()) {
      this.#onDefinition(uuid, definition);
    }
    for (const uuid of known) if (!this.#entries.has(uuid)) this.#onDefinition(uuid, undefined);
    this.#inventory.replaceVmsOf(
      this.#host,
      Array.from(this.#entries.values(), (entry) => this.#infoOf(entry)),
    );
  }

  /**
   * Whether the domain migrates away from this host. libvirt says "running" until the very end of that, "paused" then, and
   * at last nothing, while much may still be to do; until told otherwise it is shown as migrating, even if libvirt has
   * removed it. Who sets it has the domain read again for the truth.
   */
  leaving(uuid: string, leaves: boolean, ts: number): void {
    if (leaves) this.#leaving.add(uuid);
    else this.#leaving.delete(uuid);
    const entry = this.#entries.get(uuid);
    if (leaves && entry) this.#show(entry, entry.domain.runstate, ts, this.moment);
    if (!leaves && this.#gone.delete(uuid)) this.forget(uuid);
  }

  /** The run state to show. */
  #shown(uuid: string, runstate: Runstate): Runstate {
    return this.#leaving.has(uuid) ? Runstate.migrating : runstate;
  }

  /**
   * Takes over a run state that an event told.
   * @param ts UTC milliseconds, for what has changed
   * @param arrived when the event did
   * @returns false: libvirt has to be asked, as the domain is not known, or the event may be older than what is
   */
  hear(uuid: string, told: Runstate, ts: number, arrived: Moment = this.moment): boolean {
    const entry = this.#entries.get(uuid);
    if (!entry) return false;
    if (arrived <= entry.asked) return true;
    const isNews = entry.domain.runstate !== this.#shown(uuid, told);
    if (isNews && arrived - entry.asked < LATE_MS) return false;
    this.#show(entry, told, ts, arrived);
    return true;
  }

  #show(entry: Entry, told: Runstate, ts: number, heard: Moment): void {
    const { uuid } = entry.domain;
    const runstate = this.#shown(uuid, told);
    if (entry.domain.runstate === runstate) {
      this.#entries.set(uuid, { ...entry, heard });
    } else {
      const arriving = entry.domain.arriving && runstate === Runstate.startup;
      const domain = Object.freeze({
        ...entry.domain,
        runstate,
        arriving,
        ts: Math.max(ts, entry.domain.ts),
      });
      this.#put({ ...entry, domain, heard, counters: ACTIVE.has(runstate) ? entry.counters : undefined });
    }
  }

  /** Takes over the figures of a sample; `atMs` is monotonic, `mhz` that of one CPU. */
  measure(stats: DomainStats, atMs: number, mhz: number): void {
    const entry = this.#entries.get(stats.uuid);
    if (!entry) return;
    const { domain, definition: { hardware }, counters: before } = entry;
    const active = ACTIVE.has(domain.runstate);
    const now = active ? countersOf(stats, atMs) : undefined;
    const figures = vmFigures({ stats, hardware, active, before, now, mhz }, domain.stats);
    // Memory and disk figures of a VM that is off stay the same for weeks: then nothing new is kept.
    const measured = sameFigures(figures, domain.stats)
      ? domain
      : Object.freeze({ ...domain, stats: Object.freeze(figures) });
    this.#entries.set(stats.uuid, {
      ...entry,
      domain: measured,
      counters: now ?? (active ? before : undefined),
    });
  }

  /** The domain is gone. */
  forget(uuid: string): void {
    if (this.#leaving.has(uuid)) return void this.#gone.add(uuid);
    if (!this.#entries.delete(uuid)) return;
    this.#onDefinition(uuid, undefined);
    this.#inventory.removeVm(uuid, Infinity, this.#host);
  }

  /** What each takes of the host. */
  *demands(): Iterable<VmDemand> {
    for (const { domain, definition: { summary, hardware } } of this.#entries.values()) {
      yield {
        vcpus: summary.vcpus,
        memoryMiB: domain.stats.memory_capacity,
        residentMiB: domain.stats.memory_used,
        hugepages: hardware.hugepages,
        active: ACTIVE.has(domain.runstate),
        mhzUsed: domain.stats.mhz_used,
      };
    }
  }

  #entryOf(reading: DomainReading, before: Entry | undefined, asked: Moment, ts: number): Entry {
    const { uuid, definition, arriving } = reading;
    const read = this.#shown(uuid, reading.runstate);
    const { xml, summary, flaw, hardware: { memoryMiB } } = definition;
    if (!before) {
      const stats = Object.freeze({ ...NO_FIGURES, memory_capacity: memoryMiB });
      const domain = Object.freeze({ uuid, summary, xml, flaw, runstate: read, arriving, stats, ts });
      return { domain, definition, counters: undefined, heard: 0, asked };
    }
    const isOvertaken = before.heard > asked;
    const runstate = isOvertaken ? before.domain.runstate : read;
    const since = isOvertaken ? before.asked : Math.max(asked, before.asked);
    if (before.domain.xml === xml && before.domain.runstate === runstate) return { ...before, asked: since };
    return {
      ...before,
      asked: since,
      definition,
      domain: Object.freeze({
        ...before.domain,
        summary,
        xml,
        flaw,
        runstate,
        arriving: arriving && runstate === Runstate.startup,
        ts: Math.max(ts, before.domain.ts),
      }),
      counters: ACTIVE.has(runstate) ? before.counters : undefined,
    };
  }

  #put(entry: Entry): void {
    const { domain: { uuid }, definition } = entry;
    if (this.#entries.get(uuid)?.definition !== definition) this.#onDefinition(uuid, definition);
    this.#entries.set(uuid, entry);
    this.#inventory.putVm(this.#infoOf(entry));
  }

  #infoOf({ domain, definition }: Entry): VmInfo {
    const { name, vlanid, custom, vcpus } = definition.summary;
    return {
      uuid: domain.uuid,
      name,
      host: this.#host,
      runstate: domain.runstate,
      vlanid,
      custom,
      vcpus,
      ts: domain.ts,
    };
  }
}

function sameFigures(a: VmFigures, b: VmFigures): boolean {
  return (Object.keys(a) as (keyof VmFigures)[]).every((name) => a[name] === b[name]);
}
