import type { OperationRelay } from "./operation_relay.ts";

/** For how long there is a relay when nobody listens. */
const LINGER_MS = 60_000;

export interface RelayKeeperOptions {
  /** Begins to relay. */
  readonly begin: () => Pick<OperationRelay, "ready"> & Disposable;
  /** The relay is ready now; the number of the first event that can only have been had from it. */
  readonly ready: () => number;
  readonly isHeard: () => boolean;
}

/** Sees to it that there is a relay while somebody listens, and a little longer, so that who comes back misses nothing. */
export class RelayKeeper implements Disposable {
  readonly #o: RelayKeeperOptions;
  #relay: ReturnType<RelayKeeperOptions["begin"]> | undefined;
  #since: Promise<number> | undefined;
  #check: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RelayKeeperOptions) {
    this.#o = options;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#check);
    this.#relay?.[Symbol.dispose]();
    this.#relay = undefined;
    this.#since = undefined;
  }

  /** For somebody who is about to listen: resolves when nothing is missed from then on, with the number of that event. */
  async keep(): Promise<number> {
    this.linger();
    if (!this.#since) {
      const relay = this.#relay = this.#o.begin();
      this.#since = relay.ready.then(() => this.#o.ready());
    }
    return await this.#since;
  }

  /** For somebody who listens no more. */
  linger(): void {
    clearTimeout(this.#check);
    this.#check = setTimeout(() => {
      if (!this.#o.isHeard()) this[Symbol.dispose]();
    }, LINGER_MS);
  }
}
