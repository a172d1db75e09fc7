import { TypedParameterType } from "./constants.ts";
import { borrowString } from "./memory.ts";

/** struct _virTypedParameter { char field[80]; int type; union { … 8 bytes } value; } on LP64, in bytes. */
export const PARAMETER_SIZE = 96, TYPE_OFFSET = 80, VALUE_OFFSET = 88;
const TWO_POW_32 = 2 ** 32;

/** Parameters' names are ASCII; what else is in the bytes must not change their number when all are decoded at once. */
const decoder = new TextDecoder("latin1");

/**
 * An array of virTypedParameter, to look things up in by name. One object serves for many arrays, one after the other:
 * each is copied out of libvirt's memory in one go, and only what is asked for is decoded.
 */
export class TypedParameters {
  #bytes = new Uint8Array(64 * PARAMETER_SIZE);
  #view = new DataView(this.#bytes.buffer);
  readonly #offsets = new Map<string, number>();

  /** Takes in an array, in place of the one before; NULL is an empty one. Strings stay in libvirt's memory. */
  load(params: Deno.PointerValue, count: number): void {
    this.#offsets.clear();
    if (params === null) return;
    const size = count * PARAMETER_SIZE;
    if (size > this.#bytes.length) {
      this.#bytes = new Uint8Array(2 * size);
      this.#view = new DataView(this.#bytes.buffer);
    }
    const bytes = this.#bytes.subarray(0, size);
    Deno.UnsafePointerView.copyInto(params, bytes);
    const text = decoder.decode(bytes);
    for (let start = 0; start < size; start += PARAMETER_SIZE) {
      this.#offsets.set(text.slice(start, text.indexOf("\0", start)), start);
    }
  }

  /** A parameter of any numeric type; 64-bit counters are exact up to 2^53. */
  number(name: string): number | undefined {
    const start = this.#offsets.get(name);
    if (start === undefined) return undefined;
    const view = this.#view, at = start + VALUE_OFFSET;
    switch (view.getInt32(start + TYPE_OFFSET, true)) {
      case TypedParameterType.int:
        return view.getInt32(at, true);
      case TypedParameterType.uint:
        return view.getUint32(at, true);
      case TypedParameterType.llong:
        return view.getInt32(at + 4, true) * TWO_POW_32 + view.getUint32(at, true);
      case TypedParameterType.ullong:
        return view.getUint32(at + 4, true) * TWO_POW_32 + view.getUint32(at, true);
      case TypedParameterType.double:
        return view.getFloat64(at, true);
      default:
        return undefined;
    }
  }

  boolean(name: string): boolean | undefined {
    const start = this.#find(name, TypedParameterType.boolean);
    return start === undefined ? undefined : this.#view.getInt8(start + VALUE_OFFSET) !== 0;
  }

  /** A parameter that is a string; the array must still be in libvirt's memory. */
  string(name: string): string | undefined {
    const start = this.#find(name, TypedParameterType.string);
    if (start === undefined) return undefined;
    return borrowString(Deno.UnsafePointer.create(this.#view.getBigUint64(start + VALUE_OFFSET, true)));
  }

  /** Where the parameter of this name and virTypedParameterType begins. */
  #find(name: string, type: number): number | undefined {
    const start = this.#offsets.get(name);
    if (start === undefined || this.#view.getInt32(start + TYPE_OFFSET, true) !== type) return undefined;
    return start;
  }
}
