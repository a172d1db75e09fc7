import { createHash } from "node:crypto";
import { DEVICES_ROOT, IMAGES_ROOT, isBelow } from "./paths.ts";

/** What stands before the name proper in the links of /dev/disk/by-id, and what the key has instead. */
const BY_ID: readonly (readonly [prefix: string, instead: string])[] = [
  ["dm-uuid-mpath-", ""],
  ["scsi-", ""],
  ["nvme-", ""],
  ["wwn-0x", "3"],
];

/** The key of an image file: the MD5 sum of its path below /vms/ds, in hex. Undefined: it is not there. */
export function imageKey(path: string): string | undefined {
  if (!isBelow(path, IMAGES_ROOT)) return undefined;
  return createHash("md5").update(path.slice(IMAGES_ROOT.length + 1)).digest("hex");
}

/**
 * The key of a managed disk's lease in the prototype's lockspace (protocol.md §3): of a file {@link imageKey}, of a LUN what is
 * its own in its name by id. Undefined: it can have none.
 */
export function leaseKey(path: string): string | undefined {
  const image = imageKey(path);
  if (image !== undefined) return image;
  if (!isBelow(path, DEVICES_ROOT)) return undefined;
  const name = path.slice(path.lastIndexOf("/") + 1);
  const [prefix, instead] = BY_ID.find(([prefix]) => name.startsWith(prefix)) ?? [];
  return prefix === undefined ? undefined : `${instead}${name.slice(prefix.length)}`;
}
