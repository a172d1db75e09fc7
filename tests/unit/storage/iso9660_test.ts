import assert from "node:assert/strict";
import fc from "fast-check";
import { writeIso9660 } from "../../../lib/storage/iso9660.ts";
import { readIso } from "../../support/iso_reader.ts";
import { run } from "../../support/run.ts";
import { TempDir } from "../../support/temp_dir.ts";

const encode = (text: string) => new TextEncoder().encode(text);

function write(files: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  return writeIso9660("cidata", new Map(Object.entries(files).map(([name, text]) => [name, encode(text)])));
}

Deno.test("blkid takes the image for an ISO 9660 file system with the label", async () => {
  await using dir = await TempDir.create();
  await Deno.writeFile(
    dir.at("seed.iso"),
    write({ "user-data": "#cloud-config\n", "meta-data": "instance-id: 1\n" }),
  );
  const found = await run("blkid", "-p", "-o", "export", dir.at("seed.iso"));
  assert.match(found, /^LABEL=cidata$/m);
  assert.match(found, /^TYPE=iso9660$/m);
  assert.match(found, /^VERSION=Joliet\\ Extension$/m);
});

Deno.test("files of any size are read back under their names by Rock Ridge and by Joliet", () => {
  const sizes = fc.oneof(fc.constantFrom(0, 1, 2047, 2048, 2049, 4096), fc.nat(20_000));
  const names = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,26}$/);
  const trees = fc.uniqueArray(fc.tuple(names, sizes), { maxLength: 8, selector: ([name]) => name });
  fc.assert(
    fc.property(trees, (tree) => {
      const files = Object.fromEntries(tree.map(([name, size]) => [name, name[0]?.repeat(size) ?? ""]));
      const { plain, rockRidge, joliet } = readIso(write(files));
      assert.deepEqual([plain.label, joliet.label], ["cidata", "cidata"]);
      assert.deepEqual(Object.fromEntries(rockRidge.files), files);
      assert.deepEqual(Object.fromEntries(joliet.files), files);
      assert.equal(plain.files.size, tree.length);
    }),
    { numRuns: 100 },
  );
});

Deno.test("the same files give the same bytes, in whatever order they come", () => {
  assert.deepEqual(
    write({ "user-data": "u", "meta-data": "m" }),
    write({ "meta-data": "m", "user-data": "u" }),
  );
});

Deno.test("names that the image cannot hold, and more files than fit, are refused", () => {
  for (const name of ["", "a/b", "..", "a.b", "A", "-a", "a".repeat(28), "ä"]) {
    assert.throws(() => write({ [name]: "" }), RangeError, name);
  }
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`file-${index}`, ""]));
  assert.throws(() => write(many), { name: "RangeError", message: "Too many files" });
});
