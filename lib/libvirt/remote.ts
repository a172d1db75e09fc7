import { VirtxError } from "../model/error.ts";
import type { Connection } from "./connection.ts";
import { compareCpu, type CpuComparison } from "./cpu.ts";
import { settlesWithin } from "./deadline.ts";
import {
  type Domain,
  type KnownDomain,
  knownDomains,
  type StateReason,
  undefineFlags,
  type UndefineOptions,
  withDomain,
} from "./domain.ts";
import type { DomainJob } from "./job.ts";
import { activeNetworks } from "./network.ts";
import * as node from "./node.ts";

/** How long a call may take. What ends a guest waits for its QEMU. */
const CALL_MS = 5_000, END_MS = 15_000;

/**
 * The libvirt of another host, over a connection of its own. The calls are those of {@link Hypervisor} of the same names. After one
 * that is not answered in time (`timeout`) no other is made.
 */
export class RemoteLibvirt {
  readonly #connection: Connection;
  readonly #uri: string;

  constructor(connection: Connection, uri: string) {
    this.#connection = connection;
    this.#uri = uri;
  }

  capabilities(): Promise<string> {
    return this.#ask("get its capabilities", node.capabilities);
  }

  hypervisorVersion(): Promise<number> {
    return this.#ask("get its hypervisor's version", node.hypervisorVersion);
  }

  domainCapabilities(guest: node.GuestKind): Promise<string> {
    return this.#ask("get its capabilities of domains", (c) => node.domainCapabilities(c, guest));
  }

  compareCpu(cpuXml: string, guest: node.GuestKind): Promise<CpuComparison> {
    return this.#ask("compare processors", (c) => compareCpu(c, cpuXml, guest));
  }

  activeNetworks(): Promise<string[]> {
    return this.#ask("list its networks", activeNetworks);
  }

  domains(): Promise<KnownDomain[]> {
    return this.#ask("list its domains", knownDomains);
  }

  isActive(uuid: string): Promise<boolean> {
    return this.#askDomain("get the state of", uuid, (domain) => domain.isActive());
  }

  state(uuid: string): Promise<StateReason> {
    return this.#askDomain("get the state of", uuid, (domain) => domain.state());
  }

  job(uuid: string): Promise<DomainJob | undefined> {
    return this.#askDomain("get the job of", uuid, (domain) => domain.job());
  }

  liveXml(uuid: string): Promise<string> {
    return this.#askDomain("get the XML of", uuid, (domain) => domain.liveXml());
  }

  resume(uuid: string): Promise<void> {
    return this.#askDomain("resume", uuid, (domain) => domain.resume());
  }

  destroy(uuid: string, o: { graceful: boolean }): Promise<void> {
    return this.#askDomain("destroy", uuid, (domain) => domain.destroy(o.graceful), END_MS);
  }

  async undefine(uuid: string, o: UndefineOptions = {}): Promise<void> {
    const flags = undefineFlags(await this.#ask("get its driver", node.driverType), o);
    await this.#askDomain("undefine", uuid, (domain) => domain.undefine(flags));
  }

  #askDomain<T>(
    what: string,
    uuid: string,
    task: (domain: Domain) => Promise<T>,
    ms = CALL_MS,
  ): Promise<T> {
    return this.#ask(`${what} domain ${uuid} there`, (connection) => withDomain(connection, uuid, task), ms);
  }

  async #ask<T>(what: string, task: (connection: Connection) => Promise<T>, ms = CALL_MS): Promise<T> {
    const connection = this.#connection;
    const whole = `Cannot ${what}, ${this.#uri}`;
    const asked = task(connection);
    if (!await settlesWithin(ms, asked)) {
      const late = new VirtxError("timeout", `${whole}: no answer within ${ms / 1000} s`);
      connection.retire(late);
      throw late;
    }
    try {
      return await asked;
    } catch (error) {
      throw VirtxError.wrap(error, whole);
    }
  }
}
