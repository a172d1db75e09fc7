import { VirtxError } from "../model/error.ts";

/** Writes the binary encoding of gossip (protocol.md §2): little endian, no padding, lengths and counts as uint16. */
export class ByteWriter {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #at = 0;
  #fits = true;

  /** @param capacity of bytes; what goes beyond is not written, and makes the whole unfit */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  int16(value: number): void {
    const at = this.#take(2, isBetween(value, -0x8000, 0x7fff));
    if (at !== undefined) this.#view.setInt16(at, value, true);
  }

  int32(value: number): void {
    const at = this.#take(4, isBetween(value, -0x8000_0000, 0x7fff_ffff));
    if (at !== undefined) this.#view.setInt32(at, value, true);
  }

  /** A whole number that a double holds exactly. */
  int64(value: number): void {
    const at = this.#take(8, Number.isSafeInteger(value));
    if (at !== undefined) this.#view.setBigInt64(at, BigInt(value), true);
  }

  /** 16 hexadecimal digits, the most significant first. */
  uint64(digits: string): void {
    const at = this.#take(8, /^[0-9a-f]{16}$/.test(digits));
    if (at !== undefined) this.#view.setBigUint64(at, BigInt(`0x${digits}`), true);
  }

  /** The number of elements that follow. */
  count(value: number): void {
    const at = this.#take(2, isBetween(value, 0, 0xffff));
    if (at !== undefined) this.#view.setUint16(at, value, true);
  }

  string(text: string): void {
    const encoded = new TextEncoder().encode(text);
    this.count(encoded.length);
    const at = this.#take(encoded.length, true);
    if (at !== undefined) this.#bytes.set(encoded, at);
  }

  /** What was written; undefined if something did not fit, the bytes or a number's range. */
  finish(): Uint8Array<ArrayBuffer> | undefined {
    return this.#fits ? this.#bytes.slice(0, this.#at) : undefined;
  }

  #take(length: number, valid: boolean): number | undefined {
    this.#fits &&= valid && this.#at + length <= this.#bytes.length;
    if (!this.#fits) return undefined;
    this.#at += length;
    return this.#at - length;
  }
}

/** Reads the same, from whoever sent it: each reading throws a VirtxError of kind invalid if the bytes do not hold it. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes that were not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  int16(field: string): number {
    return this.#view.getInt16(this.#take(2, field), true);
  }

  int32(field: string): number {
    return this.#view.getInt32(this.#take(4, field), true);
  }

  int64(field: string): number {
    const value = Number(this.#view.getBigInt64(this.#take(8, field), true));
    if (!Number.isSafeInteger(value)) throw invalid(`its ${field} is beyond 53 bits`);
    return value;
  }

  /** As 16 hexadecimal digits. */
  uint64(field: string): string {
    return this.#view.getBigUint64(this.#take(8, field), true).toString(16).padStart(16, "0");
  }

  /** The number of elements that follow, each of which takes at least so many bytes. */
  count(field: string, elementBytes: number): number {
    const count = this.#view.getUint16(this.#take(2, field), true);
    if (count * elementBytes > this.remaining) throw invalid(`it ends within its ${count} ${field}`);
    return count;
  }

  string(field: string): string {
    const length = this.count(field, 1);
    const at = this.#take(length, field);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
        .decode(this.#bytes.subarray(at, at + length));
    } catch (error) {
      throw invalid(`its ${field} is not UTF-8`, error);
    }
  }

  #take(length: number, field: string): number {
    if (length > this.remaining) throw invalid(`it ends within its ${field}`);
    this.#at += length;
    return this.#at - length;
  }
}

/** The refusal of a record. */
export function invalid(rule: string, cause?: unknown): VirtxError {
  return new VirtxError("invalid", `Cannot take over a gossip record: ${rule}`, { cause });
}

function isBetween(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
