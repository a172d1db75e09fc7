import { VirtxError } from "../model/error.ts";
import type { Libvirt } from "./ffi.ts";

const encoder = new TextEncoder();

/**
 * The text as a C string, NUL-terminated UTF-8.
 *
 * @throws VirtxError `invalid` if the text itself contains NUL, where C would stop reading.
 */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new VirtxError("invalid", "A text for libvirt must not contain NUL");
  return encoder.encode(`${text}\0`);
}

/** {@link cString} for parameters that may be NULL. */
export function optionalCString(text: string | undefined): Uint8Array<ArrayBuffer> | null {
  return text === undefined ? null : cString(text);
}

/** Copies a C string that somebody else owns; NULL is the empty string. */
export function borrowString(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** Copies a C string that libvirt hands over to the caller, and frees it. */
export function takeString(libvirt: Libvirt, pointer: Deno.PointerObject): string {
  try {
    return Deno.UnsafePointerView.getCString(pointer);
  } finally {
    libvirt.free(pointer);
  }
}

/** A pointer that a C function fills in, for parameters like `T **result`. */
export class OutPointer {
  readonly buffer = new BigUint64Array(1);

  get value(): Deno.PointerValue {
    return Deno.UnsafePointer.create(this.buffer[0] ?? 0n);
  }
}

/** The elements of a C array of pointers. */
export function readPointers(array: Deno.PointerObject, count: number): Deno.PointerObject[] {
  const addresses = new BigUint64Array(Deno.UnsafePointerView.getArrayBuffer(array, count * 8));
  return Array.from(addresses, (address) => Deno.UnsafePointer.create(address))
    .filter((pointer) => pointer !== null);
}
