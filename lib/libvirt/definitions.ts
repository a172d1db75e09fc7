import { VirtxError } from "../model/error.ts";
import type { Connection } from "./connection.ts";
import { settlesWithin } from "./deadline.ts";
import { type Domain, listDomains, withDomain } from "./domain.ts";
import { libvirtAway } from "./error.ts";
import { printUnlessOccupied } from "./printing.ts";

/** From how many definitions on one list of all domains costs less than a look-up for each. */
const BULK = 32;
/** How long one definition may take where libvirt may have the caller wait. */
const PATIENCE_MS = 2_000;

/** Many definitions, as far as libvirt tells them. */
export interface Definitions<T> {
  /** What was read of them, by UUID; domains that do not exist are left out. */
  readonly found: ReadonlyMap<string, T>;
  /** The domains whose definitions libvirt does not tell now, since their QEMU does not answer, or they are only arriving. */
  readonly held: ReadonlySet<string>;
}

/** The task of fetching many definitions, shared by as many connections as {@link work} on it. */
export class DefinitionsJob<T> implements Definitions<T> {
  readonly found = new Map<string, T>();
  readonly held = new Set<string>();
  readonly #uuids: Iterator<string>;
  readonly #bulk: boolean;
  readonly #underJob: boolean;
  readonly #read: (xml: string, uuid: string) => T;
  readonly #done = Promise.withResolvers<void>();
  #left: number;

  /** @param underJob whether libvirt prints a domain only when nothing else is done with it */
  constructor(
    uuids: readonly string[],
    read: (xml: string, uuid: string) => T,
    { underJob }: { readonly underJob: boolean },
  ) {
    this.#read = read;
    this.#uuids = uuids.values();
    this.#bulk = uuids.length >= BULK;
    this.#underJob = underJob;
    this.#left = uuids.length;
    if (this.#left === 0) this.#done.resolve();
  }

  /** Resolves when all is told that libvirt tells; who works on it may still wait for a domain that is held. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Fetches over this connection what nobody else has begun to, until nothing is left. */
  async work(connection: Connection): Promise<void> {
    if (!this.#bulk) {
      return await this.#drain(
        connection,
        (uuid, use) => withDomain(connection, uuid, use),
      );
    }
    using list = await listDomains(connection);
    const domains = new Map<string, Domain>(list.domains.map((domain) => [domain.uuid, domain]));
    await this.#drain(connection, async (uuid, use) => {
      const domain = domains.get(uuid);
      return domain && await use(domain);
    });
  }

  async #drain(
    connection: Connection,
    withEach: (uuid: string, use: (domain: Domain) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    for (let next = this.#uuids.next(); !next.done; next = this.#uuids.next()) {
      const uuid = next.value;
      const fetching = unlessGone(withEach(uuid, (domain) => this.#fetch(uuid, domain)));
      // Somebody may have begun to do something with the domain since it was looked at
      if (this.#underJob && !await settlesWithin(PATIENCE_MS, fetching)) {
        this.held.add(uuid);
        connection.retire(libvirtAway(`libvirt did not tell the definition of domain ${uuid}`));
        this.#settle();
        return await fetching.catch(() => {}); // what it uses must be there until then
      }
      await fetching;
      this.#settle();
    }
  }

  async #fetch(uuid: string, domain: Domain): Promise<void> {
    const print = () => domain.definition();
    const told = this.#underJob ? await printUnlessOccupied(domain, print) : await print();
    if (typeof told !== "string") this.held.add(uuid);
    else if (!this.held.has(uuid)) this.found.set(uuid, this.#read(told, uuid));
  }

  #settle(): void {
    if (--this.#left === 0) this.#done.resolve();
  }
}

async function unlessGone(result: Promise<void>): Promise<void> {
  try {
    await result;
  } catch (error) {
    if (!(error instanceof VirtxError) || error.kind !== "not_found") throw error;
  }
}
