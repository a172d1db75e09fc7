import assert from "node:assert/strict";
import { ipText, parseSocketAddress } from "../../../lib/serf/address.ts";
import { payloadRoom } from "../../../lib/serf/event_size.ts";
import { parseEvent } from "../../../lib/serf/events.ts";
import { parseMembers } from "../../../lib/serf/member.ts";
import { MessagePack } from "../../../lib/serf/message_pack.ts";
import { parseStats } from "../../../lib/serf/stats.ts";
import { array, bin, map, nil, str, struct, uint } from "../../support/msgpack_bytes.ts";

function unpack(bytes: readonly number[]): unknown {
  return new MessagePack().unpack(Uint8Array.from(bytes));
}

/** A member with all fields that agents send. */
function member(fields: Readonly<Record<string, readonly number[]>>): number[] {
  return struct({
    Name: str("virt1"),
    Addr: bin([192, 0, 2, 1]),
    Port: uint(7946, 2),
    Tags: map([str("uuid"), str("5e7e9c3a-0000-4000-8000-000000000001", 1)]),
    Status: str("alive"),
    ProtocolMin: [1],
    ProtocolMax: [5],
    ProtocolCur: [4],
    DelegateMin: [2],
    DelegateMax: [5],
    DelegateCur: [4],
    ...fields,
  });
}

function membersOf(...members: readonly (readonly number[])[]) {
  return parseMembers(unpack(struct({ Members: array(...members) })));
}

Deno.test("requests are what agents read: strings as str, byte slices as bin, integers as integers, no extension", () => {
  const codec = new MessagePack();
  assert.deepEqual(
    [...codec.pack({ Command: "handshake", Seq: 4_000_000_000 }, { Version: 1 })],
    [
      ...struct({ Command: str("handshake"), Seq: uint(4_000_000_000, 4) }),
      ...struct({ Version: [1] }),
    ],
  );
  assert.deepEqual(
    [...codec.pack({ Name: "VE", Payload: Uint8Array.of(0, 255), Coalesce: false })],
    struct({ Name: str("VE"), Payload: bin([0, 255]), Coalesce: [0xc2] }),
  );
  const tags = new Map([["uuid", "x"]]);
  assert.deepEqual(
    [...codec.pack({ Tags: tags, DeleteTags: ["a"] })],
    struct({ Tags: map([str("uuid"), str("x")]), DeleteTags: array(str("a")) }),
  );
});

Deno.test("a member is read from what every version of the agent sends", () => {
  const expected = {
    name: "virt1",
    address: "192.0.2.1",
    port: 7946,
    status: "alive",
    tags: new Map([["uuid", "5e7e9c3a-0000-4000-8000-000000000001"]]),
  };
  const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
  const forms = {
    "0.8.2 to 0.10.1": member({}),
    "IPv4 in 16 bytes": member({ Addr: bin(mapped) }),
    "longer lengths than needed": member({
      Name: str("virt1", 4),
      Addr: bin([192, 0, 2, 1], 2),
      Port: uint(7946, 8),
    }),
    "raw: strings of 16 bits of length where str8 would do": member({ Status: str("alive", 2) }),
    "text as binary": member({ Name: bin([...new TextEncoder().encode("virt1")]) }),
    "fields of a later version": member({ Health: str("fine"), Zones: array(nil) }),
  };
  for (const [form, bytes] of Object.entries(forms)) assert.deepEqual(membersOf(bytes), [expected], form);
});

Deno.test("nil slices and maps are empty ones", () => {
  const [bare] = membersOf(member({ Tags: nil, Addr: nil }));
  assert.equal(bare?.address, "");
  assert.equal(bare?.tags.size, 0);
  assert.deepEqual(parseMembers(unpack(struct({ Members: nil }))), []);
  const event = struct({ Event: str("user"), Name: str("HI"), Payload: nil, LTime: [7], Coalesce: [0xc2] });
  assert.deepEqual(parseEvent(unpack(event)), {
    kind: "user",
    name: "HI",
    payload: new Uint8Array(),
    lTime: 7,
  });
});

Deno.test("what a member makes up about itself harms nobody: keys, statuses, addresses, text", () => {
  const hostile = member({
    Tags: map([str("__proto__"), str("x")], [str("constructor"), str("y")], [
      str(""),
      str("\u{1f4a5}".repeat(50), 2),
    ]),
    Addr: bin([1, 2, 3, 4, 5]),
    Status: str("excellent"),
    Name: [0xa4, 0xff, 0xe2, 0x82, 0xf0], // no UTF-8
  });
  const [read, next] = membersOf(hostile, member({}));
  assert.deepEqual([...read?.tags.keys() ?? []], ["__proto__", "constructor", ""]);
  assert.equal(read?.address, "");
  assert.equal(read?.status, "none");
  assert.match(read?.name ?? "", /^\ufffd+$/);
  assert.equal(next?.name, "virt1");
  assert.equal(Reflect.get({}, "x"), undefined);
});

Deno.test("events of the stream are read; queries are not for us", () => {
  const far = struct({
    Event: str("user"),
    Name: str("VE"),
    Payload: bin([1]),
    LTime: uint(2n ** 64n - 1n, 8),
  });
  assert.deepEqual(parseEvent(unpack(far)), {
    kind: "user",
    name: "VE",
    payload: Uint8Array.of(1),
    lTime: 2 ** 64,
  });
  for (const change of ["join", "leave", "failed", "update", "reap"]) {
    const event = parseEvent(unpack(struct({ Event: str(`member-${change}`), Members: array(member({})) })));
    assert.equal(event?.kind, "members");
    assert.equal(event.change, change);
    assert.equal(event.members[0]?.name, "virt1");
  }
  const query = struct({ Event: str("query"), ID: uint(1, 8), LTime: [1], Name: str("q"), Payload: nil });
  assert.equal(parseEvent(unpack(query)), undefined);
});

Deno.test("a payload is the reader's own, not a view of what is received next", () => {
  const bytes = Uint8Array.from(
    struct({ Event: str("user"), Name: str("VE"), Payload: bin([1, 2]), LTime: [1] }),
  );
  const event = parseEvent(new MessagePack().unpack(bytes));
  bytes.fill(0);
  assert.equal(event?.kind, "user");
  assert.deepEqual([...event.payload], [1, 2]);
});

Deno.test("wrong types are refused, with what is wrong", () => {
  const wrong: [() => unknown, RegExp][] = [
    [() => membersOf(str("virt1")), /a member that is no map/],
    [() => membersOf(member({ Name: [1] })), /a member whose Name is no text/],
    [() => membersOf(member({ Port: str("x") })), /a member whose Port is no non-negative integer/],
    [() => membersOf(member({ Port: [0xff] })), /Port is no non-negative integer/],
    [() => membersOf(member({ Addr: str("192.0.2.1") })), /a member whose Addr is no bytes/],
    [() => membersOf(member({ Tags: array() })), /a member whose Tags is no map/],
    [() => membersOf(member({ Tags: map([str("k"), [1]]) })), /Tags that is no map from text to text/],
    [() => membersOf(member({ Status: nil })), /Status is no text/],
    [() => parseMembers(unpack(struct({ Members: [1] }))), /Members is no list/],
    [() => parseMembers(unpack(nil)), /no map/],
    [() => parseEvent(unpack(struct({ Event: str("boom") }))), /an event of unknown type/],
    [() => parseEvent(unpack(struct({ Event: str("user"), Name: str("VE"), LTime: [0xff] }))), /LTime/],
    [() => parseStats(unpack(struct({ agent: struct({}) }))), /without the agent's name/],
    [() => parseStats(unpack(array())), /no map/],
  ];
  for (const [read, message] of wrong) assert.throws(read, { kind: "invalid", message });
});

Deno.test("IP addresses are written in their one canonical form", () => {
  const texts: [number[], string][] = [
    [[127, 0, 0, 1], "127.0.0.1"],
    [[...new Array(10).fill(0), 0xff, 0xff, 10, 0, 0, 255], "10.0.0.255"],
    [[...new Array(15).fill(0), 1], "::1"],
    [[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2a], "2001:db8::2a"],
    [[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 0xfe, 0, 0, 1], "fe80::200:ff:fe00:1"],
  ];
  for (const [bytes, text] of texts) assert.equal(ipText(Uint8Array.from(bytes)), text);
  // A view into a larger buffer
  assert.equal(ipText(Uint8Array.from([9, ...new Array(15).fill(0), 1]).subarray(1)), "::1");
});

Deno.test("the agent's address is host:port; anything else is refused by name", () => {
  assert.deepEqual(parseSocketAddress("127.0.0.1:7373"), { hostname: "127.0.0.1", port: 7373 });
  assert.deepEqual(parseSocketAddress("serf.example:1"), { hostname: "serf.example", port: 1 });
  assert.deepEqual(parseSocketAddress("[::1]:65535"), { hostname: "::1", port: 65_535 });
  for (
    const text of [
      "",
      "7373",
      "host:",
      ":7373",
      "host:0",
      "host:65536",
      "::1:7373",
      "a b:1",
      "http://x:1",
      "x:1/",
    ]
  ) {
    assert.throws(() => parseSocketAddress(text), { kind: "invalid" }, text);
  }
});

Deno.test("the room for a payload shrinks with the name and grows with the limit", () => {
  assert.equal(payloadRoom("VE"), 472);
  assert.equal(payloadRoom("é"), 472); // bytes, not characters
  assert.equal(payloadRoom("VE", 1024), 984);
  assert.equal(payloadRoom("n".repeat(31)), 443);
  assert.equal(payloadRoom("n".repeat(32)), 440);
  assert.equal(payloadRoom("n".repeat(600)), 0);
});
