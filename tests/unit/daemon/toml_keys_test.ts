import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "smol-toml";
import { keyPositions } from "../../../lib/daemon/toml_keys.ts";

function found(toml: string): string[] {
  parse(toml); // the scanner is only given what this accepts
  return keyPositions(toml).map((k) => `${k.line}:${k.column} ${k.kind} ${k.path.join("/")}`);
}

Deno.test("keys, dotted keys, headers and quoted keys are found where they stand", () => {
  assert.deepEqual(
    found(
      [
        "# comment = 1",
        'a = "x = 1"  # b = 2',
        "",
        "  [ table . 'quoted part' ]",
        "\tc.d . e = 5",
        '"f\\u0021 \\"g\\"" = 1979-05-27 07:32:00',
        "[[list]]",
        "h = true",
        "[[list]]",
        "h = -1.5e3",
      ].join("\n"),
    ),
    [
      "2:1 key a",
      "4:5 header table/quoted part",
      "5:2 key table/quoted part/c/d/e",
      '6:1 key table/quoted part/f! "g"',
      "7:3 header list",
      "8:1 key list/h",
      "9:3 header list",
      "10:1 key list/h",
    ],
  );
});

Deno.test("what looks like a key inside strings, arrays and comments is not one", () => {
  assert.deepEqual(
    found(
      [
        'm = """',
        "no = 1",
        'quote \\""" still = 2""""',
        "n = '''",
        "no = ']'''''",
        "o = [ # no = 3",
        '  "a = 1", [ "]" ], # ]',
        "  { in = 1, 'x y' . z = [ { deep = '}' } ] },",
        "]",
        "p = { }",
        "q = 1",
      ].join("\n"),
    ),
    [
      "1:1 key m",
      "4:1 key n",
      "6:1 key o",
      "8:5 key o/in",
      "8:13 key o/x y/z",
      "8:29 key o/x y/z/deep",
      "10:1 key p",
      "11:1 key q",
    ],
  );
});

Deno.test("CRLF and a missing last newline make no difference", () => {
  assert.deepEqual(found("a = 1\r\n\r\n[t]\r\nb = 2"), ["1:1 key a", "3:2 header t", "4:1 key t/b"]);
});

Deno.test("any document that is written key by key is read back at the same positions", () => {
  const bare = fc.stringMatching(/^[A-Za-z0-9_-]{1,6}$/);
  const part = fc.oneof(
    bare.map((name) => ({ name, text: name })),
    fc.string({ maxLength: 6, unit: "grapheme" }).map((name) => ({ name, text: JSON.stringify(name) })),
    fc.stringMatching(/^[ -&(-~]{0,6}$/).map((name) => ({ name, text: `'${name}'` })),
  );
  const value: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.constantFrom("1", "-0x1F".slice(1), "true", "1.5", "inf", "07:32:00", "1979-05-27T00:32:00-07:00"),
      fc.string({ maxLength: 12 }).map((text) => JSON.stringify(text)),
      fc.stringMatching(/^[a-z=\[\]{}#,"\n]{0,12}$/).map((text) => `'''${text}'''`),
      fc.array(tie("value"), { maxLength: 3 }).map((items) => `[ ${items.join(" ,\n# ] x = 1\n ")} ]`),
    ),
  })).value;
  const line = fc.record({
    indent: fc.constantFrom("", " ", "\t  "),
    key: fc.array(part, { minLength: 1, maxLength: 3 }),
    dot: fc.constantFrom(".", " . "),
    equals: fc.constantFrom("=", " = "),
    value,
    comment: fc.constantFrom("", " # no = 1", "#[no]"),
    blank: fc.nat({ max: 2 }),
  });
  fc.assert(fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
    let toml = "";
    const expected: { path: string[]; line: number; column: number }[] = [];
    for (const [index, { indent, key, dot, equals, value, comment, blank }] of lines.entries()) {
      toml += "\n".repeat(blank);
      const prefix = { name: `k${index}`, text: `k${index}` }; // so that no key is given twice
      const path = [prefix, ...key];
      expected.push({
        path: path.map((p) => p.name),
        line: toml.split("\n").length,
        column: indent.length + 1,
      });
      toml += `${indent}${path.map((p) => p.text).join(dot)}${equals}${value}${comment}\n`;
    }
    parse(toml);
    assert.deepEqual(keyPositions(toml), expected.map((e) => ({ ...e, kind: "key" })));
  }));
});
