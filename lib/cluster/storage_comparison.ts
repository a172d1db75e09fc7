import type { Health } from "../model/health.ts";
import type { Logger } from "../model/log.ts";
import type { ToldStorage } from "../model/told_storage.ts";

/** Finds out whether hosts have different storage where they should share one, and reports it. */
export class StorageComparison {
  readonly #health: Health;
  readonly #log: Logger;
  /** The hosts with another one. */
  #differing: readonly string[] = [];

  constructor(health: Health, log: Logger) {
    this.#health = health;
    this.#log = log;
  }

  /** @param others those that are there; the id of this host is undefined as long as it is not known */
  compare(
    here: { readonly host: string; readonly id: string | undefined },
    others: readonly ToldStorage[],
  ): void {
    const differing = here.id === undefined ? [] : others.filter(({ id }) => id !== here.id);
    for (const { host, id } of differing) {
      const reason =
        `hosts ${here.host} and ${host} have different storage at /vms (${here.id} and ${id}): ` +
        "on one of them another one is mounted, or none";
      if (this.#health.report(causeOf(host), { reason, blocking: false })) {
        this.#log.error("another host has different storage", { host, id, here: here.id });
      }
    }
    const names = differing.map(({ host }) => host);
    for (const host of this.#differing) if (!names.includes(host)) this.#health.clear(causeOf(host));
    this.#differing = names;
  }
}

function causeOf(host: string): string {
  return `storage of ${host}`;
}
