import { FieldWriter, SECTOR } from "./iso9660_fields.ts";

/** A file and its place in the image. */
export interface IsoFile {
  readonly name: string;
  readonly content: Uint8Array;
  readonly sector: number;
  readonly sectors: number;
}

const DIRECTORY_FLAG = 2;
/** File type and permissions as in stat(2): only to be read. */
const DIRECTORY_MODE = 0o040555;
const FILE_MODE = 0o100444;

const SELF = Uint8Array.of(0);
const PARENT = Uint8Array.of(1);

/** The root's record as a volume descriptor has it. */
export function rootRecord(sector: number): Uint8Array<ArrayBuffer> {
  return record({ sector, bytes: SECTOR, flags: DIRECTORY_FLAG, identifier: SELF });
}

/** The root directory's entries for itself and for its parent, which is itself. */
export function rootEntries(sector: number, joliet: boolean): Uint8Array<ArrayBuffer>[] {
  const root = { sector, bytes: SECTOR, flags: DIRECTORY_FLAG };
  if (joliet) return [record({ ...root, identifier: SELF }), record({ ...root, identifier: PARENT })];
  const attributes = posixAttributes(DIRECTORY_MODE, 2);
  return [
    record({ ...root, identifier: SELF, systemUse: [sharingProtocol(), attributes, extensionReference()] }),
    record({ ...root, identifier: PARENT, systemUse: [attributes] }),
  ];
}

/** The entry of a file in the root directory of either tree, and by what it is ordered there (§9.3). */
export function directoryEntry(
  file: IsoFile,
  joliet: boolean,
): { readonly order: string; readonly record: Uint8Array<ArrayBuffer> } {
  const { name, sector, content } = file;
  const place = { sector, bytes: content.length, flags: 0 };
  if (joliet) {
    const bytes = name.length * 2;
    return {
      order: name,
      record: record({ ...place, identifier: new FieldWriter(bytes).ucs2(name, bytes).buffer }),
    };
  }
  // Upper case, digits and "_" are all that ECMA-119 has; ".;1": no extension, first version.
  const plain = `${name.toUpperCase().replaceAll("-", "_")}.;1`;
  const identifier = new TextEncoder().encode(plain);
  const systemUse = [posixAttributes(FILE_MODE, 1), alternateName(name)];
  return { order: plain, record: record({ ...place, identifier, systemUse }) };
}

interface RecordFields {
  readonly sector: number;
  readonly bytes: number;
  readonly flags: number;
  readonly identifier: Uint8Array;
  readonly systemUse?: readonly Uint8Array[];
}

/** A directory record, §9.1; its system use field begins at an even place, and it has an even length. */
function record({ sector, bytes, flags, identifier, systemUse = [] }: RecordFields): Uint8Array<ArrayBuffer> {
  const toEven = (length: number) => length + length % 2;
  const head = toEven(33 + identifier.length);
  const length = toEven(systemUse.reduce((sum, field) => sum + field.length, head));
  const out = new FieldWriter(length).uint8(length).uint8(0).both32(sector).both32(bytes);
  out.skip(7).uint8(flags).uint8(0).uint8(0).both16(1).uint8(identifier.length).bytes(identifier); // no date: §9.1.5
  out.seek(head);
  for (const field of systemUse) out.bytes(field);
  return out.buffer;
}

/** The head of a system use field: signature, length, version (SUSP §4). */
function systemUseField(signature: string, length: number): FieldWriter {
  return new FieldWriter(length).ascii(signature).uint8(length).uint8(1);
}

/** SP (SUSP §5.3): system use fields follow, from the first byte on. */
function sharingProtocol(): Uint8Array {
  return systemUseField("SP", 7).uint8(0xbe).uint8(0xef).uint8(0).buffer;
}

/** ER (SUSP §5.5): they are those of Rock Ridge. */
function extensionReference(): Uint8Array {
  const identifier = "RRIP_1991A";
  return systemUseField("ER", 8 + identifier.length).uint8(identifier.length).uint8(0).uint8(0).uint8(1)
    .ascii(identifier).buffer;
}

/** PX (RRIP §4.1.1): mode and links; owned by root. */
function posixAttributes(mode: number, links: number): Uint8Array {
  return systemUseField("PX", 36).both32(mode).both32(links).both32(0).both32(0).buffer;
}

/** NM (RRIP §4.1.4): the name as it is meant. */
function alternateName(name: string): Uint8Array {
  return systemUseField("NM", 5 + name.length).uint8(0).ascii(name).buffer;
}
