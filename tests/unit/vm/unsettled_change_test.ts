import assert from "node:assert/strict";
import { Hypervisor } from "../../../lib/libvirt/hypervisor.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { Vmdef } from "../../../lib/model/vm.ts";
import { UnsettledChange } from "../../../lib/vm/unsettled_change.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";

const WEB: Vmdef = { ...SMALL_VMDEF, name: "web", osdisk: diskAt("/vms/ds/web.raw", { size: 4 }) };
const MORE: Vmdef = { ...WEB, disks: [diskAt("/vms/ds/more.raw", { size: 4 })] };
const OTHER: Vmdef = { ...WEB, disks: [diskAt("/vms/ds/other.raw", { size: 4 })] };

/** A host that fails at a step, and then, until it is mended, whenever it is to define a domain: libvirt is away. */
async function failingAt(step: string): Promise<{ host: VmHost; vm: string; mend: () => void }> {
  let armed = true;
  let broken = false;
  const away = () => new VirtxError("unavailable", "injected");
  const host = await VmHost.start((point) => {
    if (!armed || point !== step) return;
    armed = false;
    broken = true;
    throw away();
  });
  const { hypervisor } = host.host;
  hypervisor.define = (xml) => {
    return broken ? Promise.reject(away()) : Hypervisor.prototype.define.call(hypervisor, xml);
  };
  return { host, vm: await host.vms.create({ vmdef: WEB, host: "" }), mend: () => void (broken = false) };
}

async function disksOf({ vms }: VmHost, vm: string): Promise<string[]> {
  const { osdisk, disks } = (await vms.get(vm)).def;
  return [osdisk, ...disks].map(({ path }) => path);
}

Deno.test("what stopped half-way is settled before anything else is done with its VM, so that it takes nothing along", async () => {
  const { host, vm, mend } = await failingAt("update.registered");
  await using _host = host;
  const { vms, shared } = host;
  const half = vms.update(vm, { vmdef: MORE, deletestorage: false });
  await assert.rejects(half, UnsettledChange);
  const message = /stopped half-way and cannot be settled yet: .*injected/;
  await assert.rejects(vms.boot(vm, { cloud_init: [] }), { kind: "unavailable", message });
  await assert.rejects(vms.update(vm, { vmdef: OTHER, deletestorage: false }), {
    kind: "unavailable",
    message,
  });
  mend();
  await vms.update(vm, { vmdef: OTHER, deletestorage: false });
  await vms.recover();
  assert.deepEqual(await disksOf(host, vm), ["/vms/ds/web.raw", "/vms/ds/other.raw"]);
  assert.deepEqual(await shared.names(), ["other.raw", "web.raw"]);
  assert.deepEqual(await host.journal.list(), []);
});

Deno.test("a guest starts on the definition that its VM is to have", async () => {
  const { host, vm, mend } = await failingAt("update.registered");
  await using _host = host;
  await assert.rejects(host.vms.update(vm, { vmdef: MORE, deletestorage: false }), UnsettledChange);
  mend();
  await host.vms.boot(vm, { cloud_init: [] });
  assert.deepEqual(await disksOf(host, vm), ["/vms/ds/web.raw"]);
  assert.deepEqual(await host.shared.names(), ["web.raw"]);
});

Deno.test("a change is finished whose new disk a guest has by now, that others have started", async () => {
  const { host, vm, mend } = await failingAt("update.registered");
  await using _host = host;
  await assert.rejects(host.vms.update(vm, { vmdef: MORE, deletestorage: false }), UnsettledChange);
  mend();
  await host.host.hypervisor.start(vm);
  await host.vms.recover();
  assert.deepEqual(await disksOf(host, vm), ["/vms/ds/web.raw", "/vms/ds/more.raw"]);
  assert.deepEqual(await host.shared.names(), ["more.raw", "web.raw"]);
  assert.equal(await host.registry.read(vm), await host.host.hypervisor.definition(vm));
  assert.deepEqual(await host.journal.list(), []);
});
