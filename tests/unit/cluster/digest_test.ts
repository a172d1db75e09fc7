import assert from "node:assert/strict";
import fc from "fast-check";
import { SetDigest, vmText } from "../../../lib/cluster/digest.ts";
import { Runstate } from "../../../lib/model/enums.ts";
import type { VmInfo } from "../../../lib/model/vm.ts";
import { numberedUuid, vmInfo } from "../../support/vm_info.ts";

Deno.test("the digest is the same whatever the order, and follows what comes and goes", () => {
  fc.assert(fc.property(fc.uniqueArray(fc.string()), fc.uniqueArray(fc.string()), (first, second) => {
    const there = new SetDigest();
    for (const element of first) there.toggle(element);
    for (const element of second) there.toggle(element);
    for (const element of first.toReversed()) there.toggle(element);
    const anew = new SetDigest();
    for (const element of second.toReversed()) anew.toggle(element);
    assert.equal(there.toString(), anew.toString());
  }));
  assert.equal(new SetDigest().toString(), "0".repeat(16));
});

Deno.test("whatever changes of a VM changes the digest", () => {
  const changes: Partial<VmInfo>[] = [
    {},
    { uuid: numberedUuid(2) },
    { name: "web2" },
    { runstate: Runstate.paused },
    { vlanid: 1 },
    { vcpus: 2 },
    { ts: 2 },
    { custom: [{ name: "a", value: "bc" }] },
    { custom: [{ name: "ab", value: "c" }] },
    { custom: [{ name: "a", value: "b" }, { name: "", value: "c" }] },
    { name: "web1a", custom: [{ name: "", value: "bc" }] },
  ];
  const digests = changes.map((change) => SetDigest.ofVms([vmInfo(change)]).toString());
  assert.equal(new Set(digests).size, changes.length);
  for (const digest of digests) assert.match(digest, /^[0-9a-f]{16}$/);
});

Deno.test("among a hundred thousand VMs that differ in a digit no two have the same digest", () => {
  const seen = new Set<string>();
  for (let number = 0; number < 100_000; number++) {
    const digest = new SetDigest();
    digest.toggle(vmText(vmInfo({ uuid: numberedUuid(number) })));
    seen.add(digest.toString());
  }
  assert.equal(seen.size, 100_000);
});

Deno.test("the digest is that of all versions: others would pull for ever", () => {
  assert.equal(
    vmText(vmInfo({ custom: [{ name: "a", value: "bc" }] })),
    `4,0,1,1;4,1,2;${numberedUuid(1)}web1abc`,
  );
  assert.equal(SetDigest.ofVms([vmInfo()]).toString(), "455672a108278ab2");
  assert.equal(SetDigest.ofVms([vmInfo(), vmInfo({ uuid: numberedUuid(2) })]).toString(), "0328b1395df41ec4");
});
