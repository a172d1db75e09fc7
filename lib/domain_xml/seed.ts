import { isBelow, seedPath, SEEDS_ROOT } from "../model/paths.ts";
import { driveAddress, targetName } from "./build_disks.ts";
import { attribute, child, element, printXml, type XmlElement } from "./element.ts";

/** Beyond the positions that a definition's disks can have. */
const SEED_POSITION = 25;

/**
 * The cloud-init seed of a VM as a device for virDomainAttachDeviceFlags and virDomainDetachDeviceFlags: read-only,
 * on virtio-scsi controller 0, which is kept for it (protocol.md §3, §4).
 */
export function seedDeviceXml(uuid: string): string {
  return printXml(element(
    "disk",
    { type: "file", device: "cdrom" },
    element("driver", { name: "qemu", type: "raw", cache: "none" }),
    element("source", { file: seedPath(uuid) }),
    element("target", { dev: targetName("scsi", SEED_POSITION), bus: "scsi" }),
    element("readonly"),
    driveAddress(0, 0),
  ));
}

/** Whether a `<disk>` is a cloud-init seed, which is no part of the definition. */
export function isSeed(disk: XmlElement): boolean {
  return isBelow(attribute(child(disk, "source"), "file") ?? "", SEEDS_ROOT);
}
