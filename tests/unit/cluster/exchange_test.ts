import assert from "node:assert/strict";
import {
  type OriginState,
  parseStates,
  parseVector,
  parseWants,
  type Vector,
} from "../../../lib/cluster/exchange.ts";
import { HOST_VMS_MAX } from "../../../lib/model/limits.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HOST = numberedUuid(1000);
const STAMP = { epoch: 5, seq: 0, digest: "00000000000000ff" };
const VECTOR: Vector = {
  uuid: HOST,
  digest: "00000000000000ff",
  origins: [{ uuid: HOST, ...STAMP, count: 3 }],
};
const STATE: OriginState = {
  uuid: HOST,
  ...STAMP,
  host: hostEntry(),
  base: undefined,
  vms: [vmInfo({ custom: [{ name: "a", value: "b" }] })],
  gone: [],
};

function overTheWire(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function assertRefused(parse: (value: unknown) => unknown, value: unknown): void {
  assert.throws(
    () => parse(value),
    (error: unknown) => error instanceof VirtxError && error.kind === "invalid" && error.issues.length > 0,
    JSON.stringify(value),
  );
}

Deno.test("what hosts tell each other survives the wire", () => {
  assert.deepEqual(parseVector(overTheWire(VECTOR)), VECTOR);
  assert.deepEqual(parseStates(overTheWire([STATE])), [STATE]);
  const changes = { ...STATE, host: undefined, base: 7, gone: [numberedUuid(3)] };
  assert.deepEqual(parseStates(overTheWire([changes])), [changes]);
  const wants = [{ uuid: HOST, since: undefined }, { uuid: HOST, since: { epoch: 5, seq: 3 } }];
  assert.deepEqual(parseWants(overTheWire(wants)), wants);
});

Deno.test("fields of later versions are ignored", () => {
  assert.deepEqual(parseVector({ ...VECTOR, extra: 1 }), VECTOR);
  assert.deepEqual(parseStates([{ ...STATE, extra: 1, vms: [{ ...STATE.vms[0], extra: 1 }] }]), [STATE]);
});

Deno.test("what cannot be is refused", () => {
  for (const value of [null, [], {}, { ...VECTOR, origins: [{}] }]) assertRefused(parseVector, value);
  const [entry] = VECTOR.origins;
  const entries = [{ epoch: 0 }, { epoch: 1.5 }, { seq: -1 }, { digest: "xyz" }, { uuid: "X" }, {
    count: -1,
  }];
  for (const wrong of entries) assertRefused(parseVector, { ...VECTOR, origins: [{ ...entry, ...wrong }] });
  for (const value of [{}, [{ uuid: "" }], [{ uuid: HOST, since: {} }]]) assertRefused(parseWants, value);
  const [vm] = STATE.vms;
  const vms = [{ runstate: 10 }, { vlanid: 5000 }, { ts: NaN }, { name: 1 }, { host: numberedUuid(1) }];
  for (const wrong of vms) assertRefused(parseStates, [{ ...STATE, vms: [{ ...vm, ...wrong }] }]);
  const hosts = [{ uuid: numberedUuid(1) }, { cstate: 9 }, { resources: {} }, { def: undefined }];
  for (const wrong of hosts) assertRefused(parseStates, [{ ...STATE, host: { ...STATE.host, ...wrong } }]);
  assertRefused(parseStates, [{ ...STATE, gone: ["x"] }]);
});

Deno.test("what a peer tells is bounded: names, fields, and how many VMs a host has", () => {
  const [vm] = STATE.vms;
  const many = <T>(count: number, item: T) => Array.from({ length: count }, () => item);
  const field = { name: "a", value: "b" };
  for (
    const wrong of [
      { name: "x".repeat(64 * 1024) },
      { custom: many(1000, field) },
      { custom: [{ name: "a", value: "x".repeat(64 * 1024) }] },
    ]
  ) assertRefused(parseStates, [{ ...STATE, vms: [{ ...vm, ...wrong }] }]);
  assertRefused(parseStates, [{ ...STATE, vms: many(HOST_VMS_MAX + 1, vm) }]);
  assertRefused(parseStates, [{ ...STATE, gone: many(HOST_VMS_MAX + 1, HOST) }]);
  assertRefused(parseStates, [{ ...STATE, host: { ...STATE.host, def: undefined } }]);
  const largest = { ...STATE, epoch: Number.MAX_SAFE_INTEGER, seq: Number.MAX_SAFE_INTEGER };
  assert.equal(parseStates([largest]).length, 1); // what is to be believed of it, is decided elsewhere
});
