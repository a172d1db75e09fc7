import { readServerSentEvents } from "../../api/server_sent_events.ts";

/** An event as a server sends it (Server-Sent Events, WHATWG HTML §9.2). */
export interface ServerEvent {
  readonly type: string;
  readonly data: string;
  /** From which to go on; empty: none was given yet. */
  readonly id: string;
}

/** The longest event that is taken, in characters. */
const EVENT_MAX = 1024 * 1024;

/**
 * Takes a stream of events apart. Comments give nothing but their id.
 * @param onSign is called for whatever arrives, also for signs of life
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  onSign: (id: string) => void = () => {},
): AsyncGenerator<ServerEvent> {
  for await (const { name, data, id } of readServerSentEvents(body, EVENT_MAX)) {
    onSign(id);
    if (data !== undefined) yield { type: name, data, id };
  }
}
