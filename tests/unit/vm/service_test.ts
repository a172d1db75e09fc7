import assert from "node:assert/strict";
import { buildDomainXml } from "../../../lib/domain_xml/mod.ts";
import { DiskBus, DiskDevice, DiskManagement, DiskProvisioning, Runstate } from "../../../lib/model/enums.ts";
import { VirtxError } from "../../../lib/model/error.ts";
import type { Vmdef } from "../../../lib/model/vm.ts";
import { definitionTag } from "../../../lib/vm/definition_tag.ts";
import { OperationCourse } from "../../../lib/vm/operation_course.ts";
import { writeLease } from "../../support/sanlock_lease.ts";
import type { ChangeOutcome } from "../../../lib/vm/use_cases.ts";
import { UnsettledChange } from "../../../lib/vm/unsettled_change.ts";
import { diskAt } from "../../support/shared_storage.ts";
import { VmHost } from "../../support/vm_host.ts";
import { SMALL_VMDEF } from "../../support/vmdef_examples.ts";
import { numberedUuid } from "../../support/vm_info.ts";

const OS_DISK = diskAt("/vms/ds/web/os.qcow2", { size: 8 });
const WEB: Vmdef = { ...SMALL_VMDEF, name: "web", osdisk: OS_DISK };
const HERE = { host: "" };

function failsWith(kind: VirtxError["kind"], message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof VirtxError, String(error));
    assert.equal(error.kind, kind, error.message);
    const told = [error.message, ...error.issues.map(({ field, message }) => `${field}: ${message}`)].join(
      "\n",
    );
    assert.match(told, message);
    return true;
  };
}

Deno.test("a VM is created with its disks, read back as asked for, and deleted with them", async () => {
  await using host = await VmHost.start();
  const { vms, shared, registry } = host;
  const data = diskAt("/vms/ds/web/data.raw", {
    size: 4,
    prov: DiskProvisioning.thick,
    bus: DiskBus.virtioScsi,
  });
  const def = { ...WEB, disks: [data], custom: [{ name: "owner", value: "<me>" }], vlanid: 9 };
  const uuid = await vms.create({ vmdef: def, ...HERE });

  const vm = await vms.get(uuid);
  assert.deepEqual(vm.def, { ...def, cpudef: vm.def.cpudef });
  const { inventory, monitor } = host.host;
  const info = inventory.vm(uuid);
  assert.deepEqual([info?.runstate, info?.host], [Runstate.poweroff, monitor.uuid]);
  assert.deepEqual(await shared.names(), ["web/", "web/data.raw", "web/os.qcow2"]);
  assert.deepEqual(await registry.list(), [uuid]);
  assert.match(await registry.read(uuid) ?? "", new RegExp(`<uuid>${uuid}</uuid>`));

  const { warning, trash } = await vms.delete(uuid, { deletestorage: true });
  assert.deepEqual([warning, typeof trash?.until], [undefined, "number"]);
  assert.equal(inventory.vm(uuid), undefined);
  assert.deepEqual(await shared.names(), []);
  assert.deepEqual(await registry.list(), []);
});

Deno.test("a deleted disk takes its lease along; one that another host holds keeps the VM as it is", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  const uuid = await vms.create({ vmdef: WEB, ...HERE });
  const held = await writeLease(shared, OS_DISK.path, 5);
  const before = await host.state();
  await assert.rejects(
    vms.delete(uuid, { deletestorage: true }),
    failsWith(
      "conflict",
      /Cannot delete disk "\/vms\/ds\/web\/os.qcow2": sanlock's host 5 .* holds its lease/,
    ),
  );
  assert.deepEqual(await host.state(), before);
  assert.ok(await Deno.lstat(held));
  await writeLease(shared, OS_DISK.path);
  assert.equal((await vms.delete(uuid, { deletestorage: true })).warning, undefined);
  await assert.rejects(Deno.lstat(held), Deno.errors.NotFound);
});

Deno.test("a managed LUN is never wiped, and who asked for it is told", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const { hypervisor, monitor } = host.host;
  const lun = {
    path: "/dev/disk/by-id/wwn-0x6001405",
    device: DiskDevice.lun,
    bus: DiskBus.virtioScsi,
    man: DiskManagement.managed,
    prov: DiskProvisioning.thin,
    size: 0,
  };
  for (const deletestorage of [true, false]) {
    const uuid = numberedUuid(31);
    const def = { ...WEB, osdisk: lun };
    await hypervisor.define(buildDomainXml(uuid, def, monitor.context(def.firmware)));
    await monitor.refresh(uuid);
    assert.deepEqual((await vms.get(uuid)).def.osdisk, lun);
    const { warning } = await vms.delete(uuid, { deletestorage });
    assert.equal(
      warning,
      deletestorage ? `not wiped, as virtxd never wipes a LUN: "${lun.path}"` : undefined,
    );
  }
});

Deno.test("deleting a VM without its storage keeps the disks, which another VM can then have", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const first = await vms.create({ vmdef: WEB, ...HERE });
  await vms.delete(first, { deletestorage: false });
  const existing = { ...OS_DISK, prov: DiskProvisioning.none, size: 0 };
  const second = await vms.create({ vmdef: { ...WEB, osdisk: existing }, ...HERE });
  const { osdisk } = (await vms.get(second)).def;
  assert.deepEqual(osdisk, OS_DISK);
});

Deno.test("a VM that other tools start at the instant of its deletion stays, with its definition and its disks", async () => {
  await using host = await VmHost.start();
  const { hypervisor } = host.host;
  const uuid = await host.vms.create({ vmdef: WEB, ...HERE });
  const before = await host.state();
  const isActive = hypervisor.isActive.bind(hypervisor);
  hypervisor.isActive = async (vm) => {
    hypervisor.isActive = isActive;
    const was = await isActive(vm);
    await hypervisor.start(vm);
    return was;
  };
  await assert.rejects(
    host.vms.delete(uuid, { deletestorage: true }),
    failsWith("conflict", /it was started meanwhile/),
  );
  assert.deepEqual(await host.state(), before);
  await host.vms.shutdown(uuid, { force: 2 });
  await host.vms.delete(uuid, { deletestorage: true });
  assert.deepEqual(await host.shared.names(), []);
});

Deno.test("a disk is not deleted with which other tools start the VM while it is taken from it", async () => {
  let uuid = "";
  await using host = await VmHost.start(async (point) => {
    if (point === "update.prepared") await host.host.hypervisor.start(uuid);
  });
  const { vms, shared } = host;
  uuid = await vms.create({
    vmdef: { ...WEB, disks: [diskAt("/vms/ds/web/data.raw", { size: 4 })] },
    ...HERE,
  });
  const { warning } = await vms.update(uuid, { vmdef: WEB, deletestorage: true });
  assert.match(warning ?? "", /kept, as other tools started the VM with it meanwhile: .*data\.raw/);
  assert.deepEqual(await shared.names(), ["web/", "web/data.raw", "web/os.qcow2"]);
  assert.deepEqual(await host.owned(), ["/vms/ds/web/data.raw", "/vms/ds/web/os.qcow2"]);
  await vms.shutdown(uuid, { force: 2 });
});

Deno.test("an update that is undone before libvirt had it keeps what other tools have changed meanwhile", async () => {
  let uuid = "";
  await using host = await VmHost.start(async (point) => {
    if (point !== "update.provisioned") return;
    const { hypervisor } = host.host;
    const xml = await hypervisor.definition(uuid);
    await hypervisor.define(
      xml.replace(/<description>.*<.description>/, "<description>theirs</description>"),
    );
    throw new VirtxError("storage", "no more");
  });
  const { vms, registry } = host;
  uuid = await vms.create({ vmdef: WEB, ...HERE });
  const more = { ...WEB, disks: [diskAt("/vms/ds/web/data.raw", { size: 4 })] };
  await assert.rejects(
    vms.update(uuid, { vmdef: more, deletestorage: false }),
    failsWith("storage", /no more/),
  );
  for (const xml of [await host.host.hypervisor.definition(uuid), await registry.read(uuid)]) {
    assert.match(xml ?? "", /<description>theirs</);
    assert.doesNotMatch(xml ?? "", /data\.raw/);
  }
  assert.deepEqual(await host.shared.names(), ["web/", "web/os.qcow2"]);
});

Deno.test("what a failing change made stays if other tools have started the VM with it meanwhile", async (t) => {
  const DATA = "/vms/ds/web/data.raw";
  const after = { ...WEB, disks: [diskAt(DATA, { size: 4 })] };
  const uuid = numberedUuid(77);
  for (const op of ["create", "update"] as const) {
    for (const when of ["before it is undone", "while it is undone"] as const) {
      await t.step(`${op}, ${when}`, async () => {
        let armed = false;
        await using host = await VmHost.start(async (point) => {
          if (!armed || point !== `${op}.defined`) return;
          armed = false;
          if (when === "before it is undone") await hypervisor.start(uuid);
          else startAtUndoing();
          throw new VirtxError("storage", "injected");
        });
        const { hypervisor } = host.host;
        const startAtUndoing = () => {
          const isActive = hypervisor.isActive.bind(hypervisor);
          hypervisor.isActive = async (vm) => {
            hypervisor.isActive = isActive;
            const was = await isActive(vm);
            await hypervisor.start(vm);
            return was;
          };
        };
        const { vms, shared, registry } = host;
        if (op === "update") await vms.create({ vmdef: WEB, ...HERE }, uuid);
        armed = true;
        if (op === "create") assert.equal(await vms.create({ vmdef: after, ...HERE }, uuid), uuid);
        else {
          const { warning } = await vms.update(uuid, { vmdef: after, deletestorage: false });
          assert.match(
            warning ?? "",
            /other tools started the VM with the change before it failed: injected/,
          );
        }
        assert.deepEqual(await shared.names(), ["web/", "web/data.raw", "web/os.qcow2"]);
        assert.match(await hypervisor.liveXml(uuid), /data\.raw/);
        assert.match(await hypervisor.definition(uuid), /data\.raw/);
        assert.match(await registry.read(uuid) ?? "", /data\.raw/);
        assert.deepEqual(await host.owned(), [DATA, "/vms/ds/web/os.qcow2"]);
        assert.deepEqual(await host.journal.list(), []);
        await vms.shutdown(uuid, { force: 2 });
        await vms.delete(uuid, { deletestorage: true });
        assert.deepEqual(await shared.names(), []);
      });
    }
  }
});

Deno.test("an update that other tools overwrite at once is refused, or tells of what they have changed", async () => {
  let uuid = "";
  let theirs = "";
  let edits = 0;
  await using host = await VmHost.start(async (point) => {
    if (point !== "update.defined") return;
    const { hypervisor } = host.host;
    const base = theirs === "" ? await hypervisor.definition(uuid) : theirs;
    const description = `<description>theirs ${++edits}</description>`;
    await hypervisor.define(base.replace(/<description>.*<.description>/, description));
  });
  const { vms, shared, registry } = host;
  const data = diskAt("/vms/ds/web/data.raw", { size: 4 });
  uuid = await vms.create({ vmdef: WEB, ...HERE });
  theirs = await host.host.hypervisor.definition(uuid);
  const refused = failsWith("conflict", /other tools have overwritten its new definition; try again/);
  await assert.rejects(vms.update(uuid, { vmdef: { ...WEB, disks: [data] }, deletestorage: false }), refused);
  assert.deepEqual(await shared.names(), ["web/", "web/os.qcow2"]);

  theirs = "";
  const { warning } = await vms.update(uuid, { vmdef: { ...WEB, disks: [data] }, deletestorage: false });
  assert.match(warning ?? "", /other tools have changed its definition at the same time/);
  theirs = await host.host.hypervisor.definition(uuid);
  await assert.rejects(vms.update(uuid, { vmdef: WEB, deletestorage: true }), refused);
  assert.deepEqual(await shared.names(), ["web/", "web/data.raw", "web/os.qcow2"]);
  for (const xml of [await host.host.hypervisor.definition(uuid), await registry.read(uuid)]) {
    assert.match(xml ?? "", /<description>theirs 3</);
    assert.match(xml ?? "", /data\.raw/);
  }
  assert.deepEqual(await host.journal.list(), []);
});

Deno.test("an update gives way to what other tools change of the VM while its disks are made", async () => {
  let uuid = "";
  await using host = await VmHost.start(async (point) => {
    if (point !== "update.taken") return;
    const { hypervisor } = host.host;
    const xml = await hypervisor.definition(uuid);
    await hypervisor.define(
      xml.replace(/<description>.*<.description>/, "<description>theirs</description>"),
    );
  });
  const { vms } = host;
  uuid = await vms.create({ vmdef: WEB, ...HERE });
  const disks = [diskAt("/vms/ds/web/data.raw", { size: 4 })];
  for (const vmdef of [{ ...WEB, disks }, { ...WEB, memory: { total: 256, hp: false } }]) {
    await host.host.hypervisor.define(
      (await host.host.hypervisor.definition(uuid)).replace("theirs", "ours"),
    );
    const refused = failsWith("conflict", /other tools have changed its definition meanwhile; try again/);
    await assert.rejects(vms.update(uuid, { vmdef, deletestorage: false }), refused);
    assert.match(await host.host.hypervisor.definition(uuid), /<description>theirs</);
    assert.deepEqual(await host.shared.names(), ["web/", "web/os.qcow2"]);
    assert.deepEqual(await host.journal.list(), []);
  }
});

Deno.test("a disk that another VM has is not given to a second one, nor deleted under it", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  await vms.create({ vmdef: WEB, ...HERE });
  const again = { ...WEB, name: "thief", osdisk: { ...OS_DISK, size: 0, prov: DiskProvisioning.none } };
  await assert.rejects(
    vms.create({ vmdef: again, ...HERE }),
    failsWith("conflict", /vmdef\.osdisk\.path: VM .* uses/),
  );
  assert.deepEqual(await shared.names(), ["web/", "web/os.qcow2"]);
});

Deno.test("two creations that want the same disk at once: one gets it", async () => {
  await using host = await VmHost.start();
  const attempts = await Promise.allSettled(
    ["a", "b"].map((name) => host.vms.create({ vmdef: { ...WEB, name }, ...HERE })),
  );
  assert.deepEqual(attempts.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.deepEqual(await host.shared.names(), ["web/", "web/os.qcow2"]);
});

Deno.test("an update adds, keeps and drops disks, and keeps the operation records", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  const old = diskAt("/vms/ds/web/old.raw", { size: 4 });
  const fresh = diskAt("/vms/ds/web/new.raw", { size: 4 });
  const uuid = await vms.create({ vmdef: { ...WEB, disks: [old] }, ...HERE });
  await vms.boot(uuid, { cloud_init: [] });
  await vms.shutdown(uuid, { force: 2 });
  const before = await vms.get(uuid);
  const outcome = await vms.update(uuid, {
    vmdef: { ...before.def, name: "web2", memory: { total: 256, hp: false }, disks: [fresh] },
    deletestorage: true,
  });
  assert.equal(outcome.warning, undefined);
  const after = await vms.get(uuid);
  assert.equal(after.def.name, "web2");
  assert.equal(after.def.memory.total, 256);
  assert.deepEqual(after.def.disks, [fresh]);
  assert.deepEqual(after.stats.oplog.items.map(({ op, status }) => `${op} ${status}`).sort(), [
    "VmBoot completed",
    "VmShutdown completed",
  ]);
  assert.deepEqual(await shared.names(), ["web/", "web/new.raw", "web/os.qcow2"]);
});

Deno.test("an update cannot resize a disk, and says which one", async () => {
  await using host = await VmHost.start();
  const uuid = await host.vms.create({ vmdef: WEB, ...HERE });
  const before = await host.state();
  await assert.rejects(
    host.vms.update(uuid, { vmdef: { ...WEB, osdisk: { ...OS_DISK, size: 16 } }, deletestorage: false }),
    failsWith("invalid", /vmdef\.osdisk\.size: is 8 MiB and cannot be changed/),
  );
  assert.deepEqual(await host.state(), before);
});

Deno.test("boot, pause, resume and power off move the run state, are recorded, and refuse the wrong state", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const uuid = await vms.create({ vmdef: WEB, ...HERE });
  const runstate = () => host.host.inventory.vm(uuid)?.runstate;
  const refusals: [() => Promise<unknown>, RegExp][] = [
    [() => vms.pause(uuid), /Cannot pause VM "web": it is poweroff, not running; start it first/],
    [() => vms.resume(uuid), /Cannot resume VM "web": it is poweroff, not paused/],
    [
      () => vms.shutdown(uuid, { force: 0 }),
      /Cannot stop VM "web": it is poweroff, not running$/m,
    ],
    [() => vms.shutdown(uuid, { force: 2 }), /Cannot kill VM "web": it is poweroff/],
  ];
  for (const [act, message] of refusals) await assert.rejects(act(), failsWith("conflict", message));

  await vms.boot(uuid, { cloud_init: [] });
  assert.equal(runstate(), Runstate.running);
  await assert.rejects(
    vms.boot(uuid, { cloud_init: [] }),
    failsWith("conflict", /Cannot start VM "web": it is running, not poweroff or crashed; stop it first/),
  );
  await assert.rejects(vms.delete(uuid, { deletestorage: true }), failsWith("conflict", /it is running/));
  await assert.rejects(
    vms.update(uuid, { vmdef: WEB, deletestorage: true }),
    failsWith("conflict", /it is running/),
  );
  await vms.pause(uuid);
  assert.equal(runstate(), Runstate.paused);
  await vms.resume(uuid);
  assert.equal(runstate(), Runstate.running);
  await vms.shutdown(uuid, { force: 2 });
  assert.equal(runstate(), Runstate.poweroff);

  const { items } = (await vms.get(uuid)).stats.oplog;
  assert.deepEqual(items.map(({ op }) => op).sort(), ["VmBoot", "VmPause", "VmResume", "VmShutdown"]);
  for (const { status, ts, te, msg } of items) {
    assert.equal(status, "completed");
    assert.ok(ts > 0 && te >= ts);
    assert.equal(msg, "");
  }
});

Deno.test("registering refreshes the registry from libvirt, or libvirt from the registry", async () => {
  await using host = await VmHost.start();
  const { vms, registry } = host;
  const { hypervisor, monitor } = host.host;
  const uuid = await vms.create({ vmdef: WEB, ...HERE });

  await registry.remove(uuid);
  assert.equal(await vms.register(uuid), "refreshed");
  const xml = await registry.read(uuid);
  assert.ok(xml);

  await hypervisor.undefine(uuid);
  await monitor.refresh(uuid);
  assert.equal(await vms.register(uuid), "defined");
  assert.equal((await vms.get(uuid)).def.name, "web");

  await assert.rejects(vms.register(numberedUuid(99)), failsWith("not_found", /no such VM/));
  await registry.write(numberedUuid(98), xml);
  await assert.rejects(vms.register(numberedUuid(98)), failsWith("conflict", /defines/));
});

Deno.test("a VM that a host had registered which is away is registered here, and its file moves along", async () => {
  await using host = await VmHost.start();
  const { vms, registry, vmRecords } = host;
  const { hypervisor, monitor } = host.host;
  const uuid = await vms.create({ vmdef: WEB, ...HERE });
  const xml = await registry.read(uuid) ?? "";
  const forget = async (...hosts: readonly string[]) => {
    await hypervisor.undefine(uuid);
    await monitor.refresh(uuid);
    await registry.remove(uuid);
    for (const host of hosts) await registry.of(host).write(uuid, xml);
  };
  const [one, two] = [numberedUuid(51), numberedUuid(52)];
  await forget(one);
  assert.equal(await vms.register(uuid), "defined");
  assert.deepEqual((await registry.everywhere(uuid)).map(({ host }) => host), [monitor.uuid]);

  await forget(one, two);
  await vmRecords.update(uuid, () => Promise.resolve({ value: undefined }));
  await assert.rejects(vms.register(uuid), failsWith("conflict", /several hosts have registered it/));
  await vmRecords.update(uuid, () => Promise.resolve({ value: { vm: uuid, host: two } }));
  assert.equal(await vms.register(uuid), "defined");
  assert.deepEqual(
    (await registry.everywhere(uuid)).map(({ host }) => host).sort(),
    [one, monitor.uuid].sort(),
  );
});

Deno.test("what lies on shared storage defines nothing that guests are not given, and is not taken in parts", async () => {
  await using host = await VmHost.start();
  const { vms, registry, journal } = host;
  const { hypervisor, monitor } = host.host;
  const uuid = await vms.create({ vmdef: WEB, ...HERE });
  const xml = await hypervisor.definition(uuid);
  const forged = xml.replace("</devices>", "<hostdev mode='subsystem' type='usb'/></devices>")
    .replaceAll(OS_DISK.path, "/etc/shadow");
  const refusal = /<source file="\/etc\/shadow"> is not for guests; <hostdev> is of the host/;
  const change = {
    id: numberedUuid(5),
    op: "update",
    vm: uuid,
    startedAt: 1,
    created: [],
    removed: [],
  } as const;
  const forgeries = [
    { ...change, phase: "prepared", oldXml: forged, newXml: xml },
    { ...change, vm: numberedUuid(6), phase: "committed", oldXml: undefined, newXml: forged },
  ] as const;
  for (const forgery of forgeries) {
    await journal.write(forgery);
    await vms.recover();
    assert.equal(await hypervisor.definition(uuid), xml);
    assert.equal(
      (await hypervisor.domains()).filter(({ uuid }) => uuid === forgery.vm).length,
      Number(forgery.vm === uuid),
    );
    assert.equal((await journal.list()).length, 1, "it is not settled");
    await journal.remove(forgery.id);
  }
  await hypervisor.undefine(uuid);
  await monitor.refresh(uuid);
  await registry.write(uuid, forged);
  await assert.rejects(vms.register(uuid), failsWith("conflict", refusal));
  await registry.write(uuid, xml);
  assert.equal(await vms.register(uuid), "defined");
});

/** Every step of each change at which it can be interrupted, in order. */
const STEPS = {
  create: ["prepared", "taken", "provisioned", "defined", "registered", "committed", "kept", "released"],
  update: [
    ...["prepared", "taken", "provisioned", "defined", "registered"],
    ...["committed", "kept", "deleted", "released"],
  ],
  delete: ["committed", "undefined", "unregistered", "kept", "deleted", "released"],
} as const;

/** Until then a change can be cancelled. */
const UNDONE: ReadonlySet<string> = new Set(["prepared", "taken", "provisioned"]);
const UNDECIDED = new Set(["prepared", "taken", "provisioned", "defined", "registered"]);

for (const [op, steps] of Object.entries(STEPS)) {
  for (const step of steps) {
    const outcome = UNDECIDED.has(step) ? "undone at once" : "finished by recovery";
    Deno.test(`a ${op} that fails when ${step} is ${outcome}`, async () => {
      let armed = `${op}.${step}`;
      await using host = await VmHost.start((point) => {
        if (point !== armed) return;
        armed = "";
        throw new VirtxError("storage", "injected");
      });
      const { vms, shared } = host;
      const old = diskAt("/vms/ds/old.raw", { size: 4 });
      const fresh = diskAt("/vms/ds/new.raw", { size: 4 });
      let change: () => Promise<unknown> = () => vms.create({ vmdef: { ...WEB, osdisk: fresh }, ...HERE });
      if (op !== "create") {
        const uuid = await vms.create({ vmdef: { ...WEB, osdisk: old }, ...HERE });
        const vmdef = { ...WEB, name: "after", osdisk: fresh };
        if (op === "update") change = () => vms.update(uuid, { vmdef, deletestorage: true });
        else change = () => vms.delete(uuid, { deletestorage: true });
      }
      const before = await host.state();
      const error = await change().then(() => assert.fail("it did not fail"), (error) => error);
      failsWith("storage", /injected/)(error);
      if (UNDECIDED.has(step)) return assert.deepEqual(await host.state(), before);

      await vms.recover();
      assert.ok(error instanceof UnsettledChange);
      const { warning } = await error.settled as ChangeOutcome;
      if (op === "create") assert.equal(await error.settled, (await domainsOf(host))[0]?.uuid);
      else assert.equal(warning, undefined);
      assert.equal((await host.journal.list()).length, 0);
      assert.deepEqual(await shared.names(), op === "delete" ? [] : ["new.raw"]);
      assert.deepEqual(await host.owned(), op === "delete" ? [] : ["/vms/ds/new.raw"]);
      const names = await Promise.all(
        (await host.host.hypervisor.domains()).map(async ({ uuid }) => (await vms.get(uuid)).def.name),
      );
      assert.deepEqual(names, { create: ["web"], update: ["after"], delete: [] }[op]);
    });
  }
}

function domainsOf(host: VmHost) {
  return host.host.hypervisor.domains();
}

Deno.test("a change that cannot be undone at once says so, and later that it was undone", async () => {
  const armed = new Set(["create.registered", "create.reverted"]);
  await using host = await VmHost.start((point) => {
    if (armed.delete(point)) throw new VirtxError("storage", `injected at ${point}`);
  });
  const before = await host.state();
  const error = await host.vms.create({ vmdef: WEB, ...HERE }).catch((error) => error);
  assert.ok(error instanceof UnsettledChange);
  assert.match(
    error.message,
    /^The create of VM "web" stopped half-way and will be finished or undone soon: inj/,
  );
  await host.vms.recover();
  const undone = /^The create of VM "web" stopped half-way and was undone: injected at create.registered$/;
  await assert.rejects(error.settled, failsWith("storage", undone));
  assert.deepEqual(await host.state(), before);
});

for (const op of ["create", "update", "delete"] as const) {
  for (const step of ["written", "renamed"]) {
    Deno.test(`a ${op} whose record cannot be kept (${step}) has not begun, and nothing comes of it later`, async () => {
      let armed = false;
      await using host = await VmHost.start((point) => {
        if (!armed || point !== `journal.${step}`) return;
        armed = false;
        throw new VirtxError("storage", "no space");
      });
      const { vms } = host;
      const uuid = await vms.create({ vmdef: WEB, ...HERE });
      const before = await host.state();
      const other = { ...WEB, name: "other", osdisk: diskAt("/vms/ds/other.raw", { size: 4 }) };
      const changes = {
        create: () => vms.create({ vmdef: other, ...HERE }),
        update: () => vms.update(uuid, { vmdef: other, deletestorage: true }),
        delete: () => vms.delete(uuid, { deletestorage: true }),
      };
      armed = true;
      const error = await changes[op]().then(() => assert.fail("it did not fail"), (error) => error);
      assert.equal(error instanceof UnsettledChange, false);
      failsWith("storage", new RegExp(`^The ${op} of VM "(web|other)" was not begun: .*no space$`))(error);
      await vms.recover();
      assert.deepEqual(await host.state(), before);
    });
  }
}

for (const op of ["create", "update"] as const) {
  for (const step of STEPS[op].filter((step) => step !== "deleted" && step !== "released")) {
    const outcome = UNDONE.has(step) ? "undone" : "finished";
    Deno.test(`a ${op} that is cancelled when ${step} is ${outcome}`, async () => {
      const course = new OperationCourse();
      await using host = await VmHost.start((point) => {
        if (point === `${op}.${step}`) course.cancel();
      });
      const { vms, shared } = host;
      const old = diskAt("/vms/ds/old.raw", { size: 4 });
      const disks = [diskAt("/vms/ds/sub/a.raw", { size: 4 }), diskAt("/vms/ds/sub/b.raw", { size: 4 })];
      const vmdef = { ...WEB, osdisk: old, disks };
      const change = op === "create"
        ? () => vms.create({ vmdef, ...HERE }, numberedUuid(1), course)
        : () => vms.update(numberedUuid(1), { vmdef, deletestorage: false }, course);
      if (op === "update") await vms.create({ vmdef: { ...WEB, osdisk: old }, ...HERE }, numberedUuid(1));
      const before = await host.state();
      if (outcome === "undone") {
        await assert.rejects(change(), failsWith("cancelled", /^Cannot create disk .*: it was cancelled$/));
        assert.deepEqual(await host.state(), before);
      } else {
        await change();
        assert.deepEqual(await shared.names(), ["old.raw", "sub/", "sub/a.raw", "sub/b.raw"]);
        const now = (await vms.get(numberedUuid(1))).def.disks; // with sizes only if the images are soon read
        assert.deepEqual(now.map(({ path }) => path), disks.map(({ path }) => path));
      }
    });
  }
}

Deno.test("an update without new disks can be cancelled until libvirt has it", async () => {
  const course = new OperationCourse();
  await using host = await VmHost.start((point) => {
    if (point === "update.prepared") course.cancel();
  });
  const uuid = await host.vms.create({ vmdef: WEB, ...HERE });
  const before = await host.state();
  await assert.rejects(
    host.vms.update(uuid, { vmdef: { ...WEB, name: "after" }, deletestorage: false }, course),
    failsWith("cancelled", /^Cannot update VM .*: it was cancelled$/),
  );
  assert.deepEqual(await host.state(), before);
});

Deno.test("how much of thick disks is there is told while they are made", async () => {
  const course = new OperationCourse();
  const told: unknown[] = [];
  await using host = await VmHost.start(async (point) => {
    if (point === "create.prepared" || point === "create.provisioned") told.push(await course.progress());
  });
  const thick = { prov: DiskProvisioning.thick, size: 4 };
  const disks = [diskAt("/vms/ds/a.raw", thick), diskAt("/vms/ds/b.qcow2", thick)];
  await host.vms.create({ vmdef: { ...WEB, disks }, ...HERE }, numberedUuid(1), course);
  const rest = { total: 8, rate: 0, timeleft: 0 };
  assert.deepEqual(told, [0, 0, 4, 8].map((done) => ({ ...rest, done })));
});

Deno.test("unmanaged disks survive the deletion of their VM with storage", async () => {
  await using host = await VmHost.start();
  const { vms, shared } = host;
  await Deno.writeFile(shared.at("/vms/ds/mine.raw"), new Uint8Array(1 << 20));
  const mine = diskAt("/vms/ds/mine.raw", {
    man: DiskManagement.unmanaged,
    prov: DiskProvisioning.none,
    size: 0,
  });
  const uuid = await vms.create({ vmdef: { ...WEB, osdisk: mine }, ...HERE });
  await vms.delete(uuid, { deletestorage: true });
  assert.deepEqual(await shared.names(), ["mine.raw"]);
});

Deno.test("a deletion that ends late takes the VM's disks and no others, and those of an earlier version stay", async (t) => {
  for (const [what, left] of [["new files", 1], ["old files", 0], ["no marks", 1]] as const) {
    await t.step(what, async () => {
      let stop = true;
      await using host = await VmHost.start((point) => {
        if (stop && point === "delete.unregistered") throw new VirtxError("unavailable", "stopped");
      });
      const { vms, shared, journal } = host;
      const uuid = await vms.create({ vmdef: WEB, ...HERE });
      await assert.rejects(vms.delete(uuid, { deletestorage: true }), /half-way/);
      stop = false;
      const [{ marks, ...change } = assert.fail()] = await journal.list();
      if (what === "no marks") await journal.write(change);
      else if (what === "new files") {
        for (const path of Object.keys(marks ?? {})) {
          await Deno.remove(shared.at(path));
          await Deno.writeTextFile(shared.at(path), "another VM's");
        }
      }
      await vms.recover();
      assert.equal((await shared.names()).filter((name) => !name.endsWith("/")).length, left);
      assert.deepEqual(await journal.list(), []);
    });
  }
});

Deno.test("a change is made only to the definition that it was meant for, as libvirt has it now", async () => {
  await using host = await VmHost.start();
  const { vms } = host;
  const uuid = await vms.create({ vmdef: WEB, ...HERE });
  const tag = definitionTag((await vms.get(uuid)).def);
  const read = (now: string) => now === tag;
  const vmdef = { ...WEB, vlanid: 9 };
  await vms.update(uuid, { vmdef, deletestorage: false }, undefined, read);
  const stale = failsWith("stale", /VM "web": its definition has changed since it was read/);
  await assert.rejects(vms.update(uuid, { vmdef: WEB, deletestorage: false }, undefined, read), stale);
  await assert.rejects(vms.checkUpdate(uuid, { vmdef: WEB, deletestorage: false }, read), stale);
  await assert.rejects(vms.delete(uuid, { deletestorage: true }, read), stale);
  assert.equal((await vms.get(uuid)).def.vlanid, 9);
});
