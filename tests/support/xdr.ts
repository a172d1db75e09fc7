/** Writes values one after the other in XDR (RFC 4506). */
export class XdrWriter {
  readonly #bytes: number[] = [];

  int(value: number): this {
    this.#bytes.push(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
    return this;
  }

  /** 64 bits. */
  hyper(value: number): this {
    return this.int(Math.floor(value / 2 ** 32)).int(value);
  }

  double(value: number): this {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    return this.opaque(new Uint8Array(view.buffer));
  }

  string(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.int(bytes.length).opaque(bytes);
  }

  /** A string that may be missing. */
  optionalString(text: string | undefined): this {
    return text === undefined ? this.int(0) : this.int(1).string(text);
  }

  /** Bytes whose number both sides know, padded to a multiple of four. */
  opaque(bytes: Uint8Array): this {
    this.#bytes.push(...bytes);
    while (this.#bytes.length % 4 !== 0) this.#bytes.push(0);
    return this;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes);
  }
}
