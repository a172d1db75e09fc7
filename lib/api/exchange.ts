import type { RequestsOfConnection } from "./connections.ts";

/** What a listener knows of the connection that a request came on. */
export interface Connection {
  /** Whether the listener is bound to a loopback address, where a browser on this machine is the only outsider. */
  readonly loopback: boolean;
  /** The client's address; undefined on a unix socket. */
  client(): string | undefined;
  /** What the request means for it; left out: nobody looks after it. */
  readonly held?: RequestsOfConnection | undefined;
}

/**
 * One request and what becomes known of it while it is answered. It travels as Hono's environment (`c.env`), so that
 * nothing has to be looked up by name on the way.
 */
export interface Exchange {
  readonly request: Request;
  readonly connection: Connection;
  /** The request's own `X-Request-Id`, or one of ours: in the logs, in problem details, and in the answer. */
  readonly id: string;
  /** Whether it is the request's own. */
  readonly isOwnId: boolean;
  readonly startedMs: number;
  /** The operation of protocol.md §1, once the path is known. */
  operation: string | undefined;
  /** Whether it changes nothing. */
  readsOnly: boolean;
  /** Whether the answer goes on until the client goes away. */
  streams: boolean;
  /** The name of the host that it was passed on to. */
  passedTo: string | undefined;
  /** The id under which what was asked for can be looked up. */
  tracked: string | undefined;
  /** Why the request failed, for the log line. */
  failure: Error | undefined;
}
