import { leaseKey } from "../../lib/model/lease_key.ts";
import type { SharedStorage } from "./shared_storage.ts";

/**
 * Writes the lease of a disk as `sanlock direct init` (3.8.5) does, and as it is while a host holds it. Its file.
 * @param owner the holder's number in the lockspace; left out: nobody holds it
 */
export async function writeLease(shared: SharedStorage, path: string, owner?: number): Promise<string> {
  const key = leaseKey(path) ?? "";
  const bytes = new Uint8Array(1 << 20);
  const record = new DataView(bytes.buffer);
  record.setUint32(0, 0x06152010, true);
  record.setUint32(4, 0x00060004, true); // the version
  record.setUint32(12, 512, true);
  record.setBigUint64(16, 2000n, true); // how many hosts there can be
  record.setBigUint64(24, 2000n, true);
  new TextEncoder().encodeInto("__VIRTX__DISKS__", bytes.subarray(56));
  new TextEncoder().encodeInto(key, bytes.subarray(104));
  if (owner !== undefined) {
    record.setBigUint64(32, BigInt(owner), true);
    record.setBigUint64(40, 1n, true);
    record.setBigUint64(48, 1n, true);
    record.setBigUint64(152, 12_345n, true); // on the holder's monotonic clock
  }
  await Deno.mkdir(shared.at(`/vms/lock/${key}`), { recursive: true });
  const file = shared.at(`/vms/lock/${key}/${key}`);
  await Deno.writeFile(file, bytes);
  return file;
}
