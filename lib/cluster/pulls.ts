import { inBackground } from "../model/background.ts";
import { logFailure } from "../model/defect.ts";
import { errorMessage, isInvalid } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { OriginState } from "./exchange.ts";
import type { Knowledge } from "./knowledge.ts";
import type { Peer } from "./ports.ts";
import type { Questions } from "./questions.ts";
import { jittered, type Random, type Timers } from "./timers.ts";

/** Pulls at a time; of one origin there is never more than one. */
const CONCURRENCY = 4;
/** After a pull that brought nothing; twice as long after each further one. */
const RETRY_MS = 500;
/** Then it is left to the comparing of notes. */
const ATTEMPTS = 5;
/** All hosts notice the same gap at the same time: they pull spread over so long for each of them, at most so long. */
const SPREAD_MS_PER_PEER = 5;
const SPREAD_MAX_MS = 1000;

/** What {@link Pulls} are made from. */
export interface PullsOptions {
  readonly questions: Questions;
  readonly knowledge: Pick<Knowledge, "lack" | "restMs">;
  /** The peers that are alive and can be asked. */
  readonly peers: () => readonly Peer[];
  /** Takes over an answer to what was asked at that time. */
  readonly adopt: (states: readonly OriginState[], from: Peer, askedAt: number) => void;
  /** An answer was not understood. */
  readonly onOdd?: (from: Peer, reason: string) => void;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Logger;
}

/** Makes good what is known to be missing of single origins, by asking the origin itself, or another host if that fails. */
export class Pulls implements Disposable {
  readonly #o: PullsOptions;
  /** Those that are planned or under way, with the timers of the former. */
  readonly #open = new Map<string, Disposable>();
  readonly #due: { readonly uuid: string; readonly attempts: number }[] = [];
  #running = 0;

  constructor(options: PullsOptions) {
    this.#o = options;
  }

  /** Has an origin pulled soon, unless it is so already. */
  pull(uuid: string): void {
    if (this.#open.has(uuid)) return;
    const spreadMs = Math.min(SPREAD_MAX_MS, this.#o.peers().length * SPREAD_MS_PER_PEER);
    this.#plan(uuid, 0, this.#o.knowledge.restMs(uuid) + spreadMs * this.#o.random());
  }

  [Symbol.dispose](): void {
    for (const timer of this.#open.values()) timer[Symbol.dispose]();
    this.#open.clear();
    this.#due.length = 0;
  }

  #plan(uuid: string, attempts: number, ms: number): void {
    const timer = this.#o.timers.after(ms, () => {
      this.#due.push({ uuid, attempts });
      this.#work();
    });
    this.#open.set(uuid, timer);
  }

  #work(): void {
    while (this.#running < CONCURRENCY) {
      const next = this.#due.shift();
      if (!next) return;
      this.#running++;
      const done = this.#attempt(next.uuid, next.attempts).finally(() => {
        this.#running--;
        this.#work();
      });
      inBackground(done);
    }
  }

  async #attempt(uuid: string, attempts: number): Promise<void> {
    const { knowledge, questions, adopt, timers, random, log } = this.#o;
    const want = knowledge.lack(uuid);
    const peer = this.#choose(uuid, attempts);
    if (want && peer) {
      try {
        const askedAt = timers.now();
        adopt(await questions.states(peer, [want]), peer, askedAt);
      } catch (error) {
        if (isInvalid(error)) this.#o.onOdd?.(peer, errorMessage(error));
        logFailure(log, "debug", "cannot pull a host's state", error, { host: uuid, from: peer.uuid });
      }
    }
    this.#open.delete(uuid);
    if (questions.stopped || !knowledge.lack(uuid) || attempts + 1 >= ATTEMPTS) return;
    const retryMs = jittered(RETRY_MS * 2 ** attempts, 0.5, random);
    this.#plan(uuid, attempts + 1, Math.max(knowledge.restMs(uuid), retryMs));
  }

  /** The origin, and each second time, or if it is not there, somebody else. */
  #choose(uuid: string, attempts: number): Peer | undefined {
    const peers = this.#o.peers();
    const origin = peers.find((peer) => peer.uuid === uuid);
    if (origin && attempts % 2 === 0) return origin;
    const others = peers.filter((peer) => peer !== origin);
    return others[Math.floor(this.#o.random() * others.length)] ?? origin;
  }
}
