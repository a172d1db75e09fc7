import assert from "node:assert/strict";
import { TypedParameterType } from "../../../lib/libvirt/constants.ts";
import { LIBVIRT_PATHS } from "../../../lib/libvirt/ffi.ts";
import { cString } from "../../../lib/libvirt/memory.ts";
import { encodeTypedParameters } from "../../../lib/libvirt/typed_params_encode.ts";
import { VirtxError } from "../../../lib/model/error.ts";

const { int, ullong, string } = TypedParameterType;

/** libvirt's own reading of such arrays: int virTypedParamsGet…(virTypedParameterPtr, int, const char *, T *) */
const GET = { parameters: ["buffer", "i32", "buffer", "buffer"], result: "i32" } as const;
const GETTERS = {
  virTypedParamsGetInt: GET,
  virTypedParamsGetULLong: GET,
  virTypedParamsGetString: GET,
} as const;

Deno.test("libvirt reads from an encoded array what was put into it", () => {
  const path = LIBVIRT_PATHS.find((each) => exists(each));
  assert.ok(path);
  using resources = new DisposableStack();
  const library = resources.adopt(Deno.dlopen(path, GETTERS), (opened) => opened.close());
  const { virTypedParamsGetInt, virTypedParamsGetULLong, virTypedParamsGetString } = library.symbols;
  const long = "<domain>ü</domain>".repeat(1000);
  const array = encodeTypedParameters([
    { name: "first", type: string, value: "tcp://10.0.0.2" },
    { name: "number", type: int, value: -7 },
    { name: "long", type: string, value: long },
    { name: "big", type: ullong, value: 2 ** 53 - 1 },
    { name: "empty", type: string, value: "" },
  ]);
  const text = (name: string) => {
    const out = new BigUint64Array(1);
    assert.equal(virTypedParamsGetString(array, 5, cString(name), out), 1);
    const pointer = Deno.UnsafePointer.create(out[0] ?? 0n);
    return pointer && Deno.UnsafePointerView.getCString(pointer);
  };
  assert.deepEqual([text("first"), text("long"), text("empty")], ["tcp://10.0.0.2", long, ""]);
  const number = new Int32Array(1), big = new BigUint64Array(1);
  assert.equal(virTypedParamsGetInt(array, 5, cString("number"), number), 1);
  assert.equal(virTypedParamsGetULLong(array, 5, cString("big"), big), 1);
  assert.deepEqual([number[0], big[0]], [-7, 2n ** 53n - 1n]);
  assert.equal(virTypedParamsGetInt(array, 5, cString("absent"), number), 0);
});

Deno.test("no parameters are an empty array, and a text with NUL is refused", () => {
  assert.equal(encodeTypedParameters([]).length, 0);
  assert.throws(
    () => encodeTypedParameters([{ name: "n", type: string, value: "a\0b" }]),
    (error) => error instanceof VirtxError && error.kind === "invalid",
  );
});

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
