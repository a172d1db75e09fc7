import { DiskProvisioning } from "../model/enums.ts";
import { VirtxError } from "../model/error.ts";
import type { Files } from "../posix/files.ts";
import type { ImageFormat } from "./location.ts";
import { parseQcow2Header, QCOW2_HEADER_BYTES } from "./qcow2.ts";

/** What an existing disk is found to be. */
export interface DiskFacts {
  /** Virtual size, rounded up. */
  readonly sizeMiB: number;
  /** Thick if as many blocks are allocated as the guest can write; none for a block device, which does not tell. */
  readonly prov: DiskProvisioning;
  readonly format: ImageFormat;
  /** What it takes on the storage, rounded up. */
  readonly physicalMiB: number;
  /** A qcow2 image that was not closed properly, or is in use with lazy refcounts: QEMU repairs it when it opens it. */
  readonly dirty: boolean;
}

/**
 * Looks at an image file without help from its content: the format is given, and a qcow2 header is only believed
 * after {@link parseQcow2Header} found it harmless. VirtxError `invalid`, or what the file operations throw.
 */
export async function inspectImage(files: Files, path: string, format: ImageFormat): Promise<DiskFacts> {
  const info = await files.lstat(path);
  if (!info) throw new VirtxError("invalid", "it does not exist");
  if (!info.isFile) throw new VirtxError("invalid", "it is not a regular file");
  const { virtualBytes, dirty } = format === "qcow2"
    ? parseQcow2Header(await files.readStart(path, QCOW2_HEADER_BYTES), info.size)
    : { virtualBytes: info.size, dirty: false };
  if (virtualBytes === 0) throw new VirtxError("invalid", "it is empty");
  const physicalBytes = info.blocks * 512;
  return {
    sizeMiB: toMiB(virtualBytes),
    prov: physicalBytes >= virtualBytes ? DiskProvisioning.thick : DiskProvisioning.thin,
    format,
    physicalMiB: toMiB(physicalBytes),
    dirty,
  };
}

/** Bytes as MiB, rounded up, so that nothing becomes 0, which means "unset". */
export function toMiB(bytes: number): number {
  return Math.ceil(bytes / (1 << 20));
}
