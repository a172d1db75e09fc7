import { VirtxError } from "../model/error.ts";
import { Fields } from "./fields.ts";
import { type Member, parseMember } from "./member.ts";

const CHANGES = ["join", "leave", "failed", "update", "reap"] as const;

/** update: the tags or address changed; reap: a member that left or failed long ago is forgotten. */
export type MemberChange = (typeof CHANGES)[number];

/**
 * Members changed. The agent waits for 1 to 3 s whether more changes come, and tells of each member only the last: one
 * that failed, came back and set its tags is told as `update`. What counts is each member's status.
 */
export interface MembersEvent {
  readonly kind: "members";
  readonly change: MemberChange;
  readonly members: readonly Member[];
}

/** Somebody in the cluster, perhaps we, sent a user event: name and payload are as untrusted as the sender. */
export interface UserEvent {
  readonly kind: "user";
  readonly name: string;
  readonly payload: Uint8Array;
  /** Serf's Lamport time: greater than that of every event that the sender had seen. */
  readonly lTime: number;
}

/** What comes over an agent's stream. */
export type StreamedEvent = MembersEvent | UserEvent;

/** News of the cluster, and of the agent that tells them. Between `disconnected` and `connected` there is none. */
export type SerfEvent =
  | StreamedEvent
  /** The agent is back, with our tags; what happened meanwhile has to be asked for. */
  | { readonly kind: "connected" }
  | { readonly kind: "disconnected"; readonly reason: string };

/** A record of the stream; undefined for queries, which are not for us. @throws VirtxError `invalid` */
export function parseEvent(record: unknown): StreamedEvent | undefined {
  const fields = new Fields(record, "an event");
  const type = fields.text("Event");
  if (type === "query") return undefined;
  if (type === "user") {
    return {
      kind: "user",
      name: fields.text("Name"),
      payload: fields.bytes("Payload"),
      lTime: fields.integer("LTime"),
    };
  }
  const change = CHANGES.find((known) => type === `member-${known}`);
  if (change === undefined) throw new VirtxError("invalid", `an event of unknown type`);
  return { kind: "members", change, members: fields.list("Members").map(parseMember) };
}
