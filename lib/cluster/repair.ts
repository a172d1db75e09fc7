import { inBackground } from "../model/background.ts";
import { logFailure } from "../model/defect.ts";
import { errorMessage, isInvalid } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import type { Archive } from "./archive.ts";
import type { OriginState, Vector, Want } from "./exchange.ts";
import type { Knowledge, Witness } from "./knowledge.ts";
import type { Peer } from "./ports.ts";
import type { Questions } from "./questions.ts";
import { compareStamps, type Stamp } from "./stamp.ts";
import { jittered, type Random, type Timers } from "./timers.ts";

/** Between two comparisons, if nothing calls for one. */
const ROUND_MS = 5000;
/** After one has come, others that come are waited for so long: many that come together are met together. */
const MEETING_MS = 300;
/** Of many that come together, so many are asked: each knows what all on its side of a partition know. */
const MEETINGS = 3;
/** VMs that are asked for in one go, so that neither side works on an answer for long. */
const BATCH_VMS = 500;

/** What {@link Repair} is made from. */
export interface RepairOptions {
  readonly questions: Questions;
  readonly archive: Archive;
  readonly knowledge: Knowledge;
  /** The peers that are alive and can be asked. */
  readonly peers: () => readonly Peer[];
  readonly isMember: (uuid: string) => boolean;
  /** Takes over an answer to what was asked at that time. */
  readonly adopt: (states: readonly OriginState[], from: Peer, askedAt: number) => void;
  /** An origin is to be pulled from itself. */
  readonly pull: (uuid: string) => void;
  /** A peer's knowledge of an origin is shared now; whether it dates from before the origin was away, for all the peer knows. */
  readonly onShared: (uuid: string, doubted: boolean) => void;
  /** A peer has heard of a later life of this host than its own. */
  readonly onLaterLife: (epoch: number) => void;
  /** An answer was not understood. */
  readonly onOdd?: (from: Peer, reason: string) => void;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Finds what gossip has lost without a trace: each host compares notes with one random peer every few seconds, and with
 * whoever comes. So what one host knows, all know after a few rounds (about log2 of the number of hosts), whatever was
 * lost, and Serf carries none of it.
 */
export class Repair implements Disposable {
  readonly #o: RepairOptions;
  readonly #met = new Map<string, Peer>();
  #meeting: Disposable | undefined;
  #round: Disposable | undefined;
  #lastComparison: number | undefined;

  constructor(options: RepairOptions) {
    this.#o = options;
  }

  /** When notes were last compared, on the clock of the timers; undefined: never. */
  get lastComparison(): number | undefined {
    return this.#lastComparison;
  }

  /** Begins to compare notes regularly. */
  start(): void {
    const { timers, random, peers, questions } = this.#o;
    this.#round = timers.after(jittered(ROUND_MS, 0.2, random), () => {
      const compared = this.#compare(this.#someOf(peers())).finally(() => {
        if (!questions.stopped) this.start();
      });
      inBackground(compared);
    });
  }

  /** Compares notes soon with these, who have just come. */
  meet(peer: Peer): void {
    const { timers, random } = this.#o;
    this.#met.set(peer.uuid, peer);
    this.#meeting ??= timers.after(jittered(MEETING_MS, 0.5, random), () => inBackground(this.#meetAll()));
  }

  [Symbol.dispose](): void {
    this.#round?.[Symbol.dispose]();
    this.#meeting?.[Symbol.dispose]();
  }

  async #meetAll(): Promise<void> {
    this.#meeting = undefined;
    for (let rest = MEETINGS; rest > 0; rest--) {
      const peer = this.#someOf([...this.#met.values()]);
      if (!peer) break;
      this.#met.delete(peer.uuid);
      await this.#compare(peer);
    }
    this.#met.clear();
  }

  async #compare(peer: Peer | undefined): Promise<void> {
    const { questions, archive, timers, log } = this.#o;
    if (!peer || questions.stopped) return;
    try {
      const askedAt = timers.now();
      const theirs = await questions.vector(peer, archive.vector().digest);
      if (theirs) await this.#catchUp(peer, theirs, askedAt);
      this.#lastComparison = timers.now();
    } catch (error) {
      if (isInvalid(error)) this.#o.onOdd?.(peer, errorMessage(error));
      logFailure(log, "debug", "cannot compare notes", error, { host: peer.uuid });
    }
  }

  /** Asks a peer for all that it knows better. */
  async #catchUp(peer: Peer, { origins }: Vector, askedAt: number): Promise<void> {
    const { questions, knowledge, adopt, timers, onShared } = this.#o;
    const ask = async (wants: readonly Want[]) => {
      const at = timers.now();
      adopt(await questions.states(peer, wants), peer, at);
    };
    let batch: Want[] = [];
    let vms = 0;
    for (const entry of origins) {
      const want = this.#wantOf(entry, entry.uuid === peer.uuid ? { askedAt } : undefined);
      if (!want) continue;
      if (batch.length > 0 && vms + entry.count > BATCH_VMS) {
        await ask(batch);
        batch = [];
        vms = 0;
      }
      // What changed since is hardly more than a few.
      vms += want.since ? 1 : entry.count;
      batch.push(want);
    }
    if (batch.length > 0) await ask(batch);
    for (const { uuid, doubted = false } of origins) {
      if (knowledge.lack(uuid)) this.#o.pull(uuid);
      else onShared(uuid, doubted);
    }
  }

  /** What a peer, or the origin itself, could tell of an origin that it knows to this point. */
  #wantOf(entry: Stamp & { readonly uuid: string }, witness: Witness): Want | undefined {
    const { knowledge, archive, isMember, onLaterLife } = this.#o;
    if (entry.uuid === archive.uuid) {
      if (compareStamps(entry, archive.stamp) > 0) onLaterLife(entry.epoch);
      return undefined;
    }
    if (!isMember(entry.uuid) || !knowledge.learn(entry.uuid, entry, witness)) return undefined;
    return knowledge.restMs(entry.uuid) > 0 ? undefined : knowledge.lack(entry.uuid);
  }

  #someOf(peers: readonly Peer[]): Peer | undefined {
    return peers[Math.floor(this.#o.random() * peers.length)];
  }
}
