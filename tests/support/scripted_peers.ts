import type { MigrationVerdict } from "../../lib/model/vm.ts";
import { VirtxError } from "../../lib/model/error.ts";
import type { DomainLook, TargetCheck } from "../../lib/vm/migration_exchange.ts";
import type { MigrationPeers } from "../../lib/vm/migration_peers.ts";

/** Other hosts as a migration meets them: what they say is up to the test, what they were asked is kept. */
export class ScriptedPeers implements MigrationPeers {
  areKnown = true;
  /** Of each host that is alive. */
  readonly addresses = new Map<string, string>();
  readonly prototypes = new Set<string>();
  /** What each host says to whether it can take a VM; a host that says nothing cannot be reached. */
  readonly verdicts = new Map<
    string,
    Pick<MigrationVerdict, "obstacles" | "load"> & Partial<MigrationVerdict>
  >();
  /** What the target has of the VM; undefined: it does not tell. */
  there: DomainLook["presence"] | undefined = "absent";
  /** What hosts have of the VM that are not alive according to Serf; undefined: they do not answer. */
  beyondSerf: DomainLook["presence"] | undefined;
  readonly asked: TargetCheck[] = [];
  /** What hosts were made to do. */
  readonly done: string[] = [];

  address(host: string): string | undefined {
    return this.addresses.get(host);
  }

  isPrototype(host: string): boolean {
    return this.prototypes.has(host);
  }

  check(host: string, request: TargetCheck): Promise<MigrationVerdict> {
    this.asked.push(request);
    const verdict = this.verdicts.get(host);
    if (verdict === undefined) return Promise.reject(silence(host));
    return Promise.resolve({
      host,
      name: `name of ${host}`,
      fits: verdict.obstacles.length === 0,
      ...verdict,
    });
  }

  look(host: string): Promise<DomainLook> {
    if (this.there === undefined) return Promise.reject(silence(host));
    return Promise.resolve({ presence: this.there, persistent: true, migrating: false });
  }

  lookBeyondSerf(host: string): Promise<DomainLook> {
    if (this.beyondSerf === undefined) return Promise.reject(silence(host));
    return Promise.resolve({ presence: this.beyondSerf, persistent: true, migrating: false });
  }

  async seeArrival(host: string): Promise<void> {
    await this.look(host);
  }

  resume(): Promise<void> {
    this.done.push("resume");
    this.there = "running";
    return Promise.resolve();
  }

  discard(): Promise<void> {
    this.done.push("discard");
    this.there = "absent";
    return Promise.resolve();
  }
}

function silence(host: string): VirtxError {
  return new VirtxError("unreachable", `host ${host} does not answer`);
}
