import { TypedParameterType } from "./constants.ts";
import { borrowString } from "./memory.ts";

/** What a typed parameter holds; 64-bit counters as doubles, exact up to 2^53. */
export type TypedValue = number | string | boolean;

// struct _virTypedParameter { char field[80]; int type; union { … 8 bytes } value; } on LP64
const PARAMETER_SIZE = 96, NAME_SIZE = 80, TYPE_OFFSET = 80, VALUE_OFFSET = 88;
const TWO_POW_32 = 2 ** 32;

const decoder = new TextDecoder();

/** Reads arrays of virTypedParameter: each is copied out of libvirt's memory in one go into a buffer that is kept. */
export class TypedParameterReader {
  #bytes = new Uint8Array(64 * PARAMETER_SIZE);
  #view = new DataView(this.#bytes.buffer);

  /** The array's parameters by name; those of unknown type are left out. */
  read(params: Deno.PointerValue, count: number): Map<string, TypedValue> {
    const values = new Map<string, TypedValue>();
    if (params === null) return values; // an empty array
    const size = count * PARAMETER_SIZE;
    if (size > this.#bytes.length) {
      this.#bytes = new Uint8Array(2 * size);
      this.#view = new DataView(this.#bytes.buffer);
    }
    Deno.UnsafePointerView.copyInto(params, this.#bytes.subarray(0, size));
    for (let start = 0; start < size; start += PARAMETER_SIZE) {
      const value = this.#value(start);
      if (value !== undefined) values.set(this.#name(start), value);
    }
    return values;
  }

  #name(start: number): string {
    const end = this.#bytes.indexOf(0, start);
    return decoder.decode(this.#bytes.subarray(start, Math.min(end, start + NAME_SIZE)));
  }

  #value(start: number): TypedValue | undefined {
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
      case TypedParameterType.boolean:
        return view.getInt8(at) !== 0;
      case TypedParameterType.string:
        return borrowString(Deno.UnsafePointer.create(view.getBigUint64(at, true)));
      default:
        return undefined;
    }
  }
}
