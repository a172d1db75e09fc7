import type { OriginState, Vector, Want } from "./exchange.ts";
import type { Peer, PeerPort } from "./ports.ts";
import type { Timers } from "./timers.ts";

const ANSWER_TIMEOUT_MS = 10_000;

/** Questions to peers, which end after a while, and when this is disposed. */
export class Questions implements Disposable {
  readonly #port: PeerPort;
  readonly #timers: Timers;
  readonly #stopped = new AbortController();

  constructor(o: { port: PeerPort; timers: Timers }) {
    this.#port = o.port;
    this.#timers = o.timers;
  }

  get stopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  vector(peer: Peer, known: string): Promise<Vector | undefined> {
    return this.#ask((signal) => this.#port.vector(peer, known, signal));
  }

  states(peer: Peer, wants: readonly Want[]): Promise<readonly OriginState[]> {
    return this.#ask((signal) => this.#port.states(peer, wants, signal));
  }

  /** Whether a peer answers within that time. */
  probe(peer: Peer, timeoutMs: number): Promise<void> {
    return this.#ask((signal) => this.#port.probe(peer, signal), timeoutMs);
  }

  [Symbol.dispose](): void {
    this.#stopped.abort();
  }

  async #ask<T>(
    question: (signal: AbortSignal) => Promise<T>,
    timeoutMs = ANSWER_TIMEOUT_MS,
  ): Promise<T> {
    const late = new AbortController();
    using _timer = this.#timers.after(timeoutMs, () => late.abort());
    const answer = await question(AbortSignal.any([this.#stopped.signal, late.signal]));
    this.#stopped.signal.throwIfAborted();
    return answer;
  }
}
