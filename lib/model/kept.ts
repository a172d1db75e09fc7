import { DiskDevice, NetType } from "./enums.ts";
import { DEVICES_ROOT, IMAGES_ROOT, isBelow } from "./paths.ts";
import type { Disk, Net } from "./vm.ts";

/**
 * What other tools have given a VM and the model has no word for. It is told as `kind:what`, such as `rbd:pool/image` for a
 * network disk and `direct:eth0` for a macvtap interface; no path and no bridge has such a name. A VM keeps it as it is, or loses
 * it; no VM can be given it.
 */

/** Whether a disk is one that can only be kept: on the network, in a pool, or a file where virtxd has none. */
export function isKeptDisk({ path, device }: Disk): boolean {
  if (path === "") return device !== DiskDevice.cdrom;
  return !isBelow(path, IMAGES_ROOT) && !isBelow(path, DEVICES_ROOT);
}

/** Whether an interface is one that can only be kept: neither on a network of libvirt nor on a bridge. */
export function isKeptNet({ name, nettype }: Net): boolean {
  return nettype === NetType.bridge && name.includes(":");
}

/** What an interface is that can only be kept: "direct". */
export function kindOfNet({ name }: Net): string {
  return name.slice(0, name.indexOf(":"));
}
