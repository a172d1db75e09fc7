import assert from "node:assert/strict";

/** What a volume descriptor's tree has in its root directory: content by name. */
export interface IsoTree {
  readonly label: string;
  readonly files: ReadonlyMap<string, string>;
}

/**
 * Reads an ISO 9660 image strictly by ECMA-119 (sections in the comments), SUSP and Rock Ridge, and asserts what they
 * demand of it: `plain` has the names that ECMA-119 itself knows, `rockRidge` and `joliet` those that are meant.
 */
export function readIso(
  image: Uint8Array<ArrayBuffer>,
): { plain: IsoTree; rockRidge: IsoTree; joliet: IsoTree } {
  assert.equal(image.length % SECTOR, 0);
  assert.ok(image.subarray(0, 16 * SECTOR).every((byte) => byte === 0), "6.2.1: system area");
  const descriptor = (sector: number, type: number) => {
    const bytes = image.subarray(sector * SECTOR, (sector + 1) * SECTOR);
    assert.deepEqual([bytes[0], latin1(bytes.subarray(1, 6)), bytes[6]], [type, "CD001", 1], "8.1");
    return bytes;
  };
  const primary = new Descriptor(image, descriptor(16, 1));
  const supplementary = new Descriptor(image, descriptor(17, 2));
  descriptor(18, 255); // 8.3: terminator
  assert.deepEqual([...supplementary.bytes.subarray(88, 91)], [0x25, 0x2f, 0x45], "Joliet: UCS-2 level 3");
  for (const [volume, decode] of [[primary, latin1], [supplementary, utf16]] as const) {
    const names = volume.root().map(({ identifier }) => decode(identifier));
    assert.deepEqual(names, names.toSorted(), "9.3: order of the records");
  }
  return {
    plain: primary.tree(latin1, (entry) => {
      const name = latin1(entry.identifier);
      assert.match(name, /^[A-Z0-9_]{1,30}\.;1$/, "7.5.1: file identifier");
      return name;
    }),
    rockRidge: primary.tree(latin1, rockRidgeName),
    joliet: supplementary.tree(utf16, (entry) => utf16(entry.identifier)),
  };
}

const SECTOR = 2048;

interface Entry {
  readonly identifier: Uint8Array;
  readonly directory: boolean;
  readonly sector: number;
  readonly bytes: number;
  readonly systemUse: ReadonlyMap<string, Uint8Array>;
}

class Descriptor {
  constructor(readonly image: Uint8Array<ArrayBuffer>, readonly bytes: Uint8Array<ArrayBuffer>) {
    assert.equal(both32(bytes, 80) * SECTOR, image.length, "8.4.8: volume space size");
    assert.deepEqual(
      [both16(bytes, 120), both16(bytes, 124), both16(bytes, 128)],
      [1, 1, SECTOR],
      "8.4.10 to 8.4.12",
    );
    assert.equal(bytes[881], 1, "8.4.31: file structure version");
    this.#checkPathTables();
  }

  tree(decode: (bytes: Uint8Array) => string, nameOf: (entry: Entry) => string): IsoTree {
    const files = new Map<string, string>();
    for (const entry of this.root()) {
      assert.ok(!entry.directory);
      const content = this.image.subarray(entry.sector * SECTOR, entry.sector * SECTOR + entry.bytes);
      assert.equal(content.length, entry.bytes);
      files.set(nameOf(entry), new TextDecoder().decode(content));
    }
    return { label: decode(this.bytes.subarray(40, 72)).trimEnd(), files };
  }

  /** The root directory's records without those of itself and its parent, which are checked. */
  root(): Entry[] {
    const inDescriptor = readRecord(this.bytes.subarray(156, 190), "9.1");
    const directory = this.image.subarray(
      inDescriptor.sector * SECTOR,
      inDescriptor.sector * SECTOR + inDescriptor.bytes,
    );
    const entries: Entry[] = [];
    for (let at = 0; directory[at];) {
      const length = directory[at] ?? 0;
      entries.push(readRecord(directory.subarray(at, at + length), `record ${entries.length}`));
      at += length;
    }
    const [self, parent, ...files] = entries;
    assert.deepEqual([self?.identifier, parent?.identifier], [Uint8Array.of(0), Uint8Array.of(1)], "6.8.2.2");
    for (const entry of [inDescriptor, self, parent]) {
      assert.deepEqual([entry?.sector, entry?.bytes, entry?.directory], [inDescriptor.sector, SECTOR, true]);
    }
    return files;
  }

  /** 9.4: one root, in either byte order. */
  #checkPathTables(): void {
    const view = viewOf(this.image);
    const own = viewOf(this.bytes);
    const root = both32(this.bytes, 156 + 2);
    assert.equal(both32(this.bytes, 132), 10, "8.4.13: path table size");
    const little = own.getUint32(140, true) * SECTOR;
    assert.deepEqual([
      view.getUint8(little),
      view.getUint32(little + 2, true),
      view.getUint16(little + 6, true),
    ], [1, root, 1]);
    const big = own.getUint32(148) * SECTOR;
    assert.deepEqual([view.getUint8(big), view.getUint32(big + 2), view.getUint16(big + 6)], [1, root, 1]);
  }
}

/** 9.1 */
function readRecord(bytes: Uint8Array<ArrayBuffer>, what: string): Entry {
  const length = bytes[0] ?? 0;
  assert.ok(length === bytes.length && length % 2 === 0, `${what}: length`);
  const identifierLength = bytes[32] ?? 0;
  assert.equal(both16(bytes, 28), 1, `${what}: volume sequence number`);
  const systemUseAt = 33 + identifierLength + (identifierLength % 2 === 0 ? 1 : 0);
  return {
    identifier: bytes.slice(33, 33 + identifierLength),
    directory: ((bytes[25] ?? 0) & 2) !== 0,
    sector: both32(bytes, 2),
    bytes: both32(bytes, 10),
    systemUse: systemUseFields(bytes.subarray(systemUseAt), what),
  };
}

/** SUSP 4: fields until less than four bytes are left. */
function systemUseFields(bytes: Uint8Array, what: string): Map<string, Uint8Array> {
  const fields = new Map<string, Uint8Array>();
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes[at + 2] ?? 0;
    assert.ok(length >= 4 && at + length <= bytes.length && bytes[at + 3] === 1, `${what}: system use field`);
    fields.set(latin1(bytes.subarray(at, at + 2)), bytes.subarray(at + 4, at + length));
    at += length;
  }
  return fields;
}

function rockRidgeName({ systemUse }: Entry): string {
  assert.equal(systemUse.get("PX")?.length, 32, "RRIP 4.1.1");
  const name = systemUse.get("NM");
  assert.ok(name && name[0] === 0, "RRIP 4.1.4");
  return latin1(name.subarray(1));
}

/** 7.2.3 */
function both16(bytes: Uint8Array<ArrayBuffer>, at: number): number {
  const view = viewOf(bytes);
  assert.equal(view.getUint16(at, true), view.getUint16(at + 2));
  return view.getUint16(at, true);
}

/** 7.3.3 */
function both32(bytes: Uint8Array<ArrayBuffer>, at: number): number {
  const view = viewOf(bytes);
  assert.equal(view.getUint32(at, true), view.getUint32(at + 4));
  return view.getUint32(at, true);
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function utf16(bytes: Uint8Array): string {
  return new TextDecoder("utf-16be").decode(bytes);
}
