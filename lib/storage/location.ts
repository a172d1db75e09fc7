import { VirtxError } from "../model/error.ts";
import { isOwn, OWN_DIRECTORY } from "../model/paths.ts";

/** How QEMU is told to read an image; the extension decides, never the content (protocol.md §3). */
export type ImageFormat = "qcow2" | "raw";

const FORMATS: Readonly<Record<string, ImageFormat>> = { qcow2: "qcow2", raw: "raw", iso: "raw" };

const FILES = "/vms/ds/";
const DEVICES = "/dev/";

/** NAME_MAX of Linux file systems, in bytes. */
const NAME_LIMIT = 255;

/** Where the storage of a disk is: an image file below /vms/ds, or a block device. */
export type DiskLocation =
  | {
    readonly kind: "file";
    /** The name below /vms/ds: `web/os.qcow2`. */
    readonly name: string;
    /** The directory in that name: `web`, or empty. */
    readonly directory: string;
    readonly format: ImageFormat;
    /** qcow2, raw or iso. */
    readonly extension: string;
  }
  | { readonly kind: "device"; readonly path: string };

/** Reads a disk's path, as the definition has it. VirtxError `invalid`, with the reason, if it cannot be one. */
export function locateDisk(path: string): DiskLocation {
  if (!isNormalised(path)) throw refusal("the path is not absolute and normalised");
  if (path.startsWith(DEVICES)) return { kind: "device", path };
  if (!path.startsWith(FILES)) throw refusal(`it is neither below ${FILES} nor below ${DEVICES}`);
  const name = path.slice(FILES.length);
  if (name.startsWith("ci/")) throw refusal(`${FILES}ci is kept for cloud-init seeds`);
  if (isOwn(path)) throw refusal(`directories called ${OWN_DIRECTORY} are kept for virtxd itself`);
  const extension = /[^/]\.([a-z0-9]+)$/.exec(name)?.[1] ?? "";
  const format = FORMATS[extension];
  if (format === undefined) throw refusal("its extension is not qcow2, raw or iso");
  return { kind: "file", name, directory: splitName(name).directory, format, extension };
}

/** The name below /vms/ds of any file or directory there, such as a temporary one. VirtxError `invalid`. */
export function nameBelowRoot(path: string): string {
  if (!isNormalised(path) || !path.startsWith(FILES)) throw refusal(`"${path}" is not below ${FILES}`);
  return path.slice(FILES.length);
}

/** A name below /vms/ds as its directory (empty: /vms/ds itself) and the rest. */
export function splitName(name: string): { directory: string; base: string } {
  const slash = name.lastIndexOf("/");
  return { directory: name.slice(0, Math.max(slash, 0)), base: name.slice(slash + 1) };
}

/** The path, as a definition has it, of a name below /vms/ds. */
export function pathOf(name: string): string {
  return FILES + name;
}

function isNormalised(path: string): boolean {
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  if (!path.startsWith("/") || /[\x00-\x1f\x7f]/.test(path)) return false;
  return path.slice(1).split("/").every((part) =>
    part !== "" && part !== "." && part !== ".." && new TextEncoder().encode(part).length <= NAME_LIMIT
  );
}

function refusal(reason: string): VirtxError {
  return new VirtxError("invalid", reason);
}
