import { directoryEntry, type IsoFile, rootEntries, rootRecord } from "./iso9660_records.ts";
import { SECTOR, SectorWriter } from "./iso9660_fields.ts";

/** Where things lie, in sectors: the two directory trees (plain with Rock Ridge, and Joliet) share the files. */
const PATH_TABLES = { little: 19, big: 20, jolietLittle: 21, jolietBig: 22 } as const;
const ROOT = 23;
const JOLIET_ROOT = 24;
const FIRST_FILE = 25;

const FILE_NAME = /^[a-z0-9][a-z0-9-]{0,26}$/;

/**
 * An ISO 9660 image (ECMA-119) with a volume label and some files in its root, as cloud-init's NoCloud wants it. The
 * files have their names, which ECMA-119 does not allow, by Rock Ridge (what Linux reads) and by Joliet (what Windows
 * reads). There are no dates in it: the same files give the same bytes.
 *
 * Throws RangeError for names that are not lower-case letters, digits and hyphens (up to 27), or too many files for
 * one directory sector.
 */
export function writeIso9660(label: string, files: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const placed = place(files);
  const sectors = placed.reduce((end, file) => Math.max(end, file.sector + file.sectors), FIRST_FILE);
  const out = new SectorWriter(sectors);
  volumeDescriptor(out, 16, { label, sectors, joliet: false });
  volumeDescriptor(out, 17, { label, sectors, joliet: true });
  out.at(18).uint8(255).ascii("CD001").uint8(1); // terminator, §8.3
  for (const [sector, root, bigEndian] of PATH_TABLE_PLACES) pathTable(out, sector, root, bigEndian);
  directory(out, ROOT, placed, false);
  directory(out, JOLIET_ROOT, placed, true);
  for (const file of placed) out.at(file.sector).bytes(file.content);
  return out.image;
}

const PATH_TABLE_PLACES = [
  [PATH_TABLES.little, ROOT, false],
  [PATH_TABLES.big, ROOT, true],
  [PATH_TABLES.jolietLittle, JOLIET_ROOT, false],
  [PATH_TABLES.jolietBig, JOLIET_ROOT, true],
] as const;

/** The files, each with sectors of its own; in an order that does not depend on the one in which they come. */
function place(files: ReadonlyMap<string, Uint8Array>): IsoFile[] {
  const placed: IsoFile[] = [];
  let sector = FIRST_FILE;
  for (const [name, content] of [...files].sort(([a], [b]) => a < b ? -1 : 1)) {
    if (!FILE_NAME.test(name)) throw new RangeError(`"${name}" cannot be the name of a file in the image`);
    const sectors = Math.ceil(content.length / SECTOR);
    placed.push({ name, content, sector, sectors });
    sector += sectors;
  }
  return placed;
}

interface Volume {
  readonly label: string;
  readonly sectors: number;
  readonly joliet: boolean;
}

/** Primary (§8.4) or, for Joliet, supplementary (§8.5) volume descriptor. */
function volumeDescriptor(out: SectorWriter, sector: number, { label, sectors, joliet }: Volume): void {
  const text = (value: string, length: number) =>
    joliet ? out.ucs2(value, length) : out.padded(value, length);
  out.at(sector).uint8(joliet ? 2 : 1).ascii("CD001").uint8(1).uint8(0);
  text("", 32); // system identifier
  text(label, 32);
  out.skip(8).both32(sectors);
  if (joliet) out.ascii("%/E").skip(29); // escape sequence: UCS-2 level 3
  else out.skip(32);
  out.both16(1).both16(1).both16(SECTOR); // volume set size, sequence number, block size
  out.both32(PATH_TABLE_BYTES);
  out.little32(joliet ? PATH_TABLES.jolietLittle : PATH_TABLES.little).little32(0);
  out.big32(joliet ? PATH_TABLES.jolietBig : PATH_TABLES.big).big32(0);
  out.bytes(rootRecord(joliet ? JOLIET_ROOT : ROOT));
  for (let identifier = 0; identifier < 4; identifier++) text("", 128); // set, publisher, preparer, application
  for (let file = 0; file < 3; file++) text("", 37); // copyright, abstract, bibliographic
  for (let date = 0; date < 4; date++) out.ascii("0".repeat(16)).uint8(0); // "not specified", §8.4.26.1
  out.uint8(1); // file structure version
}

const PATH_TABLE_BYTES = 10;

/** A path table (§9.4) with the root alone. */
function pathTable(out: SectorWriter, sector: number, root: number, bigEndian: boolean): void {
  out.at(sector).uint8(1).uint8(0);
  if (bigEndian) out.big32(root).big16(1);
  else out.little32(root).little16(1);
  out.uint8(0);
}

/** The root directory of one of the trees: itself, its parent (itself again), and the files. */
function directory(out: SectorWriter, sector: number, files: readonly IsoFile[], joliet: boolean): void {
  const entries = files.map((file) => directoryEntry(file, joliet)).sort((a, b) =>
    a.order < b.order ? -1 : 1
  );
  const records = [...rootEntries(sector, joliet), ...entries.map(({ record }) => record)];
  if (records.reduce((sum, record) => sum + record.length, 0) > SECTOR) {
    throw new RangeError("Too many files");
  }
  out.at(sector);
  for (const record of records) out.bytes(record);
}
