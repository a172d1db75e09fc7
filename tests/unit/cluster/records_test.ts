import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeHostInfo,
  decodeRecord,
  decodeVmEvent,
  decodeVmInfo,
  encodeHostInfo,
  encodeVmEvent,
  encodeVmInfo,
  type HostInfo,
  hostInfoOf,
  RECORD_LIMIT,
  type VmEvent,
} from "../../../lib/cluster/records.ts";
import { ByteWriter } from "../../../lib/cluster/bytes.ts";
import type { Stamp } from "../../../lib/cluster/stamp.ts";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { CustomField, VmInfo } from "../../../lib/model/vm.ts";
import { gossipFixture } from "../../support/cluster_fixtures.ts";
import { hostEntry, numberedUuid } from "../../support/vm_info.ts";

const HOST = "6f1c1d9e-0000-4000-8000-00000000000a";
const VM = "11111111-2222-4333-8444-555555555555";

const PLAIN_HOST: HostInfo = {
  uuid: HOST,
  name: "virt1",
  arch: "x86_64",
  vendor: "Intel",
  model: "Skylake-Server",
  nodes: 2,
  sockets: 1,
  cores: 16,
  threads: 2,
  cstate: HostState.active,
  memoryavailable: 256000,
  hpavailable: 512,
  osid: "opensuse-leap",
  osv: "15.6",
  ts: 1719527667712,
};

const EXTREME_HOST: HostInfo = {
  uuid: "ffffffff-ffff-ffff-ffff-ffffffffffff",
  name: "",
  arch: "",
  vendor: "",
  model: "",
  nodes: 32767,
  sockets: 32767,
  cores: 32767,
  threads: 0,
  cstate: HostState.failed,
  memoryavailable: -(2 ** 31),
  hpavailable: 2 ** 31 - 1,
  osid: "",
  osv: "€é",
  ts: Number.MAX_SAFE_INTEGER,
};
const EXTREME_STAMP: Stamp = { epoch: Number.MAX_SAFE_INTEGER, seq: 0, digest: "0123456789abcdef" };

const PLAIN_EVENT: VmEvent = { uuid: VM, host: HOST, runstate: Runstate.paused, ts: 1 };
const DELETED: VmEvent = { uuid: VM, host: HOST, runstate: Runstate.deleted, ts: 0 };
const DELETED_STAMP: Stamp = { epoch: 1, seq: 2 ** 32, digest: "f".repeat(16) };

const PLAIN_VM: VmInfo = {
  uuid: VM,
  host: HOST,
  runstate: Runstate.running,
  ts: 1e12,
  name: "web1",
  vlanid: 4094,
  custom: [{ name: "owner", value: "ann" }, { name: "", value: "" }],
  vcpus: 32767,
};
const LEAST_VM: VmInfo = {
  uuid: "00000000-0000-0000-0000-000000000000",
  host: "00000000-0000-0000-0000-000000000001",
  runstate: Runstate.none,
  ts: 0,
  name: "",
  vlanid: 0,
  custom: [],
  vcpus: 0,
};
const LEAST_STAMP: Stamp = { epoch: 0x19b065fdc00, seq: 42, digest: "8000000000000000" };

Deno.test("records are, byte by byte, what the specification makes of them", async () => {
  assert.deepEqual(encodeHostInfo(PLAIN_HOST), await gossipFixture("hi_plain"));
  assert.deepEqual(encodeHostInfo(EXTREME_HOST, EXTREME_STAMP), await gossipFixture("hi_extreme"));
  assert.deepEqual(encodeVmEvent(PLAIN_EVENT), await gossipFixture("ve_plain"));
  assert.deepEqual(
    encodeVmEvent(DELETED, DELETED_STAMP),
    (await gossipFixture("ve_deleted")).slice(0, -4), // without what a later version adds
  );
  assert.deepEqual(encodeVmInfo(PLAIN_VM), await gossipFixture("vi_plain"));
  assert.deepEqual(encodeVmInfo(LEAST_VM, LEAST_STAMP), await gossipFixture("vi_stamped"));
});

Deno.test("records are read with and without a stamp, and whatever a later version adds", async () => {
  const read = async (name: string) =>
    decodeRecord(name.slice(0, 2).toUpperCase(), await gossipFixture(name));
  assert.deepEqual(await read("hi_plain"), { kind: "host", host: PLAIN_HOST, origin: undefined });
  assert.deepEqual(await read("hi_extreme"), { kind: "host", host: EXTREME_HOST, origin: EXTREME_STAMP });
  assert.deepEqual(await read("ve_plain"), { kind: "event", event: PLAIN_EVENT, origin: undefined });
  assert.deepEqual(await read("ve_deleted"), { kind: "event", event: DELETED, origin: DELETED_STAMP });
  assert.deepEqual(await read("vi_plain"), { kind: "vm", vm: PLAIN_VM, origin: undefined });
  assert.deepEqual(await read("vi_stamped"), { kind: "vm", vm: LEAST_VM, origin: LEAST_STAMP });
  assert.equal(decodeRecord("deploy", new Uint8Array()), undefined);
});

const text = fc.string({ unit: "grapheme", maxLength: 8 }).map((value) => value.toWellFormed());
const int16 = fc.nat(32767);
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const ts = fc.maxSafeNat();
const stamp = fc.option(
  fc.record<Stamp>({
    epoch: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    seq: fc.maxSafeNat(),
    digest: fc.bigInt(0n, 2n ** 64n - 1n).map((bits) => bits.toString(16).padStart(16, "0")),
  }, { noNullPrototype: true }),
  { nil: undefined },
);
const uuid = fc.uuid();
const hosts = fc.record<HostInfo>({
  uuid,
  name: text,
  arch: text,
  vendor: text,
  model: text,
  nodes: int16,
  sockets: int16,
  cores: int16,
  threads: int16,
  cstate: fc.constantFrom(...Object.values(HostState)),
  memoryavailable: int32,
  hpavailable: int32,
  osid: text,
  osv: text,
  ts,
}, { noNullPrototype: true });
const vms = fc.record<VmInfo>({
  uuid,
  host: uuid,
  runstate: fc.constantFrom(...Object.values(Runstate)),
  name: text,
  vlanid: fc.nat(4094),
  custom: fc.array(fc.record({ name: text, value: text }, { noNullPrototype: true }), { maxLength: 4 }),
  vcpus: int16,
  ts,
}, { noNullPrototype: true });

Deno.test("what is encoded is decoded to the same, and is never longer than an agent takes", () => {
  fc.assert(fc.property(hosts, stamp, (host, origin) => {
    const payload = encodeHostInfo(host, origin);
    if (payload) assert.deepEqual(decodeHostInfo(payload), { kind: "host", host, origin });
    assert.ok((payload?.length ?? 0) <= RECORD_LIMIT);
  }));
  fc.assert(fc.property(vms, stamp, (vm, origin) => {
    const payload = encodeVmInfo(vm, origin);
    if (payload) assert.deepEqual(decodeVmInfo(payload), { kind: "vm", vm, origin });
    assert.ok((payload?.length ?? 0) <= RECORD_LIMIT);
    const { uuid, host, runstate, ts } = vm;
    const event = encodeVmEvent(vm, origin);
    assert.deepEqual(event && decodeVmEvent(event), {
      kind: "event",
      event: { uuid, host, runstate, ts },
      origin,
    });
  }));
});

Deno.test("what fits to the last byte is said, and one byte more is not", () => {
  const room = RECORD_LIMIT - (encodeVmInfo(LEAST_VM, LEAST_STAMP)?.length ?? 0);
  const named = (bytes: number) => encodeVmInfo({ ...LEAST_VM, name: "x".repeat(bytes) }, LEAST_STAMP);
  assert.equal(named(room)?.length, RECORD_LIMIT);
  assert.equal(named(room + 1), undefined);
});

Deno.test("what the integers cannot hold is not said, rather than said wrong", () => {
  const host = hostInfoOf(hostEntry());
  assert.ok(encodeHostInfo(host));
  for (const wrong of [NaN, 1.5, 2 ** 31, Infinity]) {
    assert.equal(encodeHostInfo({ ...host, memoryavailable: wrong }), undefined, String(wrong));
  }
  assert.equal(encodeHostInfo({ ...host, cores: 32768 }), undefined);
  assert.equal(encodeVmInfo({ ...LEAST_VM, ts: 2 ** 53 }), undefined);
  assert.equal(encodeVmEvent(DELETED, { ...DELETED_STAMP, digest: "xyz" }), undefined);
});

Deno.test("a record that is cut anywhere within its own fields is refused", async () => {
  for (const name of ["hi_plain", "ve_plain", "vi_plain"]) {
    const whole = await gossipFixture(name);
    for (let length = 0; length < whole.length; length++) {
      assertRefused(name, whole.slice(0, length));
    }
  }
});

Deno.test("a record with impossible values is refused", async () => {
  const vi = await gossipFixture("vi_plain");
  const broken = (at: number, ...bytes: number[]) => {
    const copy = vi.slice();
    copy.set(bytes, at);
    return copy;
  };
  const custom = 76 + 2 + 8 + 2 + 4 + 2;
  const cases: Record<string, Uint8Array> = {
    "a UUID that is none": broken(2, 0x78),
    "a UUID longer than all that is left": broken(0, 0xff, 0xff),
    "a runstate that does not exist": broken(76, 10),
    "a negative runstate": broken(76, 0xff, 0xff),
    "a negative ts": broken(85, 0x80),
    "a ts beyond 53 bits": broken(84, 0x20),
    "a name that is not UTF-8": broken(88, 0xff),
    "a name that is overlong UTF-8": broken(88, 0xc0, 0x80),
    "a VLAN id beyond 4094": broken(92, 0xff, 0x0f),
    "more custom fields than could follow": broken(custom, 0xff, 0xff),
    "negative vcpus": broken(vi.length - 2, 0xff, 0xff),
  };
  for (const [what, payload] of Object.entries(cases)) assertRefused("vi", payload, what);
  const ve = await gossipFixture("ve_deleted");
  ve.set([0x80], 86 + 7);
  assertRefused("ve", ve, "a negative epoch");
});

Deno.test("whatever the bytes, decoding gives a record or refuses", () => {
  fc.assert(
    fc.property(fc.constantFrom("HI", "VI", "VE"), fc.uint8Array({ maxLength: 600 }), (name, payload) => {
      try {
        decodeRecord(name, payload);
      } catch (error) {
        assert.ok(error instanceof VirtxError && error.kind === "invalid");
      }
    }),
  );
});

function assertRefused(name: string, payload: Uint8Array, what?: string): void {
  assert.throws(
    () => decodeRecord(name.slice(0, 2).toUpperCase(), payload),
    (error: unknown) => error instanceof VirtxError && error.kind === "invalid",
    what ?? `${name}, ${payload.length} bytes`,
  );
}

Deno.test("names that no list could show, and more fields than anybody reads, are refused", () => {
  const vm = { uuid: numberedUuid(1), host: numberedUuid(2), runstate: Runstate.running, ts: 1 };
  const custom = Array.from({ length: 300 }, () => ({ name: "", value: "" }));
  const encode = (name: string, fields: readonly CustomField[] = []) => {
    const writer = new ByteWriter(0x20000);
    writer.string(vm.uuid);
    writer.string(vm.host);
    writer.int16(vm.runstate);
    writer.int64(vm.ts);
    writer.string(name);
    writer.int16(0);
    writer.count(fields.length);
    for (const { name, value } of fields) {
      writer.string(name);
      writer.string(value);
    }
    writer.int16(1);
    const bytes = writer.finish();
    assert.ok(bytes);
    return bytes;
  };
  assert.equal(decodeRecord("VI", encode("a\u00e4"))?.kind, "vm");
  for (const name of ["a\x1b[2J", "a\nb", "\x9b31m", "x".repeat(2000), "x".repeat(65_000)]) {
    assert.throws(() => decodeRecord("VI", encode(name)), { kind: "invalid" });
  }
  assert.throws(() => decodeRecord("VI", encode("a", custom)), { kind: "invalid" });
});
