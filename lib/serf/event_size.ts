/** The agents' `user_event_size_limit`, unless configured otherwise; in bytes. */
export const DEFAULT_EVENT_LIMIT = 512;

/**
 * What the agent puts around name and payload before it compares with its limit (serf/serf.go, UserEvent): the type,
 * and a map of LTime, Name, Payload and CC with an integer of up to 9 bytes, the text's and the bytes' lengths.
 */
const ENVELOPE_BYTES = 38;
/** From which length on a name's own length takes 3 bytes rather than 1. */
const LONG_NAME = 32;

/** The largest payload that an agent with this limit takes under this name, however far its Lamport time got. */
export function payloadRoom(name: string, limit: number = DEFAULT_EVENT_LIMIT): number {
  const nameBytes = new TextEncoder().encode(name).length;
  return Math.max(0, limit - ENVELOPE_BYTES - nameBytes - (nameBytes < LONG_NAME ? 0 : 2));
}
