import assert from "node:assert/strict";
import { DiskManagement, DiskProvisioning } from "../../lib/model/enums.ts";
import { allDisks, type Disk, type Vm, type Vmdef } from "../../lib/model/vm.ts";
import type { LabHost } from "../../scripts/lab/host.ts";
import { LoopDevice } from "../support/loop_device.ts";
import { ENUM_VMDEFS } from "../support/vmdef_examples.ts";
import { LabDaemon } from "./support/lab_daemon.ts";
import { TestLab } from "./support/test_lab.ts";

const SIZE_MIB = 8;

function isNew({ man, prov }: Disk): boolean {
  return man === DiskManagement.managed && prov !== DiskProvisioning.none;
}

/** The definition as a request: with a block device that is there, and sizes for the disks that are to be made. */
function asRequest(def: Vmdef, device: string): Vmdef {
  const adapt = (disk: Disk): Disk => ({
    ...disk,
    path: disk.path.replace("/dev/loop0", device),
    size: isNew(disk) ? SIZE_MIB : 0,
  });
  return { ...def, osdisk: adapt(def.osdisk), disks: def.disks.map(adapt) };
}

/** The definition as it is to be read back: a managed image that was there already has been looked at. */
function asRead(def: Vmdef): Vmdef {
  const adapt = (disk: Disk): Disk => ({
    ...disk,
    size: SIZE_MIB,
    prov: disk.man === DiskManagement.managed && !isNew(disk) ? DiskProvisioning.thin : disk.prov,
  });
  return { ...def, osdisk: adapt(def.osdisk), disks: def.disks.map(adapt) };
}

async function makeExisting(host: LabHost, disks: readonly Disk[]): Promise<void> {
  await host.exec(["find", "/vms/ds", "-type", "f", "-delete"]);
  for (const disk of disks) {
    if (isNew(disk) || disk.path.startsWith("/dev/")) continue;
    const format = disk.path.endsWith(".qcow2") ? "qcow2" : "raw";
    await host.exec(["qemu-img", "create", "-q", "-f", format, disk.path, `${SIZE_MIB}M`]);
  }
}

Deno.test("every enum value goes through the real libvirt and comes back the same", async (t) => {
  await using device = await LoopDevice.create(SIZE_MIB);
  await using lab = await TestLab.up({ hosts: 1 });
  const host = lab.host();
  await using daemon = await LabDaemon.start(host, { args: ["--block-devices", device.path] });
  for (const { what, def } of ENUM_VMDEFS) {
    await t.step(what, async () => {
      const vmdef = asRequest(def, device.path);
      await makeExisting(host, allDisks(vmdef));
      const uuid = await daemon.json<string>("POST", "/vms", { vmdef, host: "" });
      const vm = await daemon.json<Vm>("GET", `/vms/${uuid}`);
      assert.deepEqual(vm.def, asRead(vmdef));
      await daemon.json("PUT", `/vms/${uuid}`, { vmdef: vm.def, deletestorage: false });
      assert.deepEqual((await daemon.json<Vm>("GET", `/vms/${uuid}`)).def, vm.def);
      await daemon.json("DELETE", `/vms/${uuid}`, { deletestorage: false });
    });
  }
});
