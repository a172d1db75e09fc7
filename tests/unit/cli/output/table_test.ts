import assert from "node:assert/strict";
import * as fc from "fast-check";
import stringWidth from "string-width";
import { Colours } from "../../../../lib/cli/output/colours.ts";
import { plain, plainLines } from "../../../../lib/cli/output/plain.ts";
import { type Column, renderTable } from "../../../../lib/cli/output/table.ts";
import { fillTemplate } from "../../../../lib/cli/output/template.ts";
import { jsonText } from "../../../../lib/cli/output/printer.ts";
import { ascii } from "../../../../lib/cli/output/locale.ts";
import { parseFormat } from "../../../../lib/cli/output/format.ts";

interface Row {
  readonly name: string;
  readonly state: string;
  readonly size: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { heading: "NAME", text: ({ name }) => name, least: 6 },
  { heading: "STATE", text: ({ state }) => state, style: () => "green", spare: 1 },
  { heading: "SIZE", text: ({ size }) => String(size), right: true, spare: 2 },
];

function table(
  rows: readonly Row[],
  o: { width?: number; headers?: boolean; colour?: boolean } = {},
): string[] {
  return renderTable(COLUMNS, rows, {
    headers: o.headers ?? true,
    width: o.width,
    colours: new Colours(o.colour ?? false),
    measure: stringWidth,
  }).split("\n").slice(0, -1);
}

const ROWS: readonly Row[] = [
  { name: "web1", state: "running", size: 5 },
  { name: "database-of-the-web", state: "off", size: 1000 },
];

Deno.test("columns are aligned, numbers to the right, without blanks at the ends", () => {
  assert.deepEqual(table(ROWS), [
    "NAME                 STATE    SIZE",
    "web1                 running     5",
    "database-of-the-web  off      1000",
  ]);
  assert.deepEqual(table(ROWS.slice(0, 1), { headers: false }), ["web1  running  5"]);
});

Deno.test("a narrow terminal loses spare columns first, and then the ends of long words", () => {
  assert.deepEqual(table(ROWS, { width: 34 })[2], "database-of-the-web  off      1000");
  assert.deepEqual(table(ROWS, { width: 33 })[2], "database-of-the-w…  off      1000");
  assert.deepEqual(table(ROWS, { width: 20 })[2], "database-o…  off");
  assert.deepEqual(table(ROWS, { width: 10 }), ["NAME", "web1", "database-…"]);
});

Deno.test("wide and combined characters take the columns that they do", () => {
  assert.deepEqual(
    table([{ name: "日本", state: "running", size: 1 }, { name: "e\u0301a", state: "x", size: 2 }]),
    [
      "NAME  STATE    SIZE",
      "日本  running     1",
      "e\u0301a    x           2",
    ],
  );
  assert.deepEqual(table([{ name: "日本語日本語", state: "x", size: 1 }], { width: 8, headers: false }), [
    "日本語…",
  ]);
});

Deno.test("no line is wider than the terminal, and none is without its row, whatever the cells hold", () => {
  const row = fc.record({ name: fc.string({ unit: "grapheme" }), state: fc.string(), size: fc.nat() });
  fc.assert(fc.property(fc.array(row), fc.integer({ min: 8, max: 120 }), (rows, width) => {
    const lines = table(rows, { width });
    assert.equal(lines.length, rows.length + 1);
    for (const line of lines) assert.ok(stringWidth(line) <= width, JSON.stringify(line));
  }));
});

Deno.test("colours surround the words and nothing else", () => {
  assert.equal(table(ROWS, { colour: true })[1], "web1                 \x1b[32mrunning\x1b[39m     5");
});

Deno.test("a text of anybody's making cannot act on a terminal", () => {
  assert.equal(
    plain("a\x1b[31mb\x07\r\n\tc\x9b\x7f\u202e\u200b\ufeff"),
    "a\\x1b[31mb\\x07\\x0d\\n\\tc\\x9b\\x7f\\u{202e}\\u{200b}\\u{feff}",
  );
  assert.equal(plain("Zoë 日本 👩‍🚀".replace("\u200d", "")), "Zoë 日本 👩🚀");
  assert.equal(plain("\ud800"), "\\u{d800}");
  assert.equal(plainLines("a\x1b\n\tb"), "a\\x1b\n\tb");
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    // deno-lint-ignore no-control-regex -- it is what must not be there
    assert.ok(!/[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/.test(plain(text)));
    assert.deepEqual(JSON.parse(jsonText({ text })), { text });
    // deno-lint-ignore no-control-regex -- as above
    assert.ok(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]/.test(jsonText({ text })));
  }));
});

Deno.test("a template has fields, paths and line breaks, and names what there is if there is no such field", () => {
  const record = { name: "web1", stats: { cpu: 5 }, disks: [{ path: "/x" }], none: null };
  assert.equal(
    fillTemplate("{name}\\t{stats.cpu} {disks.0.path}{none}\\n{{}} {stats}", record),
    'web1\t5 /x\n{} {"cpu":5}',
  );
  assert.throws(() => fillTemplate("{nam}", record), /there is no field \{nam\}.*name, stats, disks, none/);
  assert.throws(() => fillTemplate("{stats.mem}", record), /in place of "mem" there is: cpu/);
});

Deno.test("formats are read by their names", () => {
  assert.deepEqual(parseFormat("wide"), { kind: "wide" });
  assert.deepEqual(parseFormat("template={name}"), { kind: "template", template: "{name}" });
  assert.throws(
    () => parseFormat("xml"),
    /--output must be one of table, wide, json, yaml, name or template=\{field\}/,
  );
});

Deno.test("sentences in the last column go on below rather than being cut, and stay in the narrowest table", () => {
  const columns: readonly Column<Row>[] = [
    ...COLUMNS,
    { heading: "WHY", text: () => "it is running on another host", least: 8, wraps: true },
  ];
  const lines = (width: number) =>
    renderTable(columns, ROWS.slice(0, 1), {
      headers: true,
      width,
      colours: new Colours(false),
      measure: stringWidth,
    })
      .split("\n").slice(0, -1);
  assert.deepEqual(lines(36), [
    "NAME  STATE    SIZE  WHY",
    "web1  running     5  it is running",
    "                     on another host",
  ]);
  assert.deepEqual(lines(16), [
    "NAME  WHY",
    "web1  it is",
    "      running on",
    "      another",
    "      host",
  ]);
  for (let width = 8; width < 40; width++) {
    for (const line of lines(width)) assert.ok(line.length <= width, line);
  }
});

Deno.test("where only ASCII is shown, columns are as wide as their stand-ins", () => {
  const lines = renderTable(COLUMNS, [{ name: "日本", state: "a → b", size: 1 }], {
    headers: false,
    width: undefined,
    colours: new Colours(false),
    measure: (text) => text.length,
    shown: ascii,
  });
  assert.equal(lines, "\\u{65e5}\\u{672c}  a -> b  1\n");
});
