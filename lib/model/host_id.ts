import { createHash } from "node:crypto";
import { formatUuid } from "./uuid.ts";

/** How many bytes of an id stand for the host: two of 1,000 hosts have the same once in 500 million clusters. */
const HOST_BYTES = 6;

/**
 * A new id for something of that host, an operation for example: a UUID of version 8 (RFC 9562 §5.8) that begins with a hash of
 * the host's UUID and is random for the rest. So every host can tell from the id alone whose it is, and any host can make one for
 * another.
 */
export function newIdOfHost(host: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes.set(hashOf(host));
  bytes[6] = (bytes[6] ?? 0) & 0x0f | 0x80;
  bytes[8] = (bytes[8] ?? 0) & 0x3f | 0x80;
  return formatUuid(bytes);
}

/** Which of these hosts an id is of; undefined: none. */
export function hostOfId(id: string, hosts: Iterable<string>): string | undefined {
  const start = id.replaceAll("-", "").slice(0, 2 * HOST_BYTES);
  for (const host of hosts) if (hashOf(host).toHex() === start) return host;
  return undefined;
}

function hashOf(host: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(host).digest()).subarray(0, HOST_BYTES);
}
