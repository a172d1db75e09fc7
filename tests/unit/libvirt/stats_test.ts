import assert from "node:assert/strict";
import { TypedParameterType } from "../../../lib/libvirt/constants.ts";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { TypedParameters } from "../../../lib/libvirt/typed_params.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { LibvirtServer, SERVED_DOMAIN } from "../../support/libvirt_server.ts";

const log = silentLogger;
const { int, uint, llong, ullong, double, boolean, string } = TypedParameterType;

Deno.test("a domain's figures are what libvirt says, and undefined where it says nothing", async () => {
  await using server = await LibvirtServer.start();
  await using hypervisor = await Hypervisor.open({ uri: server.uri, log });
  server.figures = [
    ["state.state", int, 1],
    ["state.reason", int, 5],
    ["cpu.time", ullong, 987_654_321_012_345],
    ["balloon.current", ullong, 4_194_304],
    ["balloon.maximum", ullong, 8_388_608],
    ["balloon.rss", ullong, 1_234_567],
    ["net.count", uint, 2],
    ["net.0.name", string, "vnet0"],
    ["net.0.rx.bytes", ullong, 2 ** 40],
    ["net.0.tx.bytes", ullong, 17],
    ["net.1.name", string, "vnet1"],
    ["block.count", uint, 2],
    ["block.0.name", string, "vda"],
    ["block.0.path", string, "/vms/ds/größe.qcow2"],
    ["block.0.capacity", ullong, 10 * 2 ** 40],
    ["block.0.allocation", ullong, 2 ** 33],
    ["block.0.physical", ullong, 2 ** 32],
    ["block.1.name", string, "sda"],
  ];
  assert.deepEqual(await hypervisor.stats(), [{
    uuid: SERVED_DOMAIN.uuid,
    name: SERVED_DOMAIN.name,
    state: 1,
    reason: 5,
    cpuTimeNs: 987_654_321_012_345,
    balloon: { currentKiB: 4_194_304, maximumKiB: 8_388_608, rssKiB: 1_234_567 },
    net: [
      { name: "vnet0", rxBytes: 2 ** 40, txBytes: 17 },
      { name: "vnet1", rxBytes: undefined, txBytes: undefined },
    ],
    block: [
      {
        name: "vda",
        path: "/vms/ds/größe.qcow2",
        capacity: 10 * 2 ** 40,
        allocation: 2 ** 33,
        physical: 2 ** 32,
      },
      { name: "sda", path: undefined, capacity: undefined, allocation: undefined, physical: undefined },
    ],
  }]);

  server.figures = [];
  const [bare] = await hypervisor.stats();
  assert.deepEqual(bare?.balloon, { currentKiB: undefined, maximumKiB: undefined, rssKiB: undefined });
  assert.deepEqual([bare?.cpuTimeNs, bare?.net, bare?.block], [undefined, [], []]);
});

Deno.test("typed parameters are found by name and read by type, however many there are", () => {
  const longName = "n".repeat(79);
  const strings = new TextEncoder().encode("text\0");
  const parameters: [name: string, type: number, write: (view: DataView, at: number) => void][] = [
    ["int", int, (view, at) => view.setInt32(at, -5, true)],
    ["uint", uint, (view, at) => view.setUint32(at, 0xffff_fffe, true)],
    ["llong", llong, (view, at) => view.setBigInt64(at, -(2n ** 40n), true)],
    ["ullong", ullong, (view, at) => view.setBigUint64(at, 2n ** 53n - 1n, true)],
    ["double", double, (view, at) => view.setFloat64(at, 0.5, true)],
    ["boolean", boolean, (view, at) => view.setInt8(at, 1)],
    ["string", string, (view, at) => view.setBigUint64(at, addressOf(strings), true)],
    ["future", 99, (view, at) => view.setBigUint64(at, 1n, true)],
    [longName, int, (view, at) => view.setInt32(at, 1, true)],
  ];
  const array = new Uint8Array(96 * (parameters.length + 200));
  const view = new DataView(array.buffer);
  parameters.forEach(([name, type, write], index) => {
    new TextEncoder().encodeInto(name, array.subarray(96 * index));
    view.setInt32(96 * index + 80, type, true);
    write(view, 96 * index + 88);
  });
  for (let index = parameters.length; index < parameters.length + 200; index++) {
    new TextEncoder().encodeInto(`more.${index}`, array.subarray(96 * index));
    view.setInt32(96 * index + 80, int, true);
    view.setInt32(96 * index + 88, index, true);
  }

  const read = new TypedParameters();
  const pointer = Deno.UnsafePointer.of(array);
  const check = (count: number) => {
    read.load(pointer, count);
    assert.equal(read.number("int"), -5);
    assert.equal(read.number("uint"), 0xffff_fffe);
    assert.equal(read.number("llong"), -(2 ** 40));
    assert.equal(read.number("ullong"), 2 ** 53 - 1);
    assert.equal(read.number("double"), 0.5);
    assert.equal(read.string("string"), "text");
    assert.equal(read.boolean("boolean"), true);
    assert.equal(read.number(longName), 1);
    for (const other of ["string", "boolean", "future", "absent"]) {
      assert.equal(read.number(other), undefined);
    }
    for (const other of ["int", "absent"]) assert.equal(read.string(other) ?? read.boolean(other), undefined);
  };
  check(parameters.length);
  check(parameters.length + 200);
  assert.equal(read.number("more.208"), 208);
  check(parameters.length);
  assert.equal(read.number("more.208"), undefined);
  for (const nothing of [pointer, null]) {
    read.load(nothing, 0);
    assert.equal(read.number("int"), undefined);
  }
});

function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}
