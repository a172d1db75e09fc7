import type { Clock } from "../model/clock.ts";
import { HostState } from "../model/enums.ts";
import {
  HOST_PARTS,
  type HostCondition,
  type HostFault,
  type HostPart,
  virtxdAway,
} from "../model/host_condition.ts";
import { type HostReport, NOTHING_WRONG, saysTheSame } from "./host_report.ts";
import type { Inventory } from "./inventory.ts";
import type { HostMember, Members } from "./members.ts";
import type { Timers } from "./timers.ts";

/** So many hosts must say that one does not answer: a broken link between two, or one that lies, condemns nobody. */
const VOICES = 2;
/** How long a host that was condemned stays so while fewer say it, for who watches it may be changing. */
const HOLD_MS = 20_000;

/** Hosts that condemn each other in a circle are judged so often at a time; what is left shows with what they say next. */
const ROUNDS_MAX = 4;

/** What {@link Conditions} are made from. */
export interface ConditionsOptions {
  readonly inventory: Pick<Inventory, "host" | "setConditions">;
  readonly self: string;
  readonly members: Pick<Members, "host" | "hosts">;
  /** This host has something else to report. */
  readonly onReport: () => void;
  /** What is shown of a host has changed. */
  readonly onChange: (
    uuid: string,
    before: readonly HostCondition[],
    after: readonly HostCondition[],
  ) => void;
  readonly clock: Clock;
  readonly timers: Timers;
}

const NONE: readonly HostCondition[] = [];

/**
 * What hosts are without, from what they report: of themselves, a host's own word counts; that its virtxd is away, the word of
 * two that have asked it, or of the only one that could. Of a host that Serf does not reach nothing more can be said.
 */
export class Conditions implements Disposable {
  readonly #o: ConditionsOptions;
  /** This host's own is among them. */
  readonly #reports = new Map<string, HostReport>();
  /** Who says of whom that it does not answer. */
  readonly #voices = new Map<string, Set<string>>();
  readonly #shown = new Map<string, readonly HostCondition[]>();
  /** Those that are condemned by fewer than it takes, until when, and what ends that. */
  readonly #held = new Map<string, { readonly until: number; readonly timer: Disposable }>();
  /** Whose conditions are to be looked at again. */
  readonly #due = new Set<string>();
  #reviewing = false;

  constructor(options: ConditionsOptions) {
    this.#o = options;
    this.#reports.set(options.self, NOTHING_WRONG);
  }

  /** What this host tells the others. */
  get report(): HostReport {
    return this.reportOf(this.#o.self) ?? NOTHING_WRONG;
  }

  /** What a host told last; undefined: it tells none, or is not known. */
  reportOf(uuid: string): HostReport | undefined {
    return this.#reports.get(uuid);
  }

  /** What each host is without; those that lack nothing are left out. */
  get shown(): ReadonlyMap<string, readonly HostCondition[]> {
    return this.#shown;
  }

  /** Whether virtxd on a host is away. */
  isAway(uuid: string): boolean {
    return virtxdAway(this.#shown.get(uuid)) !== undefined;
  }

  /** The hosts that say that this one does not answer. */
  get accusers(): readonly string[] {
    return this.#voicesOn(this.#o.self);
  }

  /** What this host is without. */
  setFaults(faults: readonly HostFault[]): void {
    this.#setOwn({ ...this.report, faults });
  }

  /** Which hosts do not answer this one. */
  setUnanswered(unanswered: readonly string[]): void {
    this.#setOwn({ ...this.report, unanswered });
  }

  /** Takes over what a host says; undefined: it says none, as one of an earlier version. */
  take(uuid: string, report: HostReport | undefined): void {
    const before = this.#reports.get(uuid) ?? NOTHING_WRONG;
    const after = report ?? NOTHING_WRONG;
    if (report) this.#reports.set(uuid, report);
    else this.#reports.delete(uuid);
    if (saysTheSame(before, after)) return;
    const about = new Set([...before.unanswered, ...after.unanswered]);
    for (const other of before.unanswered) this.#voices.get(other)?.delete(uuid);
    for (const other of after.unanswered) {
      const voices = this.#voices.get(other) ?? new Set();
      this.#voices.set(other, voices.add(uuid));
    }
    for (const other of about) if (this.#voices.get(other)?.size === 0) this.#voices.delete(other);
    this.#review([uuid, ...about]);
  }

  /** Forgets a host that is none any more. */
  forget(uuid: string): void {
    this.take(uuid, undefined);
    this.#release(uuid);
    this.#show(uuid, NONE);
  }

  /** Which hosts are there has changed, and so who has a say. */
  review(changed: Iterable<string>): void {
    this.#review([...changed, ...this.#voices.keys(), ...this.#shown.keys()]);
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#held.values()) timer[Symbol.dispose]();
    this.#held.clear();
  }

  #setOwn(report: HostReport): void {
    if (saysTheSame(this.report, report)) return;
    this.take(this.#o.self, report);
    this.#o.onReport();
  }

  /** Who is condemned has no say: so what is found of one may change what is to be said of another. */
  #review(uuids: Iterable<string>): void {
    for (const uuid of uuids) this.#due.add(uuid);
    if (this.#reviewing) return; // what is shown now makes others say something
    this.#reviewing = true;
    try {
      for (let rounds = 0; this.#due.size > 0 && rounds < ROUNDS_MAX; rounds++) {
        const due = [...this.#due];
        this.#due.clear();
        for (const uuid of due) {
          const wasAway = this.isAway(uuid);
          this.#show(uuid, this.#judge(uuid));
          if (this.isAway(uuid) === wasAway) continue;
          for (const other of this.#voices.keys()) this.#due.add(other);
        }
      }
      this.#due.clear();
    } finally {
      this.#reviewing = false;
    }
  }

  #judge(uuid: string): readonly HostCondition[] {
    const { self, members } = this.#o;
    const faults = this.#reports.get(uuid)?.faults ?? [];
    if (uuid === self) return this.#conditions(uuid, faults.map((fault) => [fault, OWN_REASONS[fault]]));
    const member = members.host(uuid);
    if (member?.cstate !== HostState.active) {
      this.#release(uuid);
      return member?.cstate === HostState.failed ? this.#conditions(uuid, [["serf", UNREACHED]]) : NONE;
    }
    if (this.#isCondemned(uuid)) return this.#conditions(uuid, [["virtxd", UNANSWERED]]);
    return this.#conditions(uuid, faults.map((fault) => [fault, OWN_REASONS[fault]]));
  }

  #conditions(uuid: string, found: readonly (readonly [HostPart, string])[]): readonly HostCondition[] {
    const before = this.#shown.get(uuid) ?? NONE;
    return HOST_PARTS.flatMap((wanted) =>
      found.flatMap(([part, reason]) => {
        if (part !== wanted) return [];
        const known = before.find((condition) => condition.part === part);
        return known?.reason === reason
          ? [known]
          : [{ part, reason, since: known?.since ?? this.#o.clock() }];
      })
    );
  }

  #isCondemned(uuid: string): boolean {
    const { timers } = this.#o;
    const voices = this.#voicesOn(uuid);
    if (voices.length >= Math.min(VOICES, Math.max(1, this.#watchersOf(uuid)))) {
      this.#release(uuid);
      return true;
    }
    const held = this.#held.get(uuid);
    if (voices.length === 0 || !this.isAway(uuid) || (held && held.until <= timers.now())) {
      this.#release(uuid);
      return false;
    }
    if (held) return true;
    const until = timers.now() + HOLD_MS;
    this.#held.set(uuid, { until, timer: timers.after(HOLD_MS, () => this.#review([uuid])) });
    return true;
  }

  #release(uuid: string): void {
    this.#held.get(uuid)?.timer[Symbol.dispose]();
    this.#held.delete(uuid);
  }

  /** Those that say so and have a say: who is there and is not condemned. */
  #voicesOn(uuid: string): readonly string[] {
    return [...this.#voices.get(uuid) ?? []].filter((voice) => voice !== uuid && this.#hasASay(voice));
  }

  #hasASay(uuid: string): boolean {
    if (uuid === this.#o.self) return true;
    return this.#o.members.host(uuid)?.cstate === HostState.active && !this.isAway(uuid);
  }

  /** How many could watch it. */
  #watchersOf(uuid: string): number {
    let count = 0;
    for (const member of this.#o.members.hosts()) {
      if (member.peer.uuid !== uuid && this.watches(member)) count++;
      if (count >= VOICES) break;
    }
    return count;
  }

  /** Whether a host is one of those that watch others, as those of the prototype and of earlier versions do not. */
  watches({ peer: { uuid, prototype, earlier } }: HostMember): boolean {
    return uuid === this.#o.self || (!prototype && !earlier && this.#hasASay(uuid));
  }

  #show(uuid: string, after: readonly HostCondition[]): void {
    const before = this.#shown.get(uuid) ?? NONE;
    if (before.length === after.length && before.every((condition, at) => condition === after[at])) return;
    if (after.length > 0) this.#shown.set(uuid, after);
    else this.#shown.delete(uuid);
    this.#o.inventory.setConditions(uuid, after);
    this.#o.onChange(uuid, before, after);
  }
}

const UNANSWERED = "virtxd on it does not answer";
const UNREACHED = "Serf does not reach it: the host, its network or its Serf agent is down";

const OWN_REASONS: Readonly<Record<HostFault, string>> = {
  serf: "Serf's agent on it is away",
  libvirt: "libvirt on it is away or hangs",
  storage: "it cannot use the shared storage, and says why at its /readyz",
};
