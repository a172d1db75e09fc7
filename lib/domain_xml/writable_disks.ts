import { attribute, child, children } from "./element.ts";
import { type Parts, readParts } from "./read_parts.ts";
import { isSeed } from "./seed.ts";

const DISK_PARTS: Parts = new Map<string, Parts>([
  ["devices", new Map<string, Parts>([["disk", "all"]])],
]);

/**
 * The paths of the disks that a VM writes to as the only one: files and block devices that are neither `<shareable/>` nor
 * `<readonly/>`, and no CD-ROM, floppy or LUN.
 *
 * @throws VirtxError `internal` if the document is not well-formed or no `<domain>`.
 */
export function writableDisks(xml: string): readonly string[] {
  const devices = child(readParts(xml, "domain", DISK_PARTS), "devices");
  const paths = children(devices, "disk").flatMap((disk) => {
    const isPlain = (attribute(disk, "device") ?? "disk") === "disk";
    if (!isPlain || isSeed(disk) || child(disk, "shareable") || child(disk, "readonly")) return [];
    const source = child(disk, "source");
    return attribute(source, "file") ?? attribute(source, "dev") ?? [];
  });
  return [...new Set(paths)];
}
