import { inBackground } from "../model/background.ts";
import { logFailure } from "../model/defect.ts";
import type { Logger } from "../model/log.ts";
import type { Peer } from "./ports.ts";
import type { Questions } from "./questions.ts";
import { type RingPlace, watchedBy } from "./ring.ts";
import { jittered, type Random, type Timers } from "./timers.ts";

/** Between two probes of a host. */
const PROBE_MS = 5_000;
/** How long a probe may take, as {@link Questions.probe} has it. */
export const PROBE_TIMEOUT_MS = 3_000;
/** After a probe that was not answered: only the second in a row counts, for a daemon may be starting again. */
const RETRY_MS = 2_000;
const FAILURES = 2;
/** A deadline that was noticed so much too late tells that this host itself is held up, and nothing of the other. */
const HELD_UP_MS = 1_000;

/** A host that can be watched. */
export interface WatchedHost extends RingPlace {
  readonly peer: Peer;
}

/** What a {@link Watch} is made from. */
export interface WatchOptions {
  readonly self: string;
  /** The hosts that are there, according to Serf. */
  readonly hosts: () => readonly WatchedHost[];
  readonly questions: Pick<Questions, "probe" | "stopped">;
  /** Other hosts do not answer than before. */
  readonly onChange: (unanswered: readonly string[]) => void;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Logger;
}

interface Target {
  readonly peer: Peer;
  failures: number;
  next: Disposable | undefined;
  isAsked: boolean;
}

/** Asks some hosts again and again whether they are there: Serf tells only that their agents are. */
export class Watch implements Disposable {
  readonly #o: WatchOptions;
  readonly #targets = new Map<string, Target>();
  #started = false;

  constructor(options: WatchOptions) {
    this.#o = options;
  }

  /** Begins. */
  start(): void {
    this.#started = true;
    this.review();
  }

  /** Which hosts are there, or who watches, has changed. */
  review(): void {
    if (!this.#started) return;
    const hosts = new Map(this.#o.hosts().map((host) => [host.peer.uuid, host]));
    const watched = new Set(watchedBy(this.#o.self, hosts.values()));
    let isChanged = false;
    for (const [uuid, { peer, failures, next }] of this.#targets) {
      const now = watched.has(uuid) ? hosts.get(uuid)?.peer : undefined;
      if (now?.address === peer.address && now.port === peer.port) continue;
      next?.[Symbol.dispose]();
      this.#targets.delete(uuid);
      isChanged ||= failures >= FAILURES;
    }
    for (const uuid of watched) {
      const peer = hosts.get(uuid)?.peer;
      if (!peer || this.#targets.has(uuid)) continue;
      const target: Target = { peer, failures: 0, next: undefined, isAsked: false };
      this.#targets.set(uuid, target);
      this.#plan(target, PROBE_MS * this.#o.random());
    }
    if (isChanged) this.#tell();
  }

  /** A host has been heard of: if it did not answer, it may do so now. */
  heard(uuid: string): void {
    const target = this.#targets.get(uuid);
    if (target && target.failures > 0 && !target.isAsked) this.#plan(target, 0);
  }

  [Symbol.dispose](): void {
    this.#started = false;
    for (const { next } of this.#targets.values()) next?.[Symbol.dispose]();
    this.#targets.clear();
  }

  #plan(target: Target, ms: number): void {
    target.next?.[Symbol.dispose]();
    target.next = this.#o.timers.after(ms, () => inBackground(this.#probe(target)));
  }

  async #probe(target: Target): Promise<void> {
    const { questions, timers, random, log } = this.#o;
    const { peer } = target;
    const before = target.failures;
    const askedAt = timers.now();
    target.isAsked = true;
    try {
      await questions.probe(peer, PROBE_TIMEOUT_MS);
      target.failures = 0;
    } catch (error) {
      logFailure(log, "debug", "a host does not answer", error, { host: peer.uuid });
      const isHeldUp = timers.now() - askedAt > PROBE_TIMEOUT_MS + HELD_UP_MS;
      if (!isHeldUp) target.failures++;
    }
    target.isAsked = false;
    if (questions.stopped || this.#targets.get(peer.uuid) !== target) return;
    const isDoubtful = target.failures > 0 && target.failures < FAILURES;
    this.#plan(target, jittered(isDoubtful ? RETRY_MS : PROBE_MS, 0.1, random));
    if ((before >= FAILURES) !== (target.failures >= FAILURES)) this.#tell();
  }

  #tell(): void {
    const unanswered: string[] = [];
    for (const [uuid, { failures }] of this.#targets) if (failures >= FAILURES) unanswered.push(uuid);
    this.#o.onChange(unanswered.sort());
  }
}
