import fc from "fast-check";
import assert from "node:assert/strict";
import { diffDefinitions, differenceText } from "../../../../lib/cli/definition/diff.ts";
import { DiskBus, Firmware, NetType } from "../../../../lib/model/enums.ts";
import type { Net, Vmdef } from "../../../../lib/model/vm.ts";
import { anyVmdef } from "../../../support/vmdef_arbitrary.ts";
import { disk, SMALL_VMDEF } from "../../../support/vmdef_examples.ts";

function texts(before: Vmdef, after: Vmdef): readonly string[] {
  return diffDefinitions(before, after).map(differenceText);
}

const net = (name: string, but: Partial<Net> = {}): Net => ({
  name,
  nettype: NetType.bridge,
  model: 0,
  mac: "",
  ...but,
});

Deno.test("what differs is told in words", () => {
  const after: Vmdef = {
    ...SMALL_VMDEF,
    name: "large",
    cpudef: { model: "host-model", nodes: 1, sockets: 2, cores: 4, threads: 1 },
    memory: { total: 2048, hp: true },
    numa: { placement: true },
    vlanid: 7,
    firmware: Firmware.uefi,
    genid: "auto",
  };
  assert.deepEqual(texts(SMALL_VMDEF, after), [
    "name: small → large",
    "cpus: 1 → 8 (2 sockets × 4 cores)",
    "cpu model: maximum → host-model",
    "memory: 128 MiB → 2 GiB",
    "hugepages: off → on",
    "numa placement: off → on",
    "vlan: none → 7",
    "firmware: bios → uefi",
    "genid: none → auto",
  ]);
});

Deno.test("disks are compared by their paths", () => {
  const data = disk("/vms/ds/data.raw", { size: 1024, man: 1, prov: 1 });
  const more = disk("/vms/ds/more.raw");
  const before = { ...SMALL_VMDEF, disks: [data, more] };
  assert.deepEqual(texts({ ...before, disks: [data] }, before), [
    "disk /vms/ds/more.raw: added (size of the image, disk, virtio-blk, unmanaged, none)",
  ]);
  assert.deepEqual(texts(before, { ...before, disks: [more] }), [
    "disk /vms/ds/data.raw: removed (1 GiB, disk, virtio-blk, managed, thin)",
  ]);
  assert.deepEqual(texts(before, { ...before, disks: [{ ...data, bus: DiskBus.sata, size: 2048 }, more] }), [
    "disk /vms/ds/data.raw size: 1 GiB → 2 GiB",
    "disk /vms/ds/data.raw bus: virtio-blk → sata",
  ]);
  assert.deepEqual(texts(before, { ...before, disks: [more, data] }), [
    "order of disks: /vms/ds/small.qcow2, /vms/ds/data.raw, /vms/ds/more.raw → " +
    "/vms/ds/small.qcow2, /vms/ds/more.raw, /vms/ds/data.raw",
  ]);
  assert.equal(
    texts(before, { ...before, osdisk: data, disks: [SMALL_VMDEF.osdisk, more] })[0],
    "os disk: /vms/ds/small.qcow2 → /vms/ds/data.raw",
  );
});

Deno.test("interfaces are compared by their MAC addresses, else by what they are connected to", () => {
  const [a, b] = [net("br0", { mac: "52:54:00:00:00:01" }), net("br1")];
  const before = { ...SMALL_VMDEF, nets: [a, b] };
  assert.deepEqual(texts(before, { ...before, nets: [{ ...a, name: "br9" }, { ...b, model: 2 }] }), [
    "interface 52:54:00:00:00:01 connection: bridge br0 → bridge br9",
    "interface br1 model: virtio → e1000",
  ]);
  assert.deepEqual(texts(before, { ...before, nets: [a, net("lan", { nettype: NetType.network })] }), [
    "interface br1: removed (bridge br1, virtio, chosen by libvirt)",
    "interface lan: added (network lan, virtio, chosen by libvirt)",
  ]);
});

Deno.test("custom fields are compared by their names", () => {
  const with_ = (...custom: Vmdef["custom"]) => ({ ...SMALL_VMDEF, custom });
  assert.deepEqual(
    texts(with_({ name: "a", value: "" }), with_({ name: "a", value: "x" }, { name: "b", value: "" })),
    [
      'custom a value: "" → "x"',
      'custom b: added ("")',
    ],
  );
});

Deno.test("definitions differ in something if and only if they are not the same", () => {
  fc.assert(fc.property(anyVmdef, anyVmdef, fc.nat(), (one, other, which) => {
    assert.deepEqual(diffDefinitions(one, structuredClone(one)), []);
    assert.deepEqual(diffDefinitions(one, one), []);
    const keys = Object.keys(one) as (keyof Vmdef)[];
    const key = keys[which % keys.length] ?? "name";
    const mixed = { ...one, [key]: other[key] };
    const same = JSON.stringify(one[key]) === JSON.stringify(other[key]);
    assert.equal(diffDefinitions(one, mixed).length === 0, same, key);
    const turned = { ...one, disks: one.disks.toReversed(), nets: one.nets.toReversed() };
    const alike = one.disks.length < 2 && one.nets.length < 2;
    assert.equal(diffDefinitions(one, turned).length === 0, alike);
  }));
});
