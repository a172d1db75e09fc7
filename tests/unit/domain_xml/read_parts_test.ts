import fc from "fast-check";
import assert from "node:assert/strict";
import { printXml, type XmlElement } from "../../../lib/domain_xml/element.ts";
import { parseDomainXml, parseSummary } from "../../../lib/domain_xml/mod.ts";
import { readXml } from "../../../lib/domain_xml/read.ts";
import { type Parts, readParts } from "../../../lib/domain_xml/read_parts.ts";
import { vcpus } from "../../../lib/model/vm.ts";
import { fixture } from "../../support/fixtures.ts";

const anyElementName = fc.stringMatching(/^[a-z][a-z0-9-]{0,5}$/);
const anyText = fc.string({ unit: fc.constantFrom(..."ab <>&'\"\n\té😀]-"), maxLength: 8 });

const { tree: anyTree } = fc.letrec<{ tree: XmlElement }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.record({
      name: anyElementName,
      attributes: fc.uniqueArray(fc.tuple(anyElementName, anyText), {
        selector: ([key]) => key,
        maxLength: 3,
      })
        .map((entries) => new Map(entries)),
      children: fc.constant<XmlElement[]>([]),
      text: anyText,
    }),
    fc.record({
      name: anyElementName,
      attributes: fc.constant(new Map<string, string>()),
      children: fc.array(tie("tree"), { minLength: 1, maxLength: 4 }),
      text: fc.constant(""),
    }),
  ),
}));

Deno.test("both readers see the same in any document that was printed, with what else XML allows between", () => {
  const noise = fc.constantFrom("", "<!-- > <x> -->", "<?pi > ?>", "\n\t ");
  fc.assert(fc.property(anyTree, noise, noise, (tree, before, after) => {
    const root: XmlElement = { name: "root", attributes: new Map(), children: [tree], text: "" };
    const xml = `<?xml version="1.0"?>${before}${printXml(root)}${after}`;
    assert.deepEqual(readParts(xml, "root", "all"), readXml(xml, "root"));
  }));
});

Deno.test("a printed element is read back as it was", () => {
  fc.assert(fc.property(anyTree, (tree) => {
    // Indentation becomes text of elements that have children.
    const bare = (of: XmlElement): XmlElement => ({
      name: of.name,
      attributes: new Map(of.attributes),
      children: of.children.map(bare),
      text: of.children.length > 0 ? "" : of.text,
    });
    assert.deepEqual(bare(readXml(printXml(tree), tree.name)), bare(tree));
  }));
});

Deno.test("CDATA is text as it stands", () => {
  const xml = "<r>a<![CDATA[<b>&amp;]]]>&lt;</r>";
  assert.equal(readParts(xml, "r", "all").text, "a<b>&amp;]<");
  assert.equal(readXml(xml, "r").text, "a<b>&amp;]<");
});

Deno.test("only the parts that are asked for are kept", () => {
  const kept = readParts(
    "<r><a x='1'><b/></a><c><a/></c><d>t</d></r>",
    "r",
    new Map<string, Parts>([["d", "all"], ["c", new Map()]]),
  );
  assert.deepEqual(kept.children.map(({ name, text, children }) => [name, text, children.length]), [
    ["c", "", 0],
    ["d", "t", 0],
  ]);
});

for (const name of ["bios-inactive", "bios-live", "uefi-inactive", "uefi-migratable", "foreign"]) {
  Deno.test(`the summary of libvirt's ${name} equals the full parse`, () => {
    const xml = fixture(`domain_xml/libvirt-9.0/${name}.xml`);
    const { uuid, def } = parseDomainXml(xml);
    assert.deepEqual(parseSummary(xml), {
      uuid,
      name: def.name,
      vlanid: def.vlanid,
      custom: def.custom,
      vcpus: vcpus(def.cpudef),
    });
  });
}

for (
  const xml of [
    "",
    "text",
    "<domain>",
    "</domain>",
    "<domain></domain",
    "<domain></domain/>",
    "<domain><a></domain>",
    "<domain><a></b></domain>",
    "<domain/><domain/>",
    "<domain/>text",
    "text<domain/>",
    "<network/>",
    "<domain a=1/>",
    "<domain a='1'b='2'/>",
    "<domain a='<'/>",
    "<domain a/>",
    "<domain><!-- </domain>",
    "<domain><![CDATA[ </domain>",
    "<![CDATA[x]]><domain/>",
    "<domain><name>&nbsp;</name></domain>",
    "<domain><name>a & b</name></domain>",
    "<domain><name>&#x110000;</name></domain>",
    "<!DOCTYPE domain><domain/>",
    "<domain>< a/></domain>",
  ]
) {
  Deno.test(`a summary is refused for ${JSON.stringify(xml)}`, () => {
    assert.throws(() => parseSummary(xml), { name: "VirtxError", kind: "internal" });
  });
}

Deno.test("a document cut anywhere is refused, never misread", () => {
  const xml = fixture("domain_xml/libvirt-9.0/bios-inactive.xml").trimEnd();
  for (let length = 0; length < xml.length; length += 7) {
    assert.throws(() => parseSummary(xml.slice(0, length)), { kind: "internal" });
  }
});
