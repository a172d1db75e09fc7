import assert from "node:assert/strict";
import fc from "fast-check";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { type HostQuery, searchHosts, searchVms, type VmQuery } from "../../../lib/cluster/search.ts";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { VmInfo } from "../../../lib/model/vm.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HERE = numberedUuid(1000);
const THERE = numberedUuid(1001);

function inventoryOf(...parts: Partial<VmInfo>[]): Inventory {
  const inventory = new Inventory();
  parts.forEach((part, index) => inventory.putVm(vmInfo({ uuid: numberedUuid(index + 1), ...part })));
  return inventory;
}

function namesFound(inventory: Inventory, query: VmQuery): string[] {
  return searchVms(inventory, query).items.map((vm) => vm.name);
}

Deno.test("each VM filter lets through what the protocol says", () => {
  const owner = (value: string) => [{ name: "owner", value }];
  const inventory = inventoryOf(
    { name: "web1", host: HERE, runstate: Runstate.running, vlanid: 5, custom: owner("ann"), ts: 10 },
    { name: "web2", host: THERE, runstate: Runstate.poweroff, vlanid: 6, custom: owner("bob"), ts: 20 },
    { name: "db1", host: THERE, runstate: Runstate.poweroff, vlanid: 5, ts: 30 },
  );
  const cases: [VmQuery, string[]][] = [
    [{}, ["db1", "web1", "web2"]],
    [{ name: "eb" }, ["web1", "web2"]],
    [{ name: "WEB" }, []],
    [{ host: THERE }, ["db1", "web2"]],
    [{ host: numberedUuid(1002) }, []],
    [{ runstate: Runstate.poweroff }, ["db1", "web2"]],
    [{ vlanid: 5 }, ["db1", "web1"]],
    [{ vlanid: 0 }, []],
    [{ custom: { name: "owner", value: "bob" } }, ["web2"]],
    [{ custom: { name: "owner" } }, ["web1", "web2"]],
    [{ custom: { name: "bob", value: "owner" } }, []],
    [{ ts: 20 }, ["web1", "web2"]],
    [{ name: "web", host: THERE, runstate: Runstate.poweroff, vlanid: 6, ts: 20 }, ["web2"]],
    [{ host: THERE, vlanid: 7 }, []],
  ];
  for (const [query, expected] of cases) {
    assert.deepEqual(namesFound(inventory, query), expected, JSON.stringify(query));
    assert.equal(searchVms(inventory, query).total, expected.length);
  }
});

Deno.test("each host filter lets through what the protocol says", () => {
  const { def, resources } = hostEntry();
  const { memory } = resources;
  const inventory = new Inventory();
  inventory.putHost(hostEntry({
    uuid: HERE,
    resources: {
      ...resources,
      memory: { ...memory, availablevms: 4096 },
      hp: { ...memory, availablevms: 64 },
    },
    ts: 10,
  }));
  inventory.putHost(hostEntry({
    uuid: THERE,
    def: {
      ...def,
      name: "arm1",
      cpuarch: { arch: "aarch64", vendor: "ARM" },
      cpudef: { model: "neoverse-n1", nodes: 2, sockets: 1, cores: 64, threads: 1 },
      osid: "opensuse-leap",
      osv: "15.6",
    },
    cstate: HostState.failed,
    ts: 20,
  }));
  const cases: [HostQuery, string[]][] = [
    [{}, ["arm1", "virt1"]],
    [{ name: "1" }, ["arm1", "virt1"]],
    [{ name: "irt" }, ["virt1"]],
    [{ arch: "aarch64" }, ["arm1"]],
    [{ arch: "aarch" }, []],
    [{ vendor: "Intel" }, ["virt1"]],
    [{ model: "neoverse-n1" }, ["arm1"]],
    [{ cstate: HostState.failed }, ["arm1"]],
    [{ osid: "debian" }, ["virt1"]],
    [{ osv: "15.6" }, ["arm1"]],
    [{ nodes: 2 }, ["arm1"]],
    [{ sockets: 2 }, ["virt1"]],
    [{ cores: 8 }, ["arm1", "virt1"]],
    [{ cores: 9 }, ["arm1"]],
    [{ threads: 2 }, ["virt1"]],
    [{ memoryavailable: 4096 }, ["virt1"]],
    [{ memoryavailable: 4097 }, []],
    [{ hpavailable: 64 }, ["virt1"]],
    [{ ts: 10 }, ["virt1"]],
    [{ arch: "aarch64", osid: "debian" }, []],
  ];
  for (const [query, expected] of cases) {
    const found = searchHosts(inventory, query);
    assert.deepEqual(found.items.map((host) => host.def.name), expected, JSON.stringify(query));
    assert.equal(found.total, expected.length);
  }
  const byMemory = searchHosts(inventory, { sort: "-memoryavailable" });
  assert.deepEqual(byMemory.items.map((host) => host.def.name), ["virt1", "arm1"]);
});

Deno.test("pages in any order, put together, are the whole sorted list", () => {
  const part = fc.record({
    name: fc.constantFrom("a", "b", "ab", "é"),
    host: fc.constantFrom(HERE, THERE),
    runstate: fc.constantFrom(Runstate.running, Runstate.poweroff),
    vlanid: fc.nat(3),
    ts: fc.nat(5),
  });
  const keys = ["name", "host", "runstate", "vlanid", "ts", "uuid"] as const;
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 40 }),
      fc.constantFrom(...keys),
      fc.boolean(),
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom<VmQuery>({}, { name: "b" }, { host: HERE }, { host: HERE, name: "a" }),
      (parts, key, descending, limit, filter) => {
        const inventory = inventoryOf(...parts);
        const expected = [...inventory.vms()]
          .filter((vm) => vm.name.includes(filter.name ?? "") && (!filter.host || vm.host === filter.host))
          .sort((a, b) => (a[key] === b[key] ? (a.uuid < b.uuid ? -1 : 1) : a[key] < b[key] ? -1 : 1));
        if (descending) expected.reverse();
        const found: VmInfo[] = [];
        let after: string | undefined;
        do {
          const page = searchVms(inventory, { ...filter, sort: descending ? `-${key}` : key, limit, after });
          assert.ok(page.items.length <= limit);
          assert.equal(page.total, expected.length);
          found.push(...page.items);
          after = page.next;
        } while (after !== undefined);
        assert.deepEqual(found, expected);
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("paging neither repeats nor skips what stays, while other VMs come and go", () => {
  const inventory = inventoryOf({ name: "a" }, { name: "c" }, { name: "e" }, { name: "g" });
  const first = searchVms(inventory, { limit: 2 });
  assert.deepEqual(first.items.map((vm) => vm.name), ["a", "c"]);
  inventory.removeVm(numberedUuid(2), 1); // the one that the cursor stands on
  inventory.putVm(vmInfo({ uuid: numberedUuid(8), name: "b" }));
  inventory.putVm(vmInfo({ uuid: numberedUuid(9), name: "d" }));
  assert.deepEqual(namesFound(inventory, { limit: 9, after: first.next }), ["d", "e", "g"]);
});

Deno.test("a cursor that is not of this list's order is refused, naming the parameter", () => {
  const inventory = inventoryOf({ name: "a" }, { name: "b" });
  const { next } = searchVms(inventory, { limit: 1, sort: "ts" });
  const forged = [next, "", "***", "bnVsbA", btoa('["name"]'), btoa('["name",{},"x"]')];
  for (const after of forged) {
    assert.throws(
      () => searchVms(inventory, { sort: "name", after }),
      (error: unknown) =>
        error instanceof VirtxError && error.kind === "invalid" && error.issues[0]?.field === "cursor",
      `cursor ${after}`,
    );
  }
});

Deno.test("rows of deleted VMs are used again, and never found", () => {
  const inventory = inventoryOf({ name: "a" }, { name: "b" }, { name: "c" });
  inventory.removeVm(numberedUuid(2), 1);
  assert.deepEqual(namesFound(inventory, {}), ["a", "c"]);
  assert.deepEqual(namesFound(inventory, { vlanid: 0 }), ["a", "c"]);
  inventory.putVm(vmInfo({ uuid: numberedUuid(9), name: "0" }));
  assert.deepEqual(namesFound(inventory, { vlanid: 0 }), ["0", "a", "c"]);
  assert.equal([...inventory.vms()].length, 3);
});
