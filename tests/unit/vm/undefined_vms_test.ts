import assert from "node:assert/strict";
import { HostState, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { Health } from "../../../lib/model/health.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { UndefinedVms } from "../../../lib/vm/undefined_vms.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { VmHost } from "../../support/vm_host.ts";
import { numberedUuid, vmInfo } from "../../support/vm_info.ts";

const OTHER = numberedUuid(2);
const WEB = { ...SMALL_VMDEF, name: "web", osdisk: diskAt("/vms/ds/web.raw", { size: 4 }) };

/** A host with a VM that its libvirt loses, and what it reports at a time in ms. */
async function world() {
  const host = await VmHost.start();
  const { vms, registry, host: { inventory, monitor, hypervisor } } = host;
  const vm = await vms.create({ vmdef: WEB, host: "" });
  const xml = await registry.read(vm) ?? "";
  let now = 0;
  let wall = 3_600_000;
  const health = new Health(() => now);
  const state = {
    refusal: undefined as VirtxError | undefined,
    open: false,
    unsure: undefined as string | undefined,
  };
  const lost = new UndefinedVms({
    inventory,
    monitor,
    registry,
    isOpen: async (uuid) => state.open || await vms.isOpen(uuid),
    unsure: () => state.unsure,
    refusal: () => Promise.resolve(state.refusal),
    hostName: () => "virt1",
    health,
    clock: () => wall + now,
    timers: { now: () => now },
    log: silentLogger,
  });
  /** As a new installation of the host would. */
  const lose = async () => {
    await hypervisor.undefine(vm);
    await monitor.refresh(vm);
    await registry.write(vm, xml);
  };
  const told = async (at: number) => {
    now = at;
    await lost.look();
    return health.conditions.map(({ reason }) => reason);
  };
  const setBack = () => void (wall = 0);
  const dispose = async () => {
    lost[Symbol.dispose]();
    await host[Symbol.asyncDispose]();
  };
  return {
    ...host.host,
    host,
    vms,
    registry,
    vm,
    xml,
    state,
    lose,
    told,
    setBack,
    [Symbol.asyncDispose]: dispose,
  };
}

function failsWith(kind: VirtxError["kind"], message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof VirtxError, String(error));
    assert.equal(error.kind, kind, error.message);
    assert.match(error.message, message);
    return true;
  };
}

Deno.test("a VM that only the registry has is listed and reported after a while, with what settles it, until it is defined again", async () => {
  await using w = await world();
  const { inventory, monitor, vms, vm, told } = w;
  assert.deepEqual([...await told(0), ...await told(60_000)], []);
  await w.lose();
  assert.deepEqual([...await told(70_000), ...await told(99_000)], []);
  assert.equal(inventory.vm(vm), undefined);
  const [reason = ""] = await told(101_000);
  assert.match(
    reason,
    /^VM "web" \(.*\) is registered on host virt1, whose libvirt does not have it; virtx vm register /,
  );
  const { name, host, runstate, cstate } = inventory.vm(vm) ?? {};
  assert.deepEqual([name, host, runstate, cstate], ["web", monitor.uuid, Runstate.none, HostState.active]);
  const shown = await vms.get(vm);
  assert.deepEqual([shown.def.name, shown.runinfo.reason], ["web", "not_defined"]);
  const changes = {
    start: () => vms.boot(vm, { cloud_init: [] }),
    kill: () => vms.shutdown(vm, { force: 2 }),
    delete: () => vms.delete(vm, { deletestorage: true }),
    update: () => vms.update(vm, { vmdef: WEB, deletestorage: false }),
  };
  for (const [verb, change] of Object.entries(changes)) {
    const refusal = new RegExp(
      `^Cannot ${verb} VM "web": libvirt does not have it, .*virtx vm register ${vm}`,
    );
    await assert.rejects(change(), failsWith("conflict", refusal));
  }
  assert.equal(await vms.register(vm), "defined");
  assert.deepEqual(await told(102_000), []);
  assert.equal(inventory.vm(vm)?.runstate, Runstate.poweroff);
});

Deno.test("a clock that is set back delays no report", async () => {
  await using w = await world();
  await w.lose();
  assert.deepEqual(await w.told(0), []);
  w.setBack();
  assert.equal((await w.told(31_000)).length, 1);
});

Deno.test("a VM whose file goes as well is forgotten", async () => {
  await using w = await world();
  await w.lose();
  await w.told(0);
  assert.equal((await w.told(31_000)).length, 1);
  await w.registry.remove(w.vm);
  assert.deepEqual(await w.told(32_000), []);
  assert.equal(w.inventory.vm(w.vm), undefined);
});

Deno.test("what another host has, be it there or away, what is under way, and what cannot be told now is not reported", async () => {
  await using w = await world();
  const { inventory, vm, told, state } = w;
  await w.lose();
  const quiet = async (from: number) =>
    assert.deepEqual([...await told(from), ...await told(from + 60_000)], []);
  state.open = true;
  await quiet(0);
  state.open = false;
  for (const cstate of [HostState.active, HostState.failed]) {
    inventory.setHostState(OTHER, cstate);
    inventory.putVm(vmInfo({ uuid: vm, host: OTHER, runstate: Runstate.migrating, ts: cstate }));
    await quiet(200_000 * cstate);
  }
  inventory.removeVm(vm, Infinity, OTHER);
  state.refusal = new VirtxError("unavailable", "/vms is away");
  await quiet(800_000);
  state.refusal = undefined;
  state.unsure = "the VMs of host virt2 are not known yet";
  await quiet(870_000);
  state.unsure = undefined;
  await told(1_000_000);
  assert.equal((await told(1_031_000)).length, 1);
});

Deno.test("a VM that another host takes over while it is reported is that host's", async () => {
  await using w = await world();
  const { inventory, monitor, vm, told } = w;
  await w.lose();
  await told(0);
  assert.equal((await told(31_000)).length, 1);
  inventory.putVm(vmInfo({ uuid: vm, host: OTHER, name: "web", runstate: Runstate.poweroff }));
  assert.equal(inventory.vm(vm)?.host, OTHER);
  assert.deepEqual(await told(32_000), []);
  assert.equal(inventory.claimsOf(monitor.uuid).has(vm), false);
});
