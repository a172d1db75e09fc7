import { inBackground } from "../model/background.ts";
import { logFailure } from "../model/defect.ts";
import { VirtxError } from "../model/error.ts";
import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import type { Mounted, StorageMount } from "../storage/mount.ts";

/** Until it is tried again where it has failed. */
const RETRY_MS = 5_000;
const CAUSE = "recovery";
const REASON = "what an earlier virtxd left half done is not settled yet";

/**
 * The settling of what an earlier life of the daemon left on the storage: in the start, or, if the storage is not there then,
 * as soon as it is. Until it is done nothing may be changed on the storage.
 */
export class Recovery implements Mounted, Disposable {
  readonly #mount: StorageMount;
  readonly #health: Health;
  readonly #log: Logger;
  #done = false;
  #running = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(mount: StorageMount, health: Health, log: Logger) {
    this.#mount = mount;
    this.#health = health;
    this.#log = log;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  get id(): string | undefined {
    return this.#mount.id;
  }

  async check(): Promise<VirtxError | undefined> {
    const refusal = await this.#mount.check();
    if (refusal || this.#done) return refusal;
    return new VirtxError("unavailable", REASON, { retryAfterS: RETRY_MS / 1_000 });
  }

  /**
   * Settles, or puts that off; what it throws in the first case keeps the daemon from starting.
   * @param settle can be repeated if it fails
   */
  async begin(settle: () => Promise<void>): Promise<void> {
    if (await this.#mount.check() === undefined) {
      await settle();
      this.#done = true;
      return;
    }
    this.#health.report(CAUSE, { reason: REASON, blocking: true });
    this.#mount.onReturn(() => inBackground(this.#again(settle)));
  }

  async #again(settle: () => Promise<void>): Promise<void> {
    if (this.#done || this.#running) return;
    this.#running = true;
    clearTimeout(this.#timer);
    try {
      await settle();
      this.#done = true;
      this.#health.clear(CAUSE);
    } catch (error) {
      logFailure(this.#log, "warn", "cannot settle what was left half done yet", error);
      this.#timer = setTimeout(() => inBackground(this.#again(settle)), RETRY_MS);
    } finally {
      this.#running = false;
    }
  }
}
