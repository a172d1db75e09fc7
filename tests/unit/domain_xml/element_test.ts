import fc from "fast-check";
import assert from "node:assert/strict";
import {
  element,
  escapeXml,
  integer,
  namespaceOf,
  printXml,
  unescapeXml,
} from "../../../lib/domain_xml/element.ts";

Deno.test("unescaping undoes escaping, for all that XML can hold", () => {
  const unit = fc.string({ unit: "binary", minLength: 1, maxLength: 1 })
    // deno-lint-ignore no-control-regex -- XML has no such characters
    .filter((character) => !/[\x00-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]/.test(character));
  fc.assert(fc.property(fc.array(unit), (units) => {
    const text = units.join("");
    assert.equal(unescapeXml(escapeXml(text)), text);
    assert.doesNotMatch(escapeXml(text), /[<>"'\n\t\r]/);
  }));
});

for (const text of ["\x00", "a\x1b", "\x0b", "\uFFFE", "\uD800", "\uDC00x"]) {
  Deno.test(`${JSON.stringify(text)} is not written as XML`, () => {
    assert.throws(() => escapeXml(text), { kind: "internal" });
  });
}

Deno.test("references are understood, unknown ones refused", () => {
  assert.equal(unescapeXml("&#65;&#x1F600;&apos;&quot;&lt;&gt;&amp;amp;"), "A😀'\"<>&amp;");
  for (const text of ["&", "&amp", "&x;", "&#;", "&#x;", "&#x110000;", "&;", "a&b;", "&toString;"]) {
    assert.throws(() => unescapeXml(text), { kind: "internal" }, text);
  }
});

Deno.test("absent attributes and content leave nothing behind", () => {
  const tree = element("a", { x: undefined, y: 0 }, undefined, [], element("b", {}, ""), [
    element("c", {}, 0),
  ]);
  assert.equal(printXml(tree), '<a y="0">\n  <b/>\n  <c>0</c>\n</a>\n');
});

Deno.test("text beside elements is a mistake", () => {
  assert.throws(() => printXml(element("a", {}, "text", element("b"))), { kind: "internal" });
});

Deno.test("the innermost declaration of a prefix counts", () => {
  const outer = element("o", { "xmlns:p": "far", xmlns: "default" });
  const middle = element("m", { "xmlns:p": "near" });
  assert.deepEqual(namespaceOf(element("p:x"), [outer, middle]), { local: "x", uri: "near" });
  assert.deepEqual(namespaceOf(element("x"), [outer, middle]), { local: "x", uri: "default" });
  assert.deepEqual(namespaceOf(element("x", { xmlns: "own" }), [outer]), { local: "x", uri: "own" });
  assert.deepEqual(namespaceOf(element("q:x"), [outer]), { local: "x", uri: "" });
});

Deno.test("integers are decimal digits and nothing else", () => {
  assert.deepEqual(["0", "007", "42"].map(integer), [0, 7, 42]);
  for (const text of [undefined, "", " 1", "-1", "1e3", "0x10", "1.5", "9".repeat(16)]) {
    assert.equal(integer(text), undefined);
  }
});
