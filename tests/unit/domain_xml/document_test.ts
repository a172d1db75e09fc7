import assert from "node:assert/strict";
import { XmlDocument } from "../../../lib/domain_xml/document.ts";
import { element } from "../../../lib/domain_xml/element.ts";
import { readXml } from "../../../lib/domain_xml/read.ts";
import { fixture } from "../../support/fixtures.ts";

const TEXT = `<?xml version='1.0'?>
<!-- by hand -->
<a one='1'  two="&quot;2&quot;">
  <b/>
  text &amp; <c><![CDATA[<raw>]]></c> more
  <!-- between -->
  <d>last</d>
</a>
`;

function edited(change: (root: XmlDocument["root"]) => void, xml = TEXT): string {
  const document = XmlDocument.parse(xml, "a");
  change(document.root);
  return document.print();
}

Deno.test("a document that is not changed is printed byte for byte", () => {
  assert.equal(edited(() => {}), TEXT);
  for (const name of ["bios-inactive", "uefi-live", "foreign"]) {
    const xml = fixture(`domain_xml/libvirt-9.0/${name}.xml`);
    assert.equal(XmlDocument.parse(xml, "domain").print(), xml);
  }
});

Deno.test("it reads as the reader reads it", () => {
  const plain = (
    of: { name: string; attributes: ReadonlyMap<string, string>; text: string; children: readonly unknown[] },
  ): unknown => [
    of.name,
    [...of.attributes],
    of.text,
    of.children.map((child) => plain(child as typeof of)),
  ];
  for (const name of ["bios-inactive", "uefi-migratable", "foreign"]) {
    const xml = fixture(`domain_xml/libvirt-9.0/${name}.xml`);
    assert.deepEqual(plain(XmlDocument.parse(xml, "domain").root), plain(readXml(xml, "domain")));
  }
  const { root } = XmlDocument.parse(TEXT, "a");
  assert.deepEqual([...root.attributes], [["one", "1"], ["two", '"2"']]);
  assert.equal(root.child("c")?.text, "<raw>");
});

Deno.test("a changed attribute changes its tag alone", () => {
  assert.equal(
    edited((root) => root.set("one", `<'">`)),
    TEXT.replace(`<a one='1'  two="&quot;2&quot;">`, `<a one="&lt;&apos;&quot;&gt;" two="&quot;2&quot;">`),
  );
  assert.equal(edited((root) => root.child("b")?.set("x", 1)), TEXT.replace("<b/>", `<b x="1"/>`));
  assert.equal(edited((root) => root.set("two", undefined)), TEXT.replace(/<a .*>/, `<a one="1">`));
  assert.equal(edited((root) => root.set("one", 1)), TEXT);
});

Deno.test("elements are added, replaced and removed with their lines, and others stay as they are", () => {
  const added = element("n", {}, element("m", {}, "x < y"));
  const lines = "<n>\n    <m>x &lt; y</m>\n  </n>";
  assert.equal(edited((root) => root.append(added)), TEXT.replace("</d>", `</d>\n  ${lines}`));
  assert.equal(
    edited((root) => root.insertAfter(root.child("b"), added)),
    TEXT.replace("<b/>", `<b/>\n  ${lines}`),
  );
  assert.equal(edited((root) => root.put(root.child("d"), added)), TEXT.replace("<d>last</d>", lines));
  assert.equal(edited((root) => root.remove(root.child("b"))), TEXT.replace("\n  <b/>", ""));
  assert.equal(edited((root) => root.child("d")?.setText("<")), TEXT.replace("last", "&lt;"));
});

Deno.test("an empty element is opened for what comes into it, at any depth", () => {
  const grown = edited(
    (root) => root.child("b")?.append(element("e")).append(element("f")),
    "<a>\n  <b/>\n</a>",
  );
  assert.equal(grown, "<a>\n  <b>\n    <e>\n      <f/>\n    </e>\n  </b>\n</a>");
  const shrunk = edited((root) => root.remove(root.child("b")), "<a>\n  <b/>\n</a>");
  assert.equal(shrunk, "<a></a>");
});

for (const broken of ["<a><b></a>", "<a/><a/>", "<b/>", "", "<a>", "x<a/>", "<a x=1/>", "<a/>x"]) {
  Deno.test(`${JSON.stringify(broken)} is no document`, () => {
    assert.throws(() => XmlDocument.parse(broken, "a"), /Cannot read <a>/);
  });
}
