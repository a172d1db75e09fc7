import type { RemoteConsole } from "../../../lib/api/console_line.ts";
import { dial } from "../../../lib/cli/console/dial.ts";
import type { LabCluster } from "./lab_cluster.ts";
import { MigrationCluster, Traveller } from "./migration_cluster.ts";

/** A guest that is emulated may be silent for so long when all is well, not longer. */
const PATIENCE_MS = 30_000;

/** Waits, but not for ever. */
async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Two hosts, and a VM that runs on the first. */
export class Scene implements AsyncDisposable {
  private constructor(readonly hosts: MigrationCluster, readonly traveller: Traveller) {}

  static async up(): Promise<Scene> {
    const hosts = await MigrationCluster.up(2);
    try {
      const traveller = await Traveller.create(hosts.cluster, "web1");
      await traveller.boot();
      return new Scene(hosts, traveller);
    } catch (error) {
      await hosts[Symbol.asyncDispose]();
      throw error;
    }
  }

  get cluster(): LabCluster {
    return this.hosts.cluster;
  }

  get vm(): string {
    return this.traveller.vm;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hosts[Symbol.asyncDispose]();
  }
}

/** A console of the scene's VM, through one of its hosts, as a program uses it. */
export class User {
  #text = "";

  private constructor(readonly line: RemoteConsole) {}

  static async at({ cluster, vm }: Scene, by: number, force = false): Promise<User> {
    const endpoints = [cluster.daemon(by).url];
    const { signal } = new AbortController();
    return new User(await dial({ endpoints, uuid: vm, force, headers: {}, signal }));
  }

  async send(line: string): Promise<void> {
    await this.line.write(new TextEncoder().encode(`${line}\n`));
  }

  /** Reads until the pattern has come; all that came up to its end. */
  async expect(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.#text);
      if (found) {
        const end = found.index + found[0].length;
        const text = this.#text.slice(0, end);
        this.#text = this.#text.slice(end);
        return text;
      }
      const part = await within(
        `${pattern}, after ${JSON.stringify(this.#text.slice(-200))}`,
        this.line.read(),
      );
      if (part === undefined) throw new Error(`the console ended before ${pattern}; it said:\n${this.#text}`);
      this.#text += new TextDecoder("latin1").decode(part);
    }
  }

  /** How it ended. */
  async end(): Promise<{ code: number; reason: string }> {
    while (await within("the console to end", this.line.read()) !== undefined);
    return await within("the reason", this.line.ended);
  }
}
