import { VirtxError } from "../model/error.ts";

/** What a frame is (RFC 6455 §5.2). */
export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const FINAL = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f;
/** Lengths that stand for "see the next two, or eight, bytes". */
const SHORT_LENGTH = 126, LONG_LENGTH = 127;
const SHORT_MAX = 0xffff;
const MASK_BYTES = 4;
/** What a frame of control may carry, and what we take of any, in bytes. */
const CONTROL_MAX = 125;
const PAYLOAD_MAX = 1024 * 1024;
const LEAST_BUFFER = 4096;

/** A frame as it arrived. */
export interface Frame {
  readonly opcode: number;
  /** The last one of its message. */
  readonly final: boolean;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** A frame as a client sends it: the only one of its message, and masked (RFC 6455 §5.3) with four random bytes. */
export function encodeFrame(opcode: number, payload: Uint8Array, mask: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  const extra = length < SHORT_LENGTH ? 0 : length <= SHORT_MAX ? 2 : 8;
  const start = 2 + extra + MASK_BYTES;
  const frame = new Uint8Array(start + length);
  const view = new DataView(frame.buffer);
  frame[0] = FINAL | opcode;
  frame[1] = MASKED | (extra === 0 ? length : extra === 2 ? SHORT_LENGTH : LONG_LENGTH);
  if (extra === 2) view.setUint16(2, length);
  else if (extra === 8) view.setBigUint64(2, BigInt(length));
  frame.set(mask, start - MASK_BYTES);
  for (let at = 0; at < length; at++) frame[start + at] = (payload[at] ?? 0) ^ (mask[at % MASK_BYTES] ?? 0);
  return frame;
}

/** Finds the frames in what a server sends, however the network has cut it up. */
export class FrameReader {
  /** What has come and is in no frame yet; at the beginning of a buffer that may be larger. */
  #bytes = new Uint8Array();

  feed(bytes: Uint8Array): void {
    const old = this.#bytes;
    const length = old.length + bytes.length;
    const end = old.byteOffset + length;
    if (end > old.buffer.byteLength) {
      // Twice as much as is needed, so that a frame that comes byte by byte is not copied once for each of them.
      const larger = new Uint8Array(Math.max(LEAST_BUFFER, 2 * length));
      larger.set(old);
      larger.set(bytes, old.length);
      this.#bytes = larger.subarray(0, length);
    } else {
      this.#bytes = new Uint8Array(old.buffer, old.byteOffset, length);
      this.#bytes.set(bytes, old.length);
    }
  }

  /**
   * The next frame; undefined: it is not all there yet.
   * @throws VirtxError unreachable: what came is no WebSocket, or a frame that is too long
   */
  next(): Frame | undefined {
    const [first, second] = this.#bytes;
    if (first === undefined || second === undefined) return undefined;
    if ((first & RESERVED) !== 0 || (second & MASKED) !== 0) {
      throw broken("a frame with flags that it must not have");
    }
    const short = second & LENGTH;
    const extra = short === SHORT_LENGTH ? 2 : short === LONG_LENGTH ? 8 : 0;
    const start = 2 + extra;
    if (this.#bytes.length < start) return undefined;
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    const length = extra === 0 ? short : extra === 2 ? view.getUint16(2) : Number(view.getBigUint64(2));
    const opcode = first & OPCODE, final = (first & FINAL) !== 0;
    if (length > PAYLOAD_MAX) throw broken(`a frame of ${length} bytes`);
    if (opcode >= Opcode.close && (length > CONTROL_MAX || !final)) {
      throw broken("a frame of control that is too long");
    }
    if (this.#bytes.length < start + length) return undefined;
    const payload = this.#bytes.slice(start, start + length);
    this.#bytes = this.#bytes.subarray(start + length);
    return { opcode, final, payload };
  }
}

function broken(what: string): VirtxError {
  return new VirtxError("unreachable", `The WebSocket brought ${what}`);
}
