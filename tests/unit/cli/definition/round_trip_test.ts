import fc from "fast-check";
import assert from "node:assert/strict";
import { diffDefinitions } from "../../../../lib/cli/definition/diff.ts";
import { formatOf, FORMATS } from "../../../../lib/cli/definition/format.ts";
import { parseDefinition } from "../../../../lib/cli/definition/parse.ts";
import { printDefinition } from "../../../../lib/cli/definition/print.ts";
import { DISK_MAX_MIB } from "../../../../lib/model/limits.ts";
import { validateVmdef } from "../../../../lib/model/validate.ts";
import type { Vmdef } from "../../../../lib/model/vm.ts";
import { anyVmdef } from "../../../support/vmdef_arbitrary.ts";
import { ENUM_VMDEFS } from "../../../support/vmdef_examples.ts";

/** Any definition, also with what the generator leaves to libvirt and storage: sizes, MAC addresses, the automatic genid. */
const anyDefinition: fc.Arbitrary<Vmdef> = fc.tuple(
  anyVmdef,
  fc.array(fc.integer({ min: 0, max: DISK_MAX_MIB }), { minLength: 21, maxLength: 21 }),
  fc.boolean(),
).map(([def, sizes, auto]) => ({
  ...def,
  genid: auto ? "auto" : def.genid,
  osdisk: { ...def.osdisk, size: sizes[20] ?? 0 },
  disks: def.disks.map((disk, index) => ({ ...disk, size: sizes[index] ?? 0 })),
  nets: def.nets.map((net) => auto ? { ...net, mac: "" } : net),
})).filter((def) => validateVmdef(def).length === 0);

for (const format of FORMATS) {
  Deno.test(`any definition printed as ${format} reads back as the same`, async () => {
    await fc.assert(fc.asyncProperty(anyDefinition, async (def) => {
      const text = await printDefinition(def, format);
      assert.equal(formatOf("-", text), format);
      assert.deepEqual(await parseDefinition(text, format, "printed"), def);
    }));
  });

  Deno.test(`each value of each enumeration has a word in ${format}`, async () => {
    for (const { what, def } of ENUM_VMDEFS) {
      const text = await printDefinition(def, format);
      assert.deepEqual(await parseDefinition(text, format, what), def, what);
    }
  });
}

Deno.test("the API's own JSON is read as the definition that it is", async () => {
  await fc.assert(fc.asyncProperty(anyDefinition, async (def) => {
    assert.deepEqual(await parseDefinition(JSON.stringify(def), "json", "the API's"), def);
  }));
});

Deno.test("definitions differ in something if and only if they are not the same", () => {
  fc.assert(fc.property(anyDefinition, anyDefinition, (one, other) => {
    assert.deepEqual(diffDefinitions(one, structuredClone(one)), []);
    assert.notDeepEqual(diffDefinitions(one, other), []);
  }));
});
