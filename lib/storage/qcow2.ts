import { VirtxError } from "../model/error.ts";

/** How much of the beginning of a file has to be read. */
export const QCOW2_HEADER_BYTES = 112;

/** What a qcow2 header says of the image, once it is known to be harmless. */
export interface Qcow2Facts {
  readonly virtualBytes: number;
  readonly dirty: boolean;
}

const MAGIC = 0x514649fb; // "QFI\xfb"
const MIN_HEADER_V3 = 104;
/** The largest size that an int32 of MiB can tell. */
const MAX_VIRTUAL_BYTES = 0x7fff_ffffn << 20n;
/** QEMU's own limits for its tables (QCOW_MAX_L1_SIZE, QCOW_MAX_REFTABLE_SIZE). */
const MAX_L1_BYTES = 32n << 20n;
const MAX_REFTABLE_BYTES = 8n << 20n;

const INCOMPATIBLE = { dirty: 1n, corrupt: 2n, dataFile: 4n, compression: 8n, extendedL2: 16n } as const;
const KNOWN = INCOMPATIBLE.dirty | INCOMPATIBLE.compression | INCOMPATIBLE.extendedL2;

/**
 * Reads the header of a qcow2 image (QEMU's docs/interop/qcow2.txt), which a guest or a user may have forged, before
 * QEMU does. Refused with VirtxError `invalid`: what makes QEMU open other files (backing file, external data file),
 * what it would not understand (other versions, unknown incompatible features), encryption, a corrupt mark, and sizes
 * or tables out of bounds.
 */
export function parseQcow2Header(header: Uint8Array<ArrayBuffer>, fileBytes: number): Qcow2Facts {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  must(header.length >= 72 && view.getUint32(0) === MAGIC, "it has no qcow2 header");
  const version = view.getUint32(4);
  must(version === 2 || version === 3, `qcow2 version ${version} is not known`);
  must(view.getBigUint64(8) === 0n && view.getUint32(16) === 0, "it has a backing file");
  must(view.getUint32(32) === 0, "it is encrypted");
  const features = version === 3 ? incompatibleFeatures(view) : 0n;

  const clusterBits = view.getUint32(20);
  must(clusterBits >= 9 && clusterBits <= 21, `its cluster size of 2^${clusterBits} bytes is out of bounds`);
  if (version === 3) checkVersion3(view, clusterBits, features);
  const virtualBytes = view.getBigUint64(24);
  must(
    virtualBytes > 0n && virtualBytes <= MAX_VIRTUAL_BYTES,
    `its size of ${virtualBytes} bytes is out of bounds`,
  );

  const clusterBytes = 1n << BigInt(clusterBits);
  const l2Entries = clusterBytes / (features & INCOMPATIBLE.extendedL2 ? 16n : 8n);
  const l1Entries = BigInt(view.getUint32(36));
  const l1Needed = (virtualBytes + clusterBytes * l2Entries - 1n) / (clusterBytes * l2Entries);
  must(l1Entries >= l1Needed && l1Entries * 8n <= MAX_L1_BYTES, "the size of its L1 table does not fit");
  checkTable("L1 table", view.getBigUint64(40), l1Entries * 8n, clusterBytes, fileBytes);
  const refcountBytes = BigInt(view.getUint32(56)) * clusterBytes;
  must(
    refcountBytes > 0n && refcountBytes <= MAX_REFTABLE_BYTES,
    "the size of its refcount table is out of bounds",
  );
  checkTable("refcount table", view.getBigUint64(48), refcountBytes, clusterBytes, fileBytes);
  return { virtualBytes: Number(virtualBytes), dirty: (features & INCOMPATIBLE.dirty) !== 0n };
}

function incompatibleFeatures(view: DataView): bigint {
  must(view.byteLength >= MIN_HEADER_V3, "its header is cut short");
  const features = view.getBigUint64(72);
  must((features & INCOMPATIBLE.corrupt) === 0n, "it is marked corrupt");
  must((features & INCOMPATIBLE.dataFile) === 0n, "it has an external data file");
  must(
    (features & ~KNOWN) === 0n,
    `it has features that are not known (0x${(features & ~KNOWN).toString(16)})`,
  );
  return features;
}

function checkVersion3(view: DataView, clusterBits: number, features: bigint): void {
  const refcountOrder = view.getUint32(96);
  must(refcountOrder <= 6, `its refcounts of 2^${refcountOrder} bits are out of bounds`);
  const length = view.getUint32(100);
  must(
    length >= MIN_HEADER_V3 && length <= 1 << clusterBits && length % 8 === 0,
    `its header length of ${length} is out of bounds`,
  );
  const compression = length > MIN_HEADER_V3 && view.byteLength > MIN_HEADER_V3 ? view.getUint8(104) : 0;
  const announced = (features & INCOMPATIBLE.compression) !== 0n;
  must(
    compression <= 1 && announced === (compression !== 0),
    `its compression type ${compression} is not known`,
  );
}

/** A table must begin at a cluster behind the header and end within the file. */
function checkTable(name: string, at: bigint, bytes: bigint, clusterBytes: bigint, fileBytes: number): void {
  must(
    at >= clusterBytes && at % clusterBytes === 0n && at + bytes <= BigInt(fileBytes),
    `its ${name} is misplaced`,
  );
}

function must(condition: boolean, reason: string): asserts condition {
  if (!condition) throw new VirtxError("invalid", reason);
}
