import { attribute, child, children, type XmlElement } from "./element.ts";
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
  const paths = ownDisks(xml).flatMap((disk) => {
    const source = child(disk, "source");
    return attribute(source, "file") ?? attribute(source, "dev") ?? [];
  });
  return [...new Set(paths)];
}

/**
 * {@link writableDisks}, with what these stand on (backing files) and where a copy of them is on its way to, as live XML has it:
 * all that nobody else may write to, or delete.
 *
 * @throws VirtxError `internal` if the document is not well-formed or no `<domain>`.
 */
export function heldDisks(xml: string): readonly string[] {
  return [...new Set(ownDisks(xml).flatMap((disk) => [...sourcesWithin(disk)]))];
}

function ownDisks(xml: string): readonly XmlElement[] {
  const devices = child(readParts(xml, "domain", DISK_PARTS), "devices");
  return children(devices, "disk").filter((disk) => {
    const isPlain = (attribute(disk, "device") ?? "disk") === "disk";
    return isPlain && !isSeed(disk) && !child(disk, "shareable") && !child(disk, "readonly");
  });
}

/** As deep as they are nested: `<backingStore>` and `<mirror>` have sources of their own. */
function* sourcesWithin(of: XmlElement): Generator<string> {
  for (const inner of of.children) {
    if (inner.name === "source") {
      const path = attribute(inner, "file") ?? attribute(inner, "dev") ?? attribute(inner, "dir");
      if (path !== undefined) yield path;
    }
    if (["source", "backingStore", "mirror", "dataStore"].includes(inner.name)) yield* sourcesWithin(inner);
  }
}
