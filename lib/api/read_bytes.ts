/** The runtime hands out pieces of buffers of 64 KiB, however little is in them: those that fill half of one are kept. */
const FULL_BYTES = 32 * 1024;

/**
 * Bytes that arrive piece by piece. They are copied: a piece of one byte holds on to a buffer of 64 KiB of the runtime's, so
 * that keeping the pieces would cost a body of many of them a multiple of its size.
 */
export class GrowingBytes {
  readonly #grow: (bytes: number) => void;
  #bytes = new Uint8Array();
  #length = 0;

  /** @param grow is told before more memory is taken, and may throw */
  constructor(grow: (bytes: number) => void) {
    this.#grow = grow;
  }

  get length(): number {
    return this.#length;
  }

  append(piece: Uint8Array<ArrayBuffer>): void {
    if (this.#length === 0 && piece.byteLength >= FULL_BYTES) {
      this.#grow(piece.buffer.byteLength);
      this.#bytes = piece;
    } else {
      const length = this.#length + piece.byteLength;
      if (length > this.#bytes.byteLength) {
        const capacity = this.#length === 0 ? length : 2 * length;
        this.#grow(capacity - this.#bytes.byteLength);
        const larger = new Uint8Array(capacity);
        larger.set(this.#bytes.subarray(0, this.#length));
        this.#bytes = larger;
      }
      this.#bytes.set(piece, this.#length);
    }
    this.#length += piece.byteLength;
  }

  /** All of them, in a buffer that holds no more than them where that is little. */
  get all(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }
}

/**
 * Reads an answer to its end. Counts what arrives rather than believing Content-Length, which a chunked body does not have.
 * @param tooLong is called when there is more than that, to throw
 * @param grow is told before more memory is taken, and may throw
 */
export async function readBytes(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  maxBytes: number,
  tooLong: () => never,
  grow: (bytes: number) => void = () => {},
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new GrowingBytes(grow);
  for await (const piece of body ?? []) {
    if (bytes.length + piece.byteLength > maxBytes) tooLong();
    bytes.append(piece);
  }
  return bytes.all;
}
