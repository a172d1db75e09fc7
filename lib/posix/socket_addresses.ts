const AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10;

/** One end of a socket. Of a unix socket: its path, which is empty if it has none, and port 0. */
export interface SocketAddress {
  /** An IP address as the runtime writes it (RFC 5952), or a path. */
  readonly address: string;
  readonly port: number;
}

/** Reads a struct sockaddr_in, sockaddr_in6 or sockaddr_un; undefined: it is of another family. */
export function parseSocketAddress(
  bytes: Uint8Array<ArrayBuffer>,
  length: number,
): SocketAddress | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  switch (view.getUint16(0, true)) {
    case AF_INET:
      return { address: bytes.subarray(4, 8).join("."), port: view.getUint16(2) };
    case AF_INET6:
      return { address: ipv6(bytes.subarray(8, 24)), port: view.getUint16(2) };
    case AF_UNIX: {
      const path = bytes.subarray(2, Math.min(length, bytes.length));
      const end = path.indexOf(0);
      return { address: new TextDecoder().decode(end < 0 ? path : path.subarray(0, end)), port: 0 };
    }
    default:
      return undefined;
  }
}

/** The text of an IPv6 address: the longest run of zeros is left out, IPv4 is written as such (RFC 5952 §4, §5). */
function ipv6(bytes: Uint8Array<ArrayBuffer>): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const groups = Array.from({ length: 8 }, (_, at) => view.getUint16(2 * at));
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return `::ffff:${bytes.subarray(12).join(".")}`;
  let start = 0, length = 0;
  for (let at = 0; at < 8;) {
    let end = at;
    while (end < 8 && groups[end] === 0) end++;
    if (end - at > length) [start, length] = [at, end - at];
    at = end + 1;
  }
  const hex = (from: number, to?: number) =>
    groups.slice(from, to).map((group) => group.toString(16)).join(":");
  return length < 2 ? hex(0) : `${hex(0, start)}::${hex(start + length)}`;
}

/** By what clients are counted: an IPv4 address, or the /64 of an IPv6 address, all of which is one customer's. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array.from({ length: zeros }, () => "0"), ...right];
  return `${groups.slice(0, 4).join(":")}::/64`;
}
