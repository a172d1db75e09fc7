/** A range of addresses: its begin and its length in bytes. */
export interface AddressRange {
  readonly begin: bigint;
  readonly bytes: bigint;
}

/** `begin-end permissions offset device inode path` of proc_pid_maps(5). */
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ [1-9]\d*\s+(\/.*)$/;

/**
 * Where the program file itself is mapped and never written to: its code, and the constants at its beginning. (What
 * lies between code and variables may hold relocated addresses although it is read-only, so it is left out.) The
 * kernel reads those pages again from the file when they are used.
 *
 * @param maps the text of /proc/self/maps
 * @param program the full path of the program file
 */
export function programRanges(maps: string, program: string): readonly AddressRange[] {
  const mappings = maps.split("\n").map((line) => MAPPING.exec(line) ?? []);
  return mappings.flatMap(([, begin, end, permissions, offset, path]) => {
    if (path !== program) return [];
    const constants = permissions === "r--p" && Number(`0x${offset}`) === 0;
    if (permissions !== "r-xp" && !constants) return [];
    const from = BigInt(`0x${begin}`);
    return [{ begin: from, bytes: BigInt(`0x${end}`) - from }];
  });
}
