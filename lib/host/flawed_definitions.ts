import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import type { Definition } from "./definition.ts";

/** The condition's name in {@link Health}. */
const CAUSE = "definitions";
/** VMs that are named in the condition; of the others only the number is told. */
const NAMED_MAX = 5;

/** Tells of definitions that cannot be read, until they can be or are gone. */
export class FlawedDefinitions {
  readonly #health: Health;
  readonly #log: Logger;
  /** By the VM's UUID. */
  readonly #flawed = new Map<string, { readonly name: string; readonly flaw: string }>();

  constructor(health: Health, log: Logger) {
    this.#health = health;
    this.#log = log;
  }

  /** A VM has this definition now; undefined: it is gone. */
  note(uuid: string, definition: Definition | undefined): void {
    const before = this.#flawed.get(uuid);
    const flaw = definition?.flaw;
    if (before?.flaw === flaw) return;
    if (definition === undefined || flaw === undefined) {
      this.#flawed.delete(uuid);
      this.#log.info("a definition that could not be read is readable or gone", { vm: uuid });
    } else {
      this.#flawed.set(uuid, { name: definition.summary.name, flaw });
      this.#log.warn("cannot read a definition", { vm: uuid, name: definition.summary.name, reason: flaw });
    }
    this.#report();
  }

  #report(): void {
    const all = [...this.#flawed].map(([uuid, { name, flaw }]) => `VM "${name}" (${uuid}): ${flaw}`);
    if (all.length === 0) return void this.#health.clear(CAUSE);
    const more = all.length > NAMED_MAX ? `; and those of ${all.length - NAMED_MAX} more VMs` : "";
    const reason = `definitions cannot be read: ${all.slice(0, NAMED_MAX).join("; ")}${more}`;
    this.#health.report(CAUSE, { reason, blocking: false });
  }
}
