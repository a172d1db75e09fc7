import { TypedParameterType } from "./constants.ts";
import { cString } from "./memory.ts";
import { PARAMETER_SIZE, TYPE_OFFSET, VALUE_OFFSET } from "./typed_params.ts";

/** A parameter to give to libvirt: a whole number or a text, of the virTypedParameterType that libvirt wants for it. */
export type TypedParameter =
  | { readonly name: string; readonly type: typeof TypedParameterType.string; readonly value: string }
  | {
    readonly name: string;
    readonly type: typeof TypedParameterType.int | typeof TypedParameterType.ullong;
    readonly value: number;
  };

/**
 * An array of virTypedParameter. The texts stand behind the array in the same buffer, so that they live as long as it
 * does: Deno keeps the buffer of a call, but would not know of others that it points to.
 *
 * @throws VirtxError `invalid` if a text contains NUL.
 */
export function encodeTypedParameters(parameters: readonly TypedParameter[]): Uint8Array<ArrayBuffer> {
  const texts = parameters.map((p) => p.type === TypedParameterType.string ? cString(p.value) : undefined);
  const head = parameters.length * PARAMETER_SIZE;
  const bytes = new Uint8Array(texts.reduce((size, text) => size + (text?.length ?? 0), head));
  const view = new DataView(bytes.buffer);
  const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
  let end = head;
  for (const [index, { name, type, value }] of parameters.entries()) {
    const start = index * PARAMETER_SIZE, text = texts[index];
    bytes.set(cString(name), start);
    view.setInt32(start + TYPE_OFFSET, type, true);
    if (text !== undefined) {
      view.setBigUint64(start + VALUE_OFFSET, address + BigInt(end), true);
      bytes.set(text, end);
      end += text.length;
    } else if (type === TypedParameterType.int) {
      view.setInt32(start + VALUE_OFFSET, Number(value), true);
    } else {
      view.setBigUint64(start + VALUE_OFFSET, BigInt(value), true);
    }
  }
  return bytes;
}
