import assert from "node:assert/strict";
import fc from "fast-check";
import { readDefinition } from "../../../lib/host/definition.ts";
import { CUSTOM_FIELDS_MAX, CUSTOM_VALUE_MAX, VLAN_MAX } from "../../../lib/model/limits.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const UUID = numberedUuid(3);

/** As libvirt prints it. */
function domain({ head = "", metadata = "", devices = "" }): string {
  return `<domain type='qemu'>
  <name>web</name>
  <uuid>${UUID}</uuid>
${head}  <metadata>
${metadata}
  </metadata>
  <memory unit='KiB'>262144</memory>
  <vcpu placement='static'>3</vcpu>
  <devices>
${devices}
  </devices>
</domain>
`;
}

Deno.test("a definition with an entity that nothing defines is told in full, and why it cannot be read", () => {
  const { summary, hardware, flaw } = readDefinition(
    domain({
      metadata: `<data-vm xmlns="virtx-vm"><field name="a">b</field></data-vm><x:n xmlns:x="u">&site;</x:n>`,
    }),
    UUID,
  );
  assert.match(flaw ?? "", /&site;/);
  assert.deepEqual([summary.name, summary.vcpus, hardware.memoryMiB], ["web", 3, 256]);
  assert.deepEqual(summary.custom, [{ name: "a", value: "b" }]);
});

Deno.test("of a definition that is no XML is told what libvirt's way to print it gives away", () => {
  const whole = domain({ head: "  <title>Shop &amp; more</title>\n" });
  const broken = readDefinition(whole.replace("<metadata>", "<meta<data>"));
  assert.ok(broken.flaw);
  assert.deepEqual([broken.summary.name, broken.summary.vcpus], ["Shop & more", 3]);
  const nothing = readDefinition("", UUID);
  assert.deepEqual([nothing.summary.name, nothing.summary.vcpus], [UUID, 1]);
  assert.ok(nothing.flaw);
});

Deno.test("whatever is done to a definition, it is read as something that can be listed and told", () => {
  const whole = domain({
    head: "  <title>t</title>\n",
    devices: "    <interface><vlan><tag id='7'/></vlan></interface>",
  });
  const change = fc.record({
    at: fc.nat(whole.length),
    cut: fc.nat(30),
    text: fc.string({ unit: "binary", maxLength: 20 }),
  });
  fc.assert(fc.property(fc.array(change, { maxLength: 4 }), (changes) => {
    const xml = changes.reduce(
      (text, { at, cut, text: more }) => text.slice(0, at) + more + text.slice(at + cut),
      whole,
    );
    const { summary } = readDefinition(xml);
    assert.ok(summary.name.length <= 255);
    assert.ok(summary.vlanid >= 0 && summary.vlanid <= VLAN_MAX);
    assert.ok(summary.vcpus >= 0 && summary.vcpus <= 0x7fff);
  }));
});

Deno.test("names, fields and numbers of others are within the bounds of what hosts tell each other", () => {
  const fields = `<field name="${"n".repeat(500)}">${"v".repeat(5000)}</field>`.repeat(500);
  const { summary, flaw } = readDefinition(
    domain({
      head: `  <title>\u202egnp.${"x".repeat(64 * 1024)}</title>\n`,
      metadata: `<data-vm xmlns="virtx-vm">${fields}</data-vm>`,
      devices: "    <interface><vlan><tag id='4095'/></vlan></interface>",
    }).replace(">3<", ">99999<"),
    UUID,
  );
  assert.equal(flaw, undefined);
  assert.equal(summary.name.length, 255);
  assert.equal(summary.name.slice(0, 5), "\ufffdgnp.");
  assert.equal(summary.custom.length, CUSTOM_FIELDS_MAX);
  assert.equal(summary.custom[0]?.value.length, CUSTOM_VALUE_MAX);
  assert.deepEqual([summary.vcpus, summary.vlanid], [0x7fff, 0]);
});
