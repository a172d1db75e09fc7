import assert from "node:assert/strict";
import { Inventory } from "../../../lib/cluster/inventory.ts";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { Health } from "../../../lib/model/health.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { DoubleDefinitions } from "../../../lib/vm/double_definitions.ts";
import { numberedUuid, vmInfo } from "../../support/vm_info.ts";

const HERE = numberedUuid(1), THERE = numberedUuid(2), VM = numberedUuid(7);

/** An inventory, and what is reported of it by this host at a time in ms. */
function world() {
  let now = 0;
  const inventory = new Inventory();
  const health = new Health(() => now);
  const doubles = new DoubleDefinitions({
    inventory,
    monitor: { uuid: HERE },
    health,
    hostName: (uuid) => uuid === HERE ? "virt1" : "virt2",
    timers: { now: () => now },
    log: silentLogger,
  });
  const claim = (host: string, runstate: Runstate) =>
    inventory.putVm(vmInfo({ uuid: VM, name: "web", host, runstate, ts: now + 1 }));
  const told = (at: number) => {
    now = at;
    doubles.look();
    return health.conditions.map(({ reason }) => reason);
  };
  return { inventory, claim, told, [Symbol.dispose]: () => doubles[Symbol.dispose]() };
}

Deno.test("a VM that two hosts have defined is reported after a while, with what settles it, until one has it no more", () => {
  using w = world();
  w.claim(HERE, Runstate.poweroff);
  w.claim(THERE, Runstate.running);
  assert.deepEqual(w.told(0), []);
  assert.deepEqual(w.told(29_000), []);
  const [reason = ""] = w.told(31_000);
  assert.match(reason, /^VM "web" \(.*\) is defined on hosts virt1 and virt2; .*virsh undefine --keep-nvram/);
  w.inventory.removeVm(VM, Infinity, HERE);
  assert.deepEqual(w.told(32_000), []);
});

Deno.test("neither a migration, nor a host that is away, nor another two hosts' VM is reported", () => {
  using w = world();
  w.claim(HERE, Runstate.migrating);
  w.claim(THERE, Runstate.running);
  assert.deepEqual([...w.told(0), ...w.told(60_000)], []);
  w.claim(HERE, Runstate.poweroff);
  w.inventory.setHostState(THERE, HostState.failed);
  assert.deepEqual([...w.told(70_000), ...w.told(140_000)], []);
  w.inventory.removeVm(VM, Infinity, HERE);
  w.inventory.setHostState(THERE, HostState.active);
  w.inventory.trust(THERE);
  w.claim(numberedUuid(3), Runstate.poweroff);
  assert.deepEqual([...w.told(150_000), ...w.told(240_000)], []);
});
