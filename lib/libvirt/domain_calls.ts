import type { Health } from "../model/health.ts";
import { VirtxError } from "../model/error.ts";
import type { Logger } from "../model/log.ts";
import { RETRY_AFTER_S } from "./error.ts";

/**
 * What a call needs of a domain: a `look` its lock in libvirtd, which is held for moments, mostly; a `job` libvirt's job on
 * the domain too, of which there is one at a time, and which lasts until QEMU has answered; a `start` likewise, but longer. An
 * `end` does not wait for QEMU.
 */
export type CallKind = "look" | "job" | "start" | "end";

/** How a {@link DomainCalls} is made. */
export interface DomainCallsOptions {
  /** How long a call of each kind may be under way until its domain counts as stuck. */
  readonly patienceMs: Readonly<Record<CallKind, number>>;
  /** What people call the domain. */
  readonly nameOf: (uuid: string) => string;
  readonly health?: Health | undefined;
  readonly log: Logger;
}

interface Call {
  readonly what: string;
  readonly kind: CallKind;
  readonly since: number;
  overdue: boolean;
}

/**
 * The calls about domains that are under way, also those that nobody waits for any more. A domain about which libvirt does not
 * answer gets no further call that would wait behind the first, so that it holds up one connection, one thread and one of
 * libvirtd's workers, not all of them. Calls that end a domain are let through always.
 */
export class DomainCalls {
  readonly #o: DomainCallsOptions;
  readonly #calls = new Map<string, Set<Call>>();
  /** Domains whose QEMU does not answer libvirt, whoever asked, and since when. */
  #suspects = new Map<string, number>();

  constructor(options: DomainCallsOptions) {
    this.#o = options;
  }

  /** Domains about which libvirt does not answer. */
  get stuck(): readonly string[] {
    const overdue = [...this.#calls].filter(([, calls]) => [...calls].some((call) => call.overdue));
    return [...new Set([...overdue.map(([uuid]) => uuid), ...this.#suspects.keys()])];
  }

  /** @throws VirtxError `unavailable` if a call of this kind would wait behind one that libvirt does not answer */
  require(uuid: string, kind: CallKind): void {
    if (kind === "end") return;
    const first = [...this.#calls.get(uuid) ?? []].find((call) =>
      call.overdue && (kind !== "look" || call.kind === "look")
    );
    const since = first?.since ?? (kind === "look" ? undefined : this.#suspects.get(uuid));
    if (since === undefined) return;
    const seconds = Math.round((performance.now() - since) / 1000);
    throw new VirtxError(
      "unavailable",
      `libvirt has not answered about ${this.#o.nameOf(uuid)} for ${seconds} s` +
        (first ? ` (to ${first.what} it)` : ""),
      { retryAfterS: RETRY_AFTER_S },
    );
  }

  /** Runs a call about a domain. @throws what {@link require} does, and what the call throws */
  async run<T>(uuid: string, what: string, kind: CallKind, task: () => Promise<T>): Promise<T> {
    this.require(uuid, kind);
    const call: Call = { what, kind, since: performance.now(), overdue: false };
    const calls = this.#calls.get(uuid) ?? new Set();
    this.#calls.set(uuid, calls.add(call));
    const timer = setTimeout(() => {
      call.overdue = true;
      this.#report(uuid);
    }, this.#o.patienceMs[kind]);
    try {
      return await task();
    } finally {
      clearTimeout(timer);
      calls.delete(call);
      if (calls.size === 0 && this.#calls.get(uuid) === calls) this.#calls.delete(uuid);
      if (call.overdue) this.#clear(uuid);
    }
  }

  /** The domains whose QEMU does not answer libvirt, and for how many milliseconds, in place of those that were told before. */
  suspect(silences: ReadonlyMap<string, number>): void {
    const before = this.#suspects;
    const now = performance.now();
    const stuck = [...silences].filter(([, ms]) => ms >= this.#o.patienceMs.job);
    this.#suspects = new Map(stuck.map(([uuid, ms]) => [uuid, now - ms]));
    for (const [uuid] of stuck) this.#report(uuid);
    for (const uuid of before.keys()) this.#clear(uuid);
  }

  /** For messages: the domains that are stuck, by name; undefined: none is. */
  describe(): string | undefined {
    const [first, ...others] = this.stuck.map(this.#o.nameOf);
    if (first === undefined) return undefined;
    const rest = others.length > 2 ? [...others.slice(0, 1), `${others.length - 1} others`] : others;
    return `it does not answer about ${[first, ...rest].join(", ")}`;
  }

  #report(uuid: string): void {
    const { health, log, nameOf } = this.#o;
    const reason = `libvirt does not answer about ${nameOf(uuid)}`;
    const isNew = health?.report(`domain ${uuid}`, { reason, blocking: false });
    if (isNew) log.warn("libvirt does not answer about a VM; does its QEMU hang?", { vm: uuid });
  }

  #clear(uuid: string): void {
    if (this.stuck.includes(uuid)) return;
    if (this.#o.health?.clear(`domain ${uuid}`)) {
      this.#o.log.info("libvirt answers about a VM again", { vm: uuid });
    }
  }
}
