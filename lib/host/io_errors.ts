import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";

/** The condition's name in {@link Health}. */
const CAUSE = "io errors";
/** VMs that are named in the condition; of the others only the number is told. */
const NAMED_MAX = 5;

/** Tells of guests that QEMU has paused because a disk could not be read or written, until they go on or are ended. */
export class IoErrors {
  readonly #health: Health;
  readonly #log: Logger;
  /** Names, by the VM's UUID. */
  readonly #paused = new Map<string, string>();

  constructor(health: Health, log: Logger) {
    this.#health = health;
    this.#log = log;
  }

  /** Whether a guest stands still for that reason. */
  has(uuid: string): boolean {
    return this.#paused.has(uuid);
  }

  /** A VM was found so, or otherwise, or gone. */
  note(uuid: string, name: string, paused: boolean): void {
    if (paused === this.#paused.has(uuid)) return;
    if (paused) {
      this.#paused.set(uuid, name);
      this.#log.error("a guest is paused: a disk cannot be read or written, or is full", { vm: uuid, name });
    } else {
      this.#paused.delete(uuid);
      this.#log.info("a guest that was paused by an I/O error goes on, or is gone", { vm: uuid, name });
    }
    this.#report();
  }

  #report(): void {
    const all = [...this.#paused.values()].map((name) => `"${name}"`);
    if (all.length === 0) return void this.#health.clear(CAUSE);
    const more = all.length > NAMED_MAX ? ` and ${all.length - NAMED_MAX} more` : "";
    const which = `${all.length === 1 ? "VM" : "VMs"} ${all.slice(0, NAMED_MAX).join(", ")}${more}`;
    const reason = `${which} paused by an I/O error: see to the storage, then resume`;
    this.#health.report(CAUSE, { reason, blocking: false });
  }
}
