import type { Connection } from "./connection.ts";
import { libvirtAway } from "./error.ts";

/** How many connections are kept for later. libvirtd lets a few thousand clients in, but each costs it memory. */
const KEPT = 4;

/** Connections to one libvirt for who needs one for a while: opened when none is idle, and a few kept. */
export class Connections implements AsyncDisposable {
  readonly #open: () => Promise<Connection>;
  readonly #idle: Connection[] = [];
  #closing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(open: () => Promise<Connection>) {
    this.#open = open;
  }

  /** One for the caller alone, until it is given back. @throws VirtxError `unavailable` */
  async take(): Promise<Connection> {
    if (this.#closed) throw libvirtAway("virtxd is ending");
    return this.#idle.pop() ?? await this.#open();
  }

  /** Takes one back, or closes it. */
  async give(connection: Connection): Promise<void> {
    if (connection.usable && !this.#closed && this.#idle.length < KEPT) this.#idle.push(connection);
    else await connection.close();
  }

  /** Closes those that are idle. One after the other, since each may take a thread until libvirtd answers, or is given up. */
  reset(): void {
    const idle = this.#idle.splice(0);
    const before = this.#closing;
    this.#closing = (async () => {
      await before;
      for (const connection of idle) await connection.close();
    })();
  }

  /** Closes all; those that are in use are closed when they are given back. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.reset();
    await this.#closing;
  }
}
