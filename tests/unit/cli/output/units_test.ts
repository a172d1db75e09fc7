import fc from "fast-check";
import assert from "node:assert/strict";
import { formatSize, parseSize } from "../../../../lib/cli/output/units.ts";

Deno.test("sizes are read in units of 1024; without one they are MiB only where the prototype has them so", () => {
  const sizes: Readonly<Record<string, number>> = {
    "512MiB": 512,
    "512 MiB": 512,
    "512M": 512,
    "16GiB": 16384,
    "16Gi": 16384,
    "16g": 16384,
    "1.5GiB": 1536,
    " 2 TiB ": 2 * 1024 * 1024,
    "1P": 1024 * 1024 * 1024,
    "2048KiB": 2,
    "0": 0,
  };
  assert.deepEqual(parseSize("512", { bare: true }), { mib: 512 });
  for (const [text, mib] of Object.entries(sizes)) assert.deepEqual(parseSize(text), { mib }, text);
});

Deno.test("what is no size of whole MiB is refused, and units of 1000 with what was probably meant", () => {
  const problems: Readonly<Record<string, RegExp>> = {
    "": /must be a size/,
    "big": /must be a size/,
    "-1GiB": /must be a size/,
    "1e3": /must be a size/,
    "1,5GiB": /must be a size/,
    "0x10": /must be a size/,
    "1GiB2": /must be a size/,
    "3 foo": /must have the unit/,
    "3B": /must have the unit/,
    "2": /must have a unit: 2MiB or 2GiB\?/,
    "0.5": /must have a unit: 0\.5MiB or 0\.5GiB\?/,
    "20GB": /units of 1024: did you mean 20GiB\?/,
    "20mb": /units of 1024: did you mean 20MiB\?/,
    "0.3MiB": /whole number of MiB/,
    "1KiB": /whole number of MiB/,
    "1.0005GiB": /whole number of MiB/,
  };
  for (const [text, problem] of Object.entries(problems)) {
    const reading = parseSize(text);
    assert.match("problem" in reading ? reading.problem : "", problem, text);
  }
});

Deno.test("sizes are printed exactly, in the largest unit that suits", () => {
  const texts: Readonly<Record<number, string>> = {
    0: "0 MiB",
    1: "1 MiB",
    1023: "1023 MiB",
    1024: "1 GiB",
    1025: "1025 MiB",
    1536: "1.5 GiB",
    1280: "1.25 GiB",
    20480: "20 GiB",
    1048576: "1 TiB",
    1048577: "1048577 MiB",
    1049600: "1025 GiB",
  };
  for (const [mib, text] of Object.entries(texts)) assert.equal(formatSize(Number(mib)), text);
});

Deno.test("a printed size reads back as the same", () => {
  const size = fc.oneof(
    fc.nat(),
    fc.nat(65536).map((count) => count * 256),
    fc.nat(1024).map((tib) => tib * 2 ** 20),
  );
  fc.assert(fc.property(size, fc.constantFrom("", " "), (mib, space) => {
    assert.deepEqual(parseSize(formatSize(mib, space)), { mib });
  }));
});
