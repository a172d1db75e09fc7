import type { SerfEvent } from "../serf/events.ts";
import type { Member } from "../serf/member.ts";
import type { OriginState, Vector, Want } from "./exchange.ts";

export type { SerfEvent } from "../serf/events.ts";
export type { Member } from "../serf/member.ts";

/** What the cluster needs of a Serf agent. */
export interface SerfPort {
  readonly connected: boolean;
  /** Ends when the agent is let go. */
  readonly events: AsyncIterable<SerfEvent>;
  members(): Promise<readonly Member[]>;
  /** The member that the agent itself is. */
  self(): Promise<Member>;
  /** Adds to the agent's tags, and removes others. */
  setTags(tags: Readonly<Record<string, string>>, remove?: readonly string[]): Promise<void>;
  /** Tells all agents, this one too; never coalesced. */
  userEvent(name: string, payload: Uint8Array): Promise<void>;
}

/** Where another host is to be reached. */
export interface Peer {
  readonly uuid: string;
  /** Its Serf node name, for messages. */
  readonly name: string;
  /** Textual IPv4 or IPv6 address, from Serf. */
  readonly address: string;
  /** Of its API. */
  readonly port: number;
  /** Whether it is a host of the Go prototype, which knows no exchange. */
  readonly prototype: boolean;
  /** Whether it is a host of an earlier version, which heeds neither records on shared storage nor the trash, and watches nobody. */
  readonly earlier?: boolean | undefined;
  /** Whether it listens nowhere that others could reach; left out: it does. */
  readonly closed?: boolean | undefined;
  /** The id of its storage; left out: it does not say, as hosts of earlier versions. */
  readonly storage?: string | undefined;
}

/** How hosts ask each other for what they know; all fail with a VirtxError, and when the signal says so. */
export interface PeerPort {
  /** What the peer knows of all origins; undefined: its vector has this digest, so there is nothing to say. */
  vector(peer: Peer, known: string, signal: AbortSignal): Promise<Vector | undefined>;
  /** What the peer knows of these origins. Those it does not know are left out. */
  states(peer: Peer, wants: readonly Want[], signal: AbortSignal): Promise<readonly OriginState[]>;
  /** Whether the peer answers anything at all; also one of the prototype. */
  probe(peer: Peer, signal: AbortSignal): Promise<void>;
}
