import assert from "node:assert/strict";
import { tune } from "../../../scripts/build/tune.ts";

const HELPERS = `var __create = Object.create;
import { createRequire as __deno_internal_createRequire } from "node:module";
var __require = __deno_internal_createRequire(import.meta.url);
`;

Deno.test("what a bundle may import later is not loaded before it runs", () => {
  assert.equal(
    tune('const { run } = await import("./run-X1Y2.js");\nimport "./chunk-A.js";\n', "main.js"),
    'const { run } = await import(String("./run-X1Y2.js"));\nimport "./chunk-A.js";\n',
  );
  const process = 'await import("node:process")';
  assert.equal(tune(process, "main.js"), process);
});

Deno.test("require is made when it is called, and works", async () => {
  const tuned = tune(`${HELPERS}export const sep = __require("node:path").sep;\n`, "chunk.js");
  assert.ok(!/^import /m.test(tuned));
  const path = await Deno.makeTempFile({ suffix: ".js" });
  try {
    await Deno.writeTextFile(path, tuned);
    assert.equal((await import(`file://${path}`)).sep, "/");
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("a bundler that writes require in another way is noticed", () => {
  const other = HELPERS.replace("var __require", "const __require");
  assert.throws(() => tune(other, "chunk.js"), /chunk\.js: the bundler's require\(\) has changed/);
});
