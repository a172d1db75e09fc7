import fc from "fast-check";
import assert from "node:assert/strict";
import { formatOf, FORMATS } from "../../../../lib/cli/definition/format.ts";
import { parseDefinition } from "../../../../lib/cli/definition/parse.ts";
import { printDefinition } from "../../../../lib/cli/definition/print.ts";
import { DISK_MAX_MIB } from "../../../../lib/model/limits.ts";
import { validateVmdef } from "../../../../lib/model/validate.ts";
import type { Vmdef } from "../../../../lib/model/vm.ts";
import { anyVmdef } from "../../../support/vmdef_arbitrary.ts";
import { ENUM_VMDEFS, SMALL_VMDEF } from "../../../support/vmdef_examples.ts";

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

Deno.test("comments do not change a definition", async () => {
  await fc.assert(
    fc.asyncProperty(anyDefinition, async (def) => {
      const text = await printDefinition(def, "yaml", { comments: true });
      assert.match(text, /firmware: \w+ # bios, uefi\n/);
      assert.deepEqual(await parseDefinition(text, "yaml", "printed"), def);
    }),
    { numRuns: 30 },
  );
});

Deno.test("a definition is printed as one would write it", async () => {
  const sample = await Deno.readTextFile(new URL("../../../fixtures/vmdef/web.json", import.meta.url));
  const def = await parseDefinition(sample, "json", "web.json");
  assert.equal(
    await printDefinition(def, "yaml", { comments: true }),
    `name: web1
cpus:
  model: host-model # host-model, host-passthrough, maximum, or a model's name
  cores: 2
memory: 2GiB # on hugepages: {size: 2GiB, hugepages: true}
firmware: uefi # bios, uefi
disks:
  - path: /vms/ds/web1/os.qcow2
    size: 16GiB
    bus: virtio-blk # virtio-blk, virtio-scsi, sata, scsi
    management: managed # unmanaged, managed
    provisioning: thin # none, thin, thick
  - path: /vms/ds/web1/data.raw
    size: 4GiB
    bus: virtio-scsi
    management: managed
    provisioning: thick
  - path: /vms/ds/install.iso
    device: cdrom
    bus: sata
    management: unmanaged
nets:
  - network: default
    model: virtio # virtio, e1000e, e1000
    mac: 52:54:00:6c:3f:01
genid: auto
custom:
  owner: web team
`,
  );
});

Deno.test("custom fields keep their order, also those that are named by numbers or alike", async () => {
  const custom = ["10", "2", "__proto__", "a"].map((name) => ({ name, value: "no" }));
  for (const fields of [custom, custom.slice(2)]) {
    for (const format of FORMATS) {
      const def = { ...SMALL_VMDEF, custom: fields };
      assert.deepEqual(await parseDefinition(await printDefinition(def, format), format, "printed"), def);
    }
  }
});

Deno.test("the API's own JSON is read as the definition that it is", async () => {
  await fc.assert(fc.asyncProperty(anyDefinition, async (def) => {
    assert.deepEqual(await parseDefinition(JSON.stringify(def), "json", "the API's"), def);
  }));
});
