import { VirtxError } from "../model/error.ts";

/** How many bytes of answers may wait until their clients take them, of all clients and of one. */
const TOTAL_MAX = 256 * 1024 * 1024;
const PER_CLIENT_MAX = 64 * 1024 * 1024;
const RETRY_S = 2;

/** The memory for large answers that are on their way. */
export class AnswerBudget {
  readonly #clients = new Map<string, number>();
  #taken = 0;

  /**
   * Takes memory until the answer is sent, or its client has gone.
   * @throws VirtxError unavailable: too much waits already
   */
  take(client: string, bytes: number, sent: Promise<unknown>): void {
    const mine = this.#clients.get(client) ?? 0;
    // One answer is always possible, however large.
    if (mine > 0 && (this.#taken + bytes > TOTAL_MAX || mine + bytes > PER_CLIENT_MAX)) {
      const why = "Cannot answer now: too many large answers wait for their clients to take them; try again";
      throw new VirtxError("unavailable", why, { retryAfterS: RETRY_S });
    }
    this.#add(client, bytes);
    const giveBack = () => this.#add(client, -bytes);
    sent.then(giveBack, giveBack);
  }

  #add(client: string, bytes: number): void {
    this.#taken += bytes;
    const left = (this.#clients.get(client) ?? 0) + bytes;
    if (left > 0) this.#clients.set(client, left);
    else this.#clients.delete(client);
  }
}
