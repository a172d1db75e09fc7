/** MessagePack written byte by byte from its specification, so that a test sees what is on the wire. */

const encoder = new TextEncoder();

export const nil: readonly number[] = [0xc0];

/** A string in the shortest form, or with a length of so many bytes. */
export function str(text: string, lengthBytes?: 1 | 2 | 4): number[] {
  const bytes = encoder.encode(text);
  if (lengthBytes === undefined && bytes.length < 32) return [0xa0 | bytes.length, ...bytes];
  const width = lengthBytes ?? 1;
  return [{ 1: 0xd9, 2: 0xda, 4: 0xdb }[width], ...bigEndian(bytes.length, width), ...bytes];
}

export function bin(bytes: Iterable<number>, lengthBytes: 1 | 2 | 4 = 1): number[] {
  const all = [...bytes];
  return [{ 1: 0xc4, 2: 0xc5, 4: 0xc6 }[lengthBytes], ...bigEndian(all.length, lengthBytes), ...all];
}

/** An unsigned integer of so many bytes. */
export function uint(value: number | bigint, bytes: 1 | 2 | 4 | 8): number[] {
  return [{ 1: 0xcc, 2: 0xcd, 4: 0xce, 8: 0xcf }[bytes], ...bigEndian(value, bytes)];
}

/** Fewer than 16 values. */
export function array(...values: readonly (readonly number[])[]): number[] {
  return [0x90 | values.length, ...values.flat()];
}

/** Fewer than 16 pairs. */
export function map(...pairs: readonly (readonly [readonly number[], readonly number[]])[]): number[] {
  return [0x80 | pairs.length, ...pairs.flat(2)];
}

/** A Go struct: a map whose keys are short strings. */
export function struct(fields: Readonly<Record<string, readonly number[]>>): number[] {
  return map(...Object.entries(fields).map(([name, value]) => [str(name), value] as const));
}

export function bigEndian(value: number | bigint, bytes: number): number[] {
  return Array.from(
    { length: bytes },
    (_, i) => Number(BigInt(value) >> BigInt(8 * (bytes - 1 - i)) & 0xffn),
  );
}
