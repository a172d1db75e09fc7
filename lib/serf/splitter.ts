import { VirtxError } from "../model/error.ts";

/** The list of 1,000 members takes less than 1 MiB. */
const MAX_VALUE_BYTES = 8 << 20;
/** The agent's deepest value is a map of tags within a member within a list within a body: 4. */
const MAX_DEPTH = 8;
/** Twice what is read at a time, so that it mostly fits beside a value that was cut. */
const MIN_BUFFER_BYTES = 128 << 10;

/** How a value begins: bytes of type and length, bytes that follow as they are, and values that follow within it. */
interface Head {
  readonly headBytes: number;
  readonly bodyBytes: number;
  readonly items: number;
}

/**
 * Finds where the MessagePack values of a byte stream end: they follow each other without any length before them, and
 * arrive cut anywhere. Each byte is looked at once, nothing is decoded, and what is too large, too deep or of a type
 * that the agent does not use is refused as soon as it is announced, before memory is spent on it.
 *
 * https://github.com/msgpack/msgpack/blob/master/spec.md, without the extension types.
 */
export class ValueSplitter {
  #buffer = new Uint8Array(MIN_BUFFER_BYTES);
  #view = new DataView(this.#buffer.buffer);
  /** Where the value under way begins, where the next of its parts begins, and where the data ends. */
  #start = 0;
  #at = 0;
  #end = 0;
  /** For each array and map that is open, outermost first: how many values it still lacks. */
  #lacking: number[] = [];

  /**
   * The values that are complete with this chunk; each is to be used before the next is asked for, and all before the
   * next chunk.
   *
   * @throws VirtxError `invalid`: nothing that follows in the stream can be trusted then.
   */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, void> {
    this.#append(chunk);
    while (this.#scan()) {
      yield this.#buffer.subarray(this.#start, this.#at);
      this.#start = this.#at;
    }
  }

  #append(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#buffer.length) this.#makeRoom(chunk.length);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** Moves what is left to the front, of a larger buffer or, after a large value, of a smaller one again. */
  #makeRoom(bytes: number): void {
    const left = this.#buffer.subarray(this.#start, this.#end);
    const capacity = Math.max(MIN_BUFFER_BYTES, 2 ** Math.ceil(Math.log2(left.length + bytes)));
    if (capacity !== this.#buffer.length) {
      this.#buffer = new Uint8Array(capacity);
      this.#view = new DataView(this.#buffer.buffer);
    }
    this.#buffer.set(left);
    this.#at -= this.#start;
    this.#start = 0;
    this.#end = left.length;
  }

  /** Goes on from where it was left; whether the value under way is complete. */
  #scan(): boolean {
    while (this.#at === this.#start || this.#lacking.length > 0) {
      const head = this.#at < this.#end ? this.#head() : undefined;
      if (head === undefined) return false;
      this.#at += head.headBytes + head.bodyBytes;
      // Every value takes a byte at least, so a count is a length too
      if (this.#at - this.#start + head.items > MAX_VALUE_BYTES) {
        throw new VirtxError("invalid", `a value of more than ${MAX_VALUE_BYTES} bytes`);
      }
      if (head.items > 0) this.#enter(head.items);
      else this.#leave();
    }
    return this.#at <= this.#end;
  }

  #enter(items: number): void {
    if (this.#lacking.length === MAX_DEPTH) {
      throw new VirtxError("invalid", `a value that is nested more than ${MAX_DEPTH} deep`);
    }
    this.#lacking.push(items);
  }

  /** A value without parts is over, and with it each that it is the last part of. */
  #leave(): void {
    for (let lacking = this.#lacking.pop(); lacking !== undefined; lacking = this.#lacking.pop()) {
      if (lacking > 1) {
        this.#lacking.push(lacking - 1);
        return;
      }
    }
  }

  /** What begins here; undefined if it is cut. */
  #head(): Head | undefined {
    const type = this.#buffer[this.#at] ?? 0;
    if (type <= 0x7f || type >= 0xe0) return plain(0); // integers
    if (type <= 0x8f) return nested(0, 2 * (type & 0x0f)); // map
    if (type <= 0x9f) return nested(0, type & 0x0f); // array
    if (type <= 0xbf) return text(0, type & 0x1f); // string
    switch (type) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return plain(0);
      case 0xc4: // binary
      case 0xd9: // string
        return this.#sized(1, text);
      case 0xc5:
      case 0xda:
        return this.#sized(2, text);
      case 0xc6:
      case 0xdb:
        return this.#sized(4, text);
      case 0xcc: // unsigned integer
      case 0xd0: // integer
        return plain(1);
      case 0xcd:
      case 0xd1:
        return plain(2);
      case 0xca: // float
      case 0xce:
      case 0xd2:
        return plain(4);
      case 0xcb:
      case 0xcf:
      case 0xd3:
        return plain(8);
      case 0xdc: // array
        return this.#sized(2, nested);
      case 0xdd:
        return this.#sized(4, nested);
      case 0xde: // map
        return this.#sized(2, (bytes, pairs) => nested(bytes, 2 * pairs));
      case 0xdf:
        return this.#sized(4, (bytes, pairs) => nested(bytes, 2 * pairs));
      default:
        throw new VirtxError("invalid", `a value of type 0x${type.toString(16)}, which it never uses`);
    }
  }

  /** A head with a length of so many bytes. */
  #sized(bytes: 1 | 2 | 4, make: (lengthBytes: number, length: number) => Head): Head | undefined {
    const at = this.#at + 1;
    if (at + bytes > this.#end) return undefined;
    if (bytes === 1) return make(bytes, this.#view.getUint8(at));
    return make(bytes, bytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at));
  }
}

function plain(bodyBytes: number): Head {
  return { headBytes: 1, bodyBytes, items: 0 };
}

function text(lengthBytes: number, length: number): Head {
  return { headBytes: 1 + lengthBytes, bodyBytes: length, items: 0 };
}

function nested(lengthBytes: number, items: number): Head {
  return { headBytes: 1 + lengthBytes, bodyBytes: 0, items };
}
