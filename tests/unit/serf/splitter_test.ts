import assert from "node:assert/strict";
import fc from "fast-check";
import { Packr } from "msgpackr/pack";
import { ValueSplitter } from "../../../lib/serf/splitter.ts";
import { array, bigEndian, bin, map, nil, str, uint } from "../../support/msgpack_bytes.ts";

/** One value of each type that there may be, and of each form of its length. */
const VALUES: readonly (readonly number[])[] = [
  [0x00],
  [0x7f],
  [0xe0],
  [0xff],
  nil,
  [0xc2],
  [0xc3],
  uint(200, 1),
  uint(40_000, 2),
  uint(4_000_000_000, 4),
  uint(2n ** 63n, 8),
  [0xd0, 0x80],
  [0xd1, 0x80, 0],
  [0xd2, 0x80, 0, 0, 0],
  [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
  [0xca, 0x3f, 0xc0, 0, 0],
  [0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
  str(""),
  str("short"),
  str("a", 1),
  str("ab", 2),
  str("abc", 4),
  bin([]),
  bin([1, 2, 3]),
  bin([0xdf, 0xff], 2),
  bin([0x93], 4),
  array(),
  array(str("x"), array(nil, array()), uint(1, 8)),
  [0xdc, ...bigEndian(2, 2), ...nil, ...str("last")],
  [0xdd, ...bigEndian(1, 4), ...array(str("last"))],
  map(),
  map([str("k"), map([str("l"), bin([1])])], [nil, str("v")]),
  [0xde, ...bigEndian(1, 2), ...str("k"), ...str("v")],
  [0xdf, ...bigEndian(1, 4), ...str("k"), ...array()],
];

/** The values that come out of these pieces. */
function split(pieces: Iterable<Iterable<number>>): number[][] {
  const splitter = new ValueSplitter();
  const found: number[][] = [];
  for (const piece of pieces) {
    for (const value of splitter.push(Uint8Array.from(piece))) found.push([...value]);
  }
  return found;
}

Deno.test("values of every type are told apart, in one piece and byte by byte", () => {
  const stream = VALUES.flat();
  assert.deepEqual(split([stream]), VALUES);
  assert.deepEqual(split(stream.map((byte) => [byte])), VALUES);
});

Deno.test("values are told apart wherever the stream is cut", () => {
  const stream = VALUES.flat();
  for (let cut = 0; cut <= stream.length; cut++) {
    assert.deepEqual(split([stream.slice(0, cut), stream.slice(cut)]), VALUES, `cut at ${cut}`);
  }
});

Deno.test("whatever another implementation packs is told apart, however it is cut", () => {
  const packr = new Packr({ useRecords: false });
  const leaf = fc.oneof(
    fc.string(),
    fc.uint8Array(),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
  );
  const inner = fc.oneof(leaf, fc.array(leaf), fc.dictionary(fc.string(), leaf));
  const value = fc.oneof(inner, fc.array(inner), fc.dictionary(fc.string(), inner));
  fc.assert(fc.property(fc.array(value), fc.array(fc.nat(100)), (values, lengths) => {
    const packed = values.map((value) => [...packr.pack(value)]);
    const stream = packed.flat();
    const pieces: number[][] = [];
    for (const length of lengths) pieces.push(stream.splice(0, length));
    assert.deepEqual(split([...pieces, stream]), packed);
  }));
});

Deno.test("large values between small ones come whole", () => {
  const values = [
    str("a"),
    bin(new Uint8Array(300_000).fill(7), 4),
    str("b"),
    bin(new Uint8Array(70_000), 4),
    nil,
  ];
  const stream = Uint8Array.from(values.flat());
  const pieces = Array.from({ length: Math.ceil(stream.length / 65_536) }, (_, i) => i * 65_536)
    .map((at) => stream.subarray(at, at + 65_536));
  assert.deepEqual(split(pieces).map((value) => value.length), values.map((value) => value.length));
});

Deno.test("what is too large, too deep or of a foreign type is refused as soon as it is announced", () => {
  const announcements: [number[], RegExp][] = [
    [[0xdb, 0xff, 0xff, 0xff, 0xff], /more than 8388608 bytes/],
    [[0xc6, 0x00, 0x80, 0x00, 0x01], /more than 8388608 bytes/],
    [[0xdd, 0xff, 0xff, 0xff, 0xff], /more than 8388608 bytes/],
    [[0xdf, 0x80, 0x00, 0x00, 0x01], /more than 8388608 bytes/],
    [new Array(9).fill(0x91), /nested more than 8 deep/],
    [new Array(100_000).fill(0x91), /nested more than 8 deep/],
    [new Array(9).fill(0x81), /nested more than 8 deep/],
    [[0xc1], /type 0xc1/],
    [[0xd4], /type 0xd4/], // msgpackr's records among them
    [[0xc7], /type 0xc7/],
    [[0xc9], /type 0xc9/],
  ];
  for (const [bytes, message] of announcements) {
    assert.throws(() => split([bytes]), { kind: "invalid", message });
  }
  assert.deepEqual(split([new Array(8).fill(0x91)]), []);
});

Deno.test("a value that grows too large by its parts is refused", () => {
  const part = bin(new Uint8Array(1 << 20), 4);
  const splitter = new ValueSplitter();
  const push = (bytes: number[]) => [...splitter.push(Uint8Array.from(bytes))];
  push([0xdc, 0xff, 0xff]);
  for (let i = 0; i < 7; i++) push(part);
  assert.throws(() => push(part), { kind: "invalid", message: /more than 8388608 bytes/ });
});
