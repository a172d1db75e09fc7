import { errorMessage, VirtxError } from "../../model/error.ts";
import { delay } from "../../model/delay.ts";
import { type Query, withQuery } from "./cluster.ts";
import { readEvents, type ServerEvent } from "./event_stream.ts";
import type { Server } from "./server.ts";

/** Between attempts to reach a server again: at first, and at most. */
const RETRY_MS = 250;
const RETRY_MAX_MS = 5_000;

export interface FollowOptions {
  readonly query?: Query;
  readonly signal: AbortSignal;
  /** A stream has begun: what is read from now on is not older than its first event. */
  readonly onOpen?: () => void | Promise<void>;
  readonly onEvent: (event: ServerEvent) => void | Promise<void>;
  /** The server is away, for this reason; it, or another, will be asked again. */
  readonly onLost?: (reason: string) => void;
}

/**
 * Follows the events of the cluster, and begins anew when the server goes away, with whichever answers. Ends only by the
 * signal, or by what `onEvent` throws.
 * @throws VirtxError if no server answers at the first time
 */
export async function follow(server: Server, o: FollowOptions): Promise<void> {
  let id = "";
  let everOpen = false;
  let ms = RETRY_MS;
  while (!o.signal.aborted) {
    const handling = new Handling();
    try {
      await server.follow(withQuery("/events", o.query ?? {}), async (response) => {
        everOpen = true;
        ms = RETRY_MS;
        await handling.of(() => o.onOpen?.());
        if (response.body === null) return;
        for await (const event of readEvents(response.body, (seen) => id = seen)) {
          await handling.of(() => o.onEvent(event));
        }
      }, { headers: id === "" ? {} : { "last-event-id": id }, signal: o.signal });
      o.onLost?.("it has ended the stream");
    } catch (error) {
      o.signal.throwIfAborted();
      if (handling.failure !== undefined) throw handling.failure.error;
      if (!everOpen || !isAway(error)) throw error;
      o.onLost?.(errorMessage(error));
    }
    await delay(ms, o.signal);
    ms = Math.min(RETRY_MAX_MS, ms * 2);
  }
  o.signal.throwIfAborted();
}

/** Tells what the caller's functions threw from what the connection did, as which it arrives. */
class Handling {
  failure: { readonly error: unknown } | undefined;

  async of(call: () => void | Promise<void>): Promise<void> {
    try {
      await call();
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }
}

function isAway(error: unknown): boolean {
  return !(error instanceof VirtxError) || ["unavailable", "unreachable", "timeout"].includes(error.kind);
}
