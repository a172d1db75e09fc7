import assert from "node:assert/strict";
import { type Loose, normaliseVmdef } from "../../../lib/model/normalise.ts";
import { validateVmdef } from "../../../lib/model/validate.ts";
import type { Vmdef } from "../../../lib/model/vm.ts";
import { jsonFixture } from "../../support/fixtures.ts";
import { disk } from "../../support/vmdef_examples.ts";

Deno.test("a definition shaped like the prototype's samples is completed with zero values", () => {
  const def = normaliseVmdef(jsonFixture("vmdef/sparse.json") as Loose<Vmdef>);
  assert.deepEqual(def, {
    name: "sparse",
    cpudef: { model: "maximum", nodes: 1, sockets: 1, cores: 1, threads: 1 },
    memory: { total: 512, hp: false },
    numa: { placement: false },
    osdisk: disk("/vms/ds/sparse.qcow2"),
    disks: [disk("/vms/ds/tools.iso", { device: 1, bus: 2 })],
    nets: [{ name: "br0", nettype: 1, model: 1, mac: "52:54:00:6c:3f:02" }],
    vlanid: 0,
    firmware: 0,
    genid: "",
    custom: [],
  });
  assert.deepEqual(validateVmdef(def), []);
});

for (const name of ["web", "hugepages"]) {
  Deno.test(`the complete sample ${name} stays as it is, and is valid`, () => {
    const sample = jsonFixture(`vmdef/${name}.json`);
    assert.deepEqual(normaliseVmdef(sample as Loose<Vmdef>), sample);
    assert.deepEqual(validateVmdef(normaliseVmdef(sample as Loose<Vmdef>)), []);
  });
}

Deno.test("nothing at all becomes a definition of zero values, which is not valid", () => {
  const def = normaliseVmdef(null);
  assert.deepEqual(def, normaliseVmdef({ disks: [], nets: null, custom: [], osdisk: {}, cpudef: null }));
  assert.deepEqual(validateVmdef(def).map(({ field }) => field), [
    "name",
    "cpudef.model",
    "memory.total",
    "osdisk.path",
  ]);
});

Deno.test("a genid is spelt in lower case", () => {
  const genid = "7D5A0D70-5A3F-4D38-9F6B-0D3F3B6C1F10";
  assert.equal(normaliseVmdef({ genid }).genid, genid.toLowerCase());
});
