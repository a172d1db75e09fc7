/** A Server-Sent Event as it arrived. */
import { inBackground } from "../../lib/model/background.ts";
export interface ReceivedEvent {
  /** "message" if it has no name. */
  readonly name: string;
  readonly data: string;
  readonly id: string;
}

/** Nothing on this machine takes so long; it ends a test that would hang. */
const PATIENCE_MS = 10_000;

/** Reads a stream of events as a browser would (WHATWG HTML §9.2.6), as far as the test asks it to. */
export class EventReader implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<string>;
  /** The id from which a browser would go on. */
  lastId = "";
  #rest = "";
  #ended = false;
  readonly #ready: ReceivedEvent[] = [];

  constructor(response: Response) {
    const text = (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream());
    this.#reader = text.getReader();
  }

  /** The next event; undefined: the stream has ended. */
  async next(): Promise<ReceivedEvent | undefined> {
    const timer = setTimeout(() => inBackground(this.#reader.cancel()), PATIENCE_MS);
    try {
      while (this.#ready.length === 0 && !this.#ended) await this.#read();
      return this.#ready.shift();
    } finally {
      clearTimeout(timer);
    }
  }

  /** So many events. */
  async take(count: number): Promise<ReceivedEvent[]> {
    const events: ReceivedEvent[] = [];
    while (events.length < count) {
      const event = await this.next();
      if (!event) throw new Error(`the stream ended after ${events.length} of ${count} events`);
      events.push(event);
    }
    return events;
  }

  /** Waits for the first id, with which the stream begins. */
  async opened(): Promise<this> {
    while (this.lastId === "" && !this.#ended) await this.#read();
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }

  async #read(): Promise<void> {
    const { done, value = "" } = await this.#reader.read();
    this.#ended = done;
    const blocks = (this.#rest + value).split("\n\n");
    this.#rest = blocks.pop() ?? "";
    for (const block of blocks) this.#take(block);
  }

  #take(block: string): void {
    const fields = new Map(
      block.split("\n").map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
      }),
    );
    this.lastId = fields.get("id") ?? this.lastId;
    const data = fields.get("data");
    if (data !== undefined) {
      this.#ready.push({ name: fields.get("event") ?? "message", data, id: this.lastId });
    }
  }
}
