import { ApiClient } from "../../../lib/api/client.ts";
import { errorMessage } from "../../../lib/model/error.ts";

/** What a client has seen. */
export interface Experience {
  /** Of each request that was answered as it should be, in milliseconds, in the order in which they were asked. */
  readonly ms: readonly number[];
  /** Of each that was not: what was asked, and what came. */
  readonly failures: readonly string[];
}

/** A client that asks one thing after the other, as a person's program would, and waits for each answer. */
export class GoodClient implements Disposable {
  readonly #api: ApiClient;
  readonly #ms: number[] = [];
  readonly #failures: string[] = [];

  /** @param address `unix:/path/of/the/socket` or `http://host:port` */
  constructor(address: string, timeoutMs: number) {
    this.#api = new ApiClient({ address, timeoutMs });
  }

  get experience(): Experience {
    return { ms: this.#ms, failures: this.#failures };
  }

  /** Asks, and remembers how that went; whether it was answered as it should be. */
  async ask(method: string, path: string, body?: unknown): Promise<boolean> {
    const began = performance.now();
    try {
      await this.#api.request(method, path, body);
      this.#ms.push(performance.now() - began);
      return true;
    } catch (error) {
      const ms = Math.round(performance.now() - began);
      this.#failures.push(`${method} ${path} after ${ms} ms: ${errorMessage(error)}`);
      return false;
    }
  }

  [Symbol.dispose](): void {
    this.#api[Symbol.dispose]();
  }
}

/** The time within which so many of 100 answers came. */
export function percentile(ms: readonly number[], percent: number): number {
  const sorted = ms.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * percent / 100))] ?? NaN;
}
