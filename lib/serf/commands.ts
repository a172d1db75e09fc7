import { parseMembers } from "./member.ts";
import type { Member } from "./member.ts";
import { type AgentStats, parseStats } from "./stats.ts";

/**
 * A command of the agent's RPC. Whether a body follows the header of its answer is a matter of the command, and nothing
 * in the header tells: those with `parse` have one, even if the header has an error. (Serf: command/agent/ipc.go)
 */
export interface Command<T> {
  readonly name: string;
  readonly parse?: (body: unknown) => T;
}

export const HANDSHAKE: Command<void> = { name: "handshake" };
export const AUTH: Command<void> = { name: "auth" };
export const STREAM: Command<void> = { name: "stream" };
export const EVENT: Command<void> = { name: "event" };
export const TAGS: Command<void> = { name: "tags" };
export const MEMBERS: Command<Member[]> = { name: "members", parse: parseMembers };
export const STATS: Command<AgentStats> = { name: "stats", parse: parseStats };

/**
 * Errors with which the agent refuses a command before it has looked at it: no body follows, whatever the command, and
 * the agent has not read the request's body either, so that it takes it for the next command.
 */
export const UNREAD_REFUSALS: ReadonlySet<string> = new Set([
  "Handshake required",
  "Authentication required",
  "Unsupported command",
]);
