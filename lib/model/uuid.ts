const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in the one spelling that virtxd uses (RFC 9562 §4, lower case). */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The textual form of 16 raw bytes, as libvirt's virDomainGetUUID gives them. */
export function formatUuid(bytes: Uint8Array): string {
  const hex = bytes.toHex();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
    "-",
  );
}
