import assert from "node:assert/strict";
import { loadLibvirt } from "../../../lib/libvirt/ffi.ts";
import { cString } from "../../../lib/libvirt/memory.ts";
import { VirtxError } from "../../../lib/model/error.ts";

const LOG_VARIABLES = "--allow-env=LIBVIRT_DEBUG,LIBVIRT_LOG_OUTPUTS";

Deno.test("a missing library is reported with every path that was tried", () => {
  const paths = ["/nonexistent/a/libvirt.so.0", "/nonexistent/b/libvirt.so.0"];
  assert.throws(() => loadLibvirt(paths), (error) => {
    assert.ok(error instanceof VirtxError);
    assert.equal(error.kind, "unavailable");
    for (const path of paths) assert.ok(error.message.includes(path), error.message);
    return true;
  });
});

Deno.test("a text with NUL never reaches C, where it would be cut", () => {
  assert.throws(() => cString("a\0b"), VirtxError);
  assert.deepEqual([...cString("ü")], [0xc3, 0xbc, 0]);
});

Deno.test("failures need no permission but those for FFI and libvirt's log, and libvirt prints none of them", async () => {
  const program = import.meta.resolve("./failing_program.ts");
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-ffi", LOG_VARIABLES, program],
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  assert.equal(new TextDecoder().decode(stdout), "unavailable not_found\n");
  assert.ok(success);
});
