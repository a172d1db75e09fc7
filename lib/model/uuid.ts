const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in the one spelling that virtxd uses (RFC 9562 §4, lower case). */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The textual form of 16 raw bytes, as libvirt's virDomainGetUUID gives them. */
export function formatUuid(bytes: Uint8Array): string {
  const hex = bytes.toHex();
  const part = (from: number, to: number) => hex.slice(from, to);
  return `${part(0, 8)}-${part(8, 12)}-${part(12, 16)}-${part(16, 20)}-${part(20, 32)}`;
}
