import assert from "node:assert/strict";
import { buildDomainXml } from "../../../lib/domain_xml/build.ts";
import { Firmware } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import { silentLogger } from "../../../lib/model/log.ts";
import { Registry } from "../../../lib/registry/registry.ts";
import { DeletedVms } from "../../../lib/vm/deleted_vms.ts";
import { UnsettledChange } from "../../../lib/vm/unsettled_change.ts";
import { ScriptedPeers } from "../../support/scripted_peers.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { hostEntry, numberedUuid, vmInfo } from "../../support/vm_info.ts";

const PATH = "/vms/ds/web/os.qcow2";
const WEB = { ...SMALL_VMDEF, name: "web", osdisk: diskAt(PATH) };

function deletedOf(
  { shared, host, registry, vms, trashSecrets }: VmHost,
  define = async (vm: string, xml: string, secretXml: string | undefined): Promise<void> =>
    await vms.redefine(vm, xml, secretXml),
): DeletedVms {
  return new DeletedVms({
    trash: shared.storage().trash,
    inventory: host.inventory,
    registry,
    settle: (vm) => vms.settle(vm),
    users: (paths) => vms.diskUsers(paths),
    define,
    secrets: trashSecrets,
    openChanges: () => vms.openChanges(),
    log: silentLogger,
  });
}

Deno.test("a deleted VM comes back with its definition and disks, and is then like any other", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const uuid = await vms.create({ vmdef: WEB, host: "" });
  const before = await host.state();
  await vms.delete(uuid, { deletestorage: true });
  const deleted = deletedOf(host);
  const [entry] = await deleted.list();
  assert.deepEqual([entry?.vm, entry?.name, entry?.host, entry?.definition], [
    uuid,
    "web",
    host.host.monitor.uuid,
    true,
  ]);
  assert.ok((entry?.until ?? 0) > (entry?.deleted ?? 0));

  assert.deepEqual(await deleted.restore(entry?.id ?? ""), { vm: uuid, files: [PATH], warnings: [] });
  assert.deepEqual(await host.state(), before);
  assert.equal(host.host.inventory.vm(uuid)?.name, "web");
  assert.deepEqual(await deleted.list(), []);
});

Deno.test("what somebody has taken out of the trash by hand is told when the rest comes back, and a VM needs all", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  const deleted = deletedOf(host);
  const [data, more] = ["data", "more"].map((name) => diskAt(`/vms/ds/web/${name}.raw`));
  assert.ok(data && more);
  const uuid = await vms.create({ vmdef: { ...WEB, disks: [data, more] }, host: "" });
  const lose = async (n: number) => {
    const [entry] = await deleted.list();
    await Deno.remove(shared.at(`/vms/ds/.virtxd/trash/${entry?.id}/${n}`));
    return entry?.id ?? "";
  };

  await vms.update(uuid, { vmdef: WEB, deletestorage: true });
  const restored = await deleted.restore(await lose(1));
  assert.deepEqual([restored.files.length, restored.warnings], [
    1,
    ["the trash does not have /vms/ds/web/more.raw any more"],
  ]);

  await vms.delete(uuid, { deletestorage: true });
  const id = await lose(0);
  await Deno.writeTextFile(shared.at(PATH), "another's");
  await assert.rejects(
    deleted.restore(id),
    {
      kind: "conflict",
      message:
        /the trash does not have \/vms\/ds\/web\/os.qcow2 any more, so VM "web" cannot be defined again/,
    },
  );
  assert.equal(host.host.inventory.vm(uuid), undefined);
  assert.equal(await Deno.readTextFile(shared.at(PATH)), "another's");
});

Deno.test("disks that an update dropped come back alone", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  const data = diskAt("/vms/ds/web/data.raw");
  const uuid = await vms.create({ vmdef: { ...WEB, disks: [data] }, host: "" });
  await vms.update(uuid, { vmdef: WEB, deletestorage: true });
  const deleted = deletedOf(host);
  const [entry] = await deleted.list();
  assert.equal(entry?.definition, false);
  assert.deepEqual(await deleted.restore(entry?.id ?? ""), { vm: "", files: [data.path], warnings: [] });
  assert.deepEqual(await shared.names(), ["web/", "web/data.raw", "web/os.qcow2"]);
});

Deno.test("a VM that is there, be it only in another host's registry, is not defined again, and its files come back", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  const uuid = await vms.create({ vmdef: WEB, host: "" });
  const xml = await host.registry.read(uuid) ?? "";
  await vms.delete(uuid, { deletestorage: true });
  await new Registry({ tree: shared.tree, hostUuid: numberedUuid(9) }).write(uuid, xml);
  const deleted = deletedOf(host);
  const [entry] = await deleted.list();
  const { vm, files, warnings } = await deleted.restore(entry?.id ?? "");
  assert.deepEqual([vm, files], ["", [PATH]]);
  assert.match(warnings.join(), /VM "web" is there, on host .*, so it is not defined again/);
  assert.equal(host.host.inventory.vm(uuid), undefined);
});

Deno.test("a VM that another host is still said to have comes back, unless that host has it", async () => {
  const peers = new ScriptedPeers();
  await using host = await VmHost.start(undefined, peers);
  const { vms, shared, host: { inventory } } = host;
  const uuid = await vms.create({ vmdef: WEB, host: "" });
  await vms.delete(uuid, { deletestorage: true });
  const other = numberedUuid(9);
  peers.addresses.set(other, "192.0.2.9");
  inventory.putHost(hostEntry({ uuid: other }));
  inventory.putVm(vmInfo({ uuid, host: other }));
  const deleted = deletedOf(host);
  const [{ id } = assert.fail()] = await deleted.list();
  peers.there = "running";
  await assert.rejects(deleted.restore(id), { kind: "conflict", message: /has it, running/ });
  assert.deepEqual(await shared.names(), []);
  peers.there = "absent"; // it was deleted there just now
  assert.equal((await deleted.restore(id)).vm, uuid);
  assert.equal((await vms.get(uuid)).def.name, "web");
});

Deno.test("what cannot be defined stays in the trash, with its files", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  const uuid = await vms.create({ vmdef: WEB, host: "" });
  await vms.delete(uuid, { deletestorage: true });
  const deleted = deletedOf(host);
  const [{ id = "" } = {}] = await deleted.list();
  const failing = deletedOf(host, (_vm, xml) => vms.redefine(numberedUuid(5), xml));
  await assert.rejects(failing.restore(id), {
    kind: "conflict",
    message: /^Cannot restore .*: Cannot define VM .*: its file in the trash defines/,
  });
  assert.deepEqual(await shared.names(), []);
  assert.equal((await deleted.list()).length, 1);
  assert.equal((await deleted.restore(id)).vm, uuid);
});

Deno.test("of a VM with UEFI whose variables were not kept, that is told", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const { hypervisor, monitor } = host.host;
  const uuid = await vms.create({ vmdef: WEB, host: "" });
  // By libvirt itself, since the host of the test may have no firmware.
  const context = monitor.context(Firmware.uefi);
  await hypervisor.define(buildDomainXml(uuid, { ...WEB, firmware: Firmware.uefi }, context));
  await monitor.refresh(uuid);
  await vms.delete(uuid, { deletestorage: true });
  const deleted = deletedOf(host, async (_vm, xml) => void await hypervisor.define(xml));
  const [{ id = "" } = {}] = await deleted.list();
  assert.match((await deleted.restore(id)).warnings.join(), /UEFI variables are not among what was kept/);
});

Deno.test("all is emptied but what cannot be without force, which is told", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  for (const n of [1, 2]) {
    const uuid = await vms.create({ vmdef: WEB, host: "" }, numberedUuid(n));
    await vms.delete(uuid, { deletestorage: true });
  }
  const deleted = deletedOf(host);
  const [{ id: bad = "" } = {}, { id: good = "" } = {}] = await deleted.list();
  await Deno.writeTextFile(shared.at(`/vms/ds/.virtxd/trash/${bad}/info.json`), "{");
  const { emptied, left } = await deleted.emptyAll();
  assert.deepEqual([emptied, left.map(({ id }) => id)], [[good], [bad]]);
  assert.match(left[0]?.reason ?? "", /with force/);
  await deleted.empty(bad, { force: true });
  assert.deepEqual(await deleted.list(), []);
});

Deno.test("what is restored while its deletion is not over stays", async () => {
  let armed = true;
  await using host = await VmHost.start((point) => {
    if (!armed || point !== "delete.released") return;
    armed = false;
    throw new VirtxError("unavailable", "injected");
  });
  const { vms, shared } = host;
  const vm = await vms.create({ vmdef: WEB, host: "" });
  await assert.rejects(vms.delete(vm, { deletestorage: true }), UnsettledChange);
  const deleted = deletedOf(host);
  const [{ id } = assert.fail()] = await deleted.list();
  assert.deepEqual((await deleted.restore(id)).files, [PATH]);
  await vms.recover();
  assert.equal((await vms.get(vm)).def.name, "web");
  assert.deepEqual(await shared.names(), ["web/", "web/os.qcow2"]);
  assert.deepEqual(await host.journal.list(), []);
});

Deno.test("the passwords of a deleted VM stay on its host alone, for as long as the trash has the rest", async (t) => {
  const PASSWORD = "s3cret-vnc";
  for (const end of ["restored", "restored elsewhere", "emptied", "expired", "gone at once"] as const) {
    await t.step(end, async () => {
      await using host = await VmHost.start();
      const { vms, shared, trashSecrets } = host;
      const { hypervisor, monitor } = host.host;
      const uuid = await vms.create({ vmdef: WEB, host: "" });
      const screen = `<graphics type='vnc' port='-1' passwd='${PASSWORD}'/>`;
      const xml = (await hypervisor.definition(uuid)).replace(/<graphics (?:[^>]*\/>|.*?<.graphics>)/s, "");
      await hypervisor.define(xml.replace("</devices>", `${screen}</devices>`));
      await monitor.refresh(uuid);
      const secret = await hypervisor.definitionWithSecrets(uuid);
      assert.match(secret, new RegExp(PASSWORD));

      const { trash } = await vms.delete(uuid, { deletestorage: true, now: end === "gone at once" });
      const found = await new Deno.Command("grep", { args: ["-r", PASSWORD, shared.root] }).output();
      assert.equal(new TextDecoder().decode(found.stdout), "");
      const id = trash?.id ?? "";
      if (end === "gone at once") {
        assert.deepEqual(await Array.fromAsync(Deno.readDir(trashSecrets.directory)), []);
        return;
      }
      assert.equal((await trashSecrets.read(id))?.newXml, secret);
      const deleted = deletedOf(host);
      if (end === "restored elsewhere") await trashSecrets.remove(id);
      if (end === "emptied") await deleted.empty(id, {});
      if (end === "expired") {
        await deleted.tidy();
        assert.equal((await trashSecrets.read(id))?.newXml, secret);
        await shared.storage().trash.empty(id); // by another host
        await Deno.utime(`${trashSecrets.directory}/${id}.json`, 0, 0);
        await deleted.tidy();
      }
      if (end.startsWith("restored")) {
        const { warnings } = await deleted.restore(id);
        const isHere = end === "restored";
        assert.equal(await hypervisor.definitionWithSecrets(uuid) === secret, isHere);
        assert.equal(warnings.length, isHere ? 0 : 1);
      }
      assert.equal(await trashSecrets.read(id), undefined);
      assert.deepEqual(await host.journal.list(), []);
    });
  }
});
