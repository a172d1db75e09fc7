import { VirtxError } from "../model/error.ts";

/** Where something listens. */
export interface SocketAddress {
  /** A name or an address, IPv6 without brackets. */
  readonly hostname: string;
  readonly port: number;
}

/** Parses `host:port` or `[IPv6]:port`. @throws VirtxError `invalid` */
export function parseSocketAddress(text: string): SocketAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/i.exec(text);
  const hostname = match?.[1] ?? match?.[2], port = Number(match?.[3]);
  if (hostname === undefined || port < 1 || port > 65_535) {
    throw new VirtxError("invalid", `"${text}" is not host:port or [IPv6 address]:port`);
  }
  return { hostname, port };
}

/**
 * An IP address as text, from the 4 or 16 bytes of Go's net.IP. IPv4 comes in either length, by agent and by path: as 16
 * bytes it is IPv4-mapped (RFC 4291 §2.5.5.2). IPv6 is written as RFC 5952 has it. Any other length, which a member could
 * make up, is no address: "".
 */
export function ipText(bytes: Uint8Array): string {
  switch (bytes.length) {
    case 4:
      return bytes.join(".");
    case 16: {
      const isMapped = bytes.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 0xff));
      if (isMapped) return bytes.subarray(12).join(".");
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i).toString(16));
      return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
    }
    default:
      return "";
  }
}
