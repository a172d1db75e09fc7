/** Bytes of a logical sector and block (ECMA-119 §6.1.2, §6.2.2). */
export const SECTOR = 2048;

/** Writes fields one after the other, in ECMA-119's number formats (§7). */
export class FieldWriter {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #at = 0;

  constructor(length: number) {
    this.buffer = new Uint8Array(length);
    this.#view = new DataView(this.buffer.buffer);
  }

  seek(at: number): this {
    this.#at = at;
    return this;
  }

  skip(length: number): this {
    return this.seek(this.#at + length);
  }

  uint8(value: number): this {
    this.#view.setUint8(this.#at, value);
    return this.skip(1);
  }

  little16(value: number): this {
    this.#view.setUint16(this.#at, value, true);
    return this.skip(2);
  }

  big16(value: number): this {
    this.#view.setUint16(this.#at, value);
    return this.skip(2);
  }

  little32(value: number): this {
    this.#view.setUint32(this.#at, value, true);
    return this.skip(4);
  }

  big32(value: number): this {
    this.#view.setUint32(this.#at, value);
    return this.skip(4);
  }

  /** Both byte orders, §7.2.3. */
  both16(value: number): this {
    return this.little16(value).big16(value);
  }

  /** Both byte orders, §7.3.3. */
  both32(value: number): this {
    return this.little32(value).big32(value);
  }

  bytes(value: Uint8Array): this {
    this.buffer.set(value, this.#at);
    return this.skip(value.length);
  }

  ascii(value: string): this {
    return this.bytes(new TextEncoder().encode(value));
  }

  /** ASCII, filled with spaces. */
  padded(value: string, length: number): this {
    return this.ascii(value.padEnd(length).slice(0, length));
  }

  /** UCS-2 big endian in so many bytes, filled with spaces; what is left of an odd length stays zero. */
  ucs2(value: string, length: number): this {
    const end = this.#at + length;
    for (const unit of value.padEnd(length >> 1).slice(0, length >> 1)) this.big16(unit.charCodeAt(0));
    return this.seek(end);
  }
}

/** Writes an image by sectors. */
export class SectorWriter extends FieldWriter {
  constructor(sectors: number) {
    super(sectors * SECTOR);
  }

  /** Goes on at the beginning of a sector. */
  at(sector: number): this {
    return this.seek(sector * SECTOR);
  }

  get image(): Uint8Array<ArrayBuffer> {
    return this.buffer;
  }
}
