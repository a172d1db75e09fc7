import assert from "node:assert/strict";
import { candidates, compareVerdicts, isOverloaded, resourceLoad } from "../../../lib/cluster/placement.ts";
import { HostState } from "../../../lib/model/enums.ts";
import type { Host, Hostresource } from "../../../lib/model/host.ts";
import { hostEntry, numberedUuid } from "../../support/vm_info.ts";

const DEMAND = { memoryMiB: 1_000, hugepages: false, vcpus: 1 };
const SELF = numberedUuid(1);

function resource(part: Partial<Hostresource>): Hostresource {
  return {
    total: 0,
    used: 0,
    free: 0,
    usedos: 0,
    reservedvms: 0,
    usedvms: 0,
    availablevms: 0,
    ...part,
  };
}

function host(number: number, availableMiB: number, part: Partial<Host> = {}): Host {
  const resources = {
    memory: resource({ availablevms: availableMiB }),
    hp: resource({ availablevms: 100 * number }),
    cpu: resource({}),
  };
  return hostEntry({ uuid: numberedUuid(number), resources, ...part });
}

Deno.test("those hosts are asked that are active, alike, and have the memory; the roomiest first", () => {
  const alien = hostEntry().def;
  const hosts = [
    host(1, 9_000),
    host(2, 999),
    host(3, 1_000),
    host(4, 5_000),
    host(5, 5_000),
    host(6, 8_000, { cstate: HostState.failed }),
    host(7, 8_000, { def: { ...alien, cpuarch: { arch: "aarch64", vendor: "ARM" } } }),
  ];
  const asked = (demand: typeof DEMAND) => candidates(hosts, SELF, "x86_64", demand).map(({ uuid }) => uuid);
  assert.deepEqual(asked(DEMAND), [4, 5, 3].map(numberedUuid));
  assert.deepEqual(asked({ ...DEMAND, memoryMiB: 400, hugepages: true }), [5, 4].map(numberedUuid));
});

Deno.test("in a large cluster only so many are asked", () => {
  const hosts = Array.from({ length: 100 }, (_, n) => host(n + 2, 10_000 + n));
  const asked = candidates(hosts, SELF, "x86_64", DEMAND);
  assert.equal(asked.length, 16);
  assert.equal(asked[0]?.uuid, numberedUuid(101));
});

Deno.test("the load is that of the scarcer resource, with the VM on it", () => {
  const memory = resource({ total: 10_000, reservedvms: 4_000, usedos: 1_000 });
  const cpu = resource({ total: 1_000, usedos: 100, usedvms: 100 });
  const hp = resource({ total: 1_000, reservedvms: 0 });
  assert.equal(resourceLoad({ memory, hp, cpu }, DEMAND), 0.6);
  assert.equal(resourceLoad({ memory, hp, cpu: { ...cpu, usedvms: 800 } }, DEMAND), 0.9);
  assert.equal(resourceLoad({ memory, hp, cpu }, { ...DEMAND, hugepages: true }), 1);
  assert.ok(isOverloaded(0.96) && !isOverloaded(0.95));
});

Deno.test("the choice: who fits, the least loaded, the first by UUID", () => {
  const verdict = (number: number, fits: boolean, load: number) => {
    return { host: numberedUuid(number), name: "", fits, obstacles: [], load };
  };
  const verdicts = [
    verdict(4, true, 0.2),
    verdict(1, false, 0),
    verdict(3, true, 0.1),
    verdict(2, true, 0.1),
  ];
  assert.deepEqual(verdicts.sort(compareVerdicts).map(({ host }) => host), [2, 3, 4, 1].map(numberedUuid));
});
