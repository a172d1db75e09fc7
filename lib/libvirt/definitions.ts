import { VirtxError } from "../model/error.ts";
import type { Connection } from "./connection.ts";
import { type Domain, listDomains, withDomain } from "./domain.ts";

/** From how many definitions on one list of all domains costs less than a look-up for each. */
const BULK = 32;

/** The task of fetching many definitions, shared by as many connections as {@link work} on it. */
export class DefinitionsJob<T> {
  /** What was read of the definitions, by UUID; domains that do not exist are left out. */
  readonly found = new Map<string, T>();
  readonly #queue: Iterator<string>;
  readonly #bulk: boolean;
  readonly #read: (xml: string, uuid: string) => T;

  constructor(uuids: readonly string[], read: (xml: string, uuid: string) => T) {
    this.#read = read;
    this.#queue = uuids.values();
    this.#bulk = uuids.length >= BULK;
  }

  /** Fetches over this connection what nobody else has begun to, until nothing is left. */
  async work(connection: Connection): Promise<void> {
    if (!this.#bulk) {
      return await this.#drain((uuid) => withDomain(connection, uuid, (domain) => domain.definition()));
    }
    using list = await listDomains(connection);
    const domains = new Map<string, Domain>(list.domains.map((domain) => [domain.uuid, domain]));
    await this.#drain((uuid) => domains.get(uuid)?.definition());
  }

  async #drain(fetch: (uuid: string) => Promise<string> | undefined): Promise<void> {
    for (let next = this.#queue.next(); !next.done; next = this.#queue.next()) {
      const xml = await unlessGone(fetch(next.value));
      if (xml !== undefined) this.found.set(next.value, this.#read(xml, next.value));
    }
  }
}

async function unlessGone<T>(result: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof VirtxError && error.kind === "not_found") return undefined;
    throw error;
  }
}
